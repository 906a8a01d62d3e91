"""The mutation test: each flag, barrier, queue call and cross-core flag of a kernel left out, each buffer halved, one at a
time. What no run notices is a survivor: redundant, or a hole in the checker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.ascend._launch import Launch
from tests.twin import _native_module as native

# An absent wait may only show when pipes run at other speeds than the eager order's.
ORDERS = ({"mode": "late"}, {"mode": "random", "seed": 1}, {"mode": "random", "seed": 2})


def launches(launch: Callable[..., Launch], cases: Iterable[Any], inputs: Callable[[Any], Any]) -> list[Launch]:
    """`launch(case, inputs(case))` for each case."""
    return [launch(case, inputs(case)) for case in cases]


def survivors(op: str, runs: Iterable[Callable[..., dict]]) -> tuple[dict[str, str], int]:
    """Mutants of `op` that none of `runs` notices, by a diagnostic or by other results in another order of execution.

    Args:
        op: the kernel.
        runs: each launches it on one problem and passes its keywords on to `twin_run`.

    Returns:
        (site -> kind of what survives, number of mutants).
    """
    alive: dict[str, str] = {}
    seen: set[str] = set()
    for run in runs:
        clean = run()
        assert clean["diagnostics"] == []
        sites = {s["site"]: s["kind"] for s in native.twin_sync_sites(op) if s["executions"]}
        alive |= {site: kind for site, kind in sites.items() if site not in seen}
        for site in alive.keys() & sites.keys():
            if _is_noticed(site, clean, run):
                del alive[site]
        seen |= sites.keys()
    assert len(seen) > 30
    return alive, len(seen)


def _is_noticed(site: str, clean: dict, run: Callable[..., dict]) -> bool:
    if run(mute=[site])["diagnostics"]:
        return True
    for order in ORDERS:
        result = run(mute=[site], **order)
        if result["diagnostics"] or any(a.tobytes() != b.tobytes() for a, b in zip(result["outputs"], clean["outputs"])):
            return True
    return False
