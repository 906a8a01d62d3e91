"""Every Ascend C kernel on the twin: all ViT widths, token counts, batches and dtypes, held against float64 and torch, without
a diagnostic in strict mode and with the same bits in every order of execution.

    python scripts/ascend_grid.py [--kernels attention,layer_norm,...] [--seeds 20] [--most-elements N] [--jobs N]
                                  [--record FILE] [--report]

The whole grid takes many hours, the quickest cases of all kernels first. `--most-elements` leaves out problems with larger
activations and says how many. Every case that holds is added to the record, docs/ascend-grid.json unless told otherwise, and is
not run again while the program of its kernel and of the twin is the same: an interrupted run (Ctrl-C) goes on with the same
command. `--report` runs nothing and says how much of the grid the record covers. Exit code 1 when a case fails or, in a report,
was not run, 130 when interrupted; each failure is printed as it happens. One run at a time may add to a record.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import concurrent.futures.process
import multiprocessing
import signal
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.grid_record import Record, changed_since_built, sources  # noqa: E402
from tests.ascend import (  # noqa: E402
    _attention, _cases_attention, _cases_gelu_mlp, _cases_layer_norm, _cases_linear, _gelu_mlp, _layer_norm, _linear,
)
from tests.twin import _native_module as native  # noqa: E402
from vit_kernels._cli import non_negative_int, positive_int  # noqa: E402


def _held(launch, hold, *problem):
    """The strict run of a launch, held against float64 and torch, and the launch to repeat it."""
    result = launch()
    hold(*problem, result)
    return result, launch


def _forward(module):
    def clean(case):
        v = module.inputs(case)
        return _held(module.forward_launch(case, v), module.hold_forward, case, v)
    return clean


def _backward(module):
    def clean(case):
        v = module.inputs(case)
        return _held(module.backward_launch(case, v), module.hold_backward, case, v)
    return clean


def _attention_forward(case):
    qkv, _ = _attention.inputs(case)
    return _held(_attention.forward_launch(case, qkv), _attention.hold_forward, case, qkv)


def _attention_backward(case):
    qkv, dout = _attention.inputs(case)
    saved = _attention.saved_for_backward(case, qkv)
    atomic, in_order = (_attention.backward_launch(case, dout, qkv, saved, deterministic) for deterministic in (False, True))
    return _held(in_order, _attention.hold_backward, case, dout, qkv, atomic())


def _gelu_backward(case):
    v = _gelu_mlp.inputs(case)
    h = _gelu_mlp.pre_activation(v)
    return _held(_gelu_mlp.backward_launch(case, v, _gelu_mlp.to_bits(h, case.dtype)), _gelu_mlp.hold_backward, case, v, h)


# name -> (grid, one case -> (strict run that held, the same launch again), operators that its cases launch)
KERNELS = {
    "attention": (_cases_attention.grid, _attention_forward, ("attention",)),
    "attention_grad": (_cases_attention.grid, _attention_backward, ("attention", "attention_grad")),
    "layer_norm": (_cases_layer_norm.grid, _forward(_layer_norm), ("layer_norm", "add_layer_norm")),
    "layer_norm_grad": (_cases_layer_norm.grid, _backward(_layer_norm), ("layer_norm_grad", "add_layer_norm_grad")),
    "linear": (_cases_linear.grid, _forward(_linear), ("linear",)),
    "linear_grad": (_cases_linear.grid, _backward(_linear), ("linear_grad",)),
    "gelu_mlp": (_cases_gelu_mlp.grid, _forward(_gelu_mlp), ("gelu_mlp",)),
    "gelu_mlp_grad": (_cases_gelu_mlp.grid, _gelu_backward, ("gelu_mlp_grad",)),
}


def elements(case) -> int:
    """Activations of a case, to leave large ones out."""
    if isinstance(case, _attention.Case):
        return case.batch * case.tokens * case.heads * max(case.tokens, 3 * case.head_dim)
    if isinstance(case, _layer_norm.Case):
        return case.batch * case.tokens * case.width
    return case.rows * max(case.width, getattr(case, "hidden", 0), getattr(case, "out", 0))


def multiply_adds(kernel: str, case) -> int:
    """Of a launch's matrix products."""
    if isinstance(case, _layer_norm.Case):
        return 0
    backward = kernel.endswith("_grad")
    if isinstance(case, _attention.Case):
        return case.batch * case.heads * case.tokens**2 * case.head_dim * (5 if backward else 2)
    columns = 2 * case.hidden if isinstance(case, _gelu_mlp.Case) else case.out
    return case.rows * case.width * columns * (2 if backward else 1)


def effort(kernel: str, case) -> float:
    """What a case takes, roughly in seconds (measured with 20 orders): only to begin with the quick ones and show an end."""
    return 0.2 + 1e-9 * multiply_adds(kernel, case) + 1e-6 * elements(case)


def check(kernel: str, case, seeds: int) -> str:
    """'' when the case holds, else what is wrong."""
    try:
        clean, launch = KERNELS[kernel][1](case)
        # What strict mode looks for depends on the program, not on the order: the first run has done it.
        for order in [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(seeds)]:
            run = launch(**order, strict=False)
            if run["diagnostics"]:
                return f"{order}: {run['diagnostics'][0]['rule']}: {run['diagnostics'][0]['message']}"
            if any(a.tobytes() != b.tobytes() for a, b in zip(run["outputs"], clean["outputs"])):
                return f"{order}: other bits than in eager order"
    except (AssertionError, ValueError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the workers are ended by the one that knows what is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(record: Record, work: list[tuple[str, object]], seeds: int, jobs: int) -> tuple[int, bool]:
    """Check cases in the order given, record those that hold, and return the number of failures and whether Ctrl-C ended it."""
    failures, waiting, running = 0, iter(work), {}
    pool = concurrent.futures.ProcessPoolExecutor(jobs, initializer=_ignore_interrupts)
    bar = tqdm(total=sum(effort(*item) for item in work), disable=not work,
               bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}")
    try:
        while True:
            for name, case in waiting:
                running[pool.submit(check, name, case, seeds)] = name, case
                if len(running) > jobs:  # one more than can run, so that no process waits for the record
                    break
            if not running:
                return failures, False
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                name, case = running.pop(future)
                bar.set_postfix_str(f"{name} {case}", refresh=False)
                bar.update(effort(name, case))
                wrong = future.result()
                if wrong:
                    failures += 1
                    tqdm.write(f"FAILED {name} {case}: {wrong}")
                else:
                    record.add(name, case, seeds)
    except concurrent.futures.process.BrokenProcessPool:
        # The pool does not say whose process it was, and is of no more use.
        cases = ", ".join(f"{name} {case}" for name, case in [(name, case), *running.values()])
        tqdm.write(f"FAILED: a process was killed or crashed (out of memory?) during one of: {cases}")
        return failures + 1, False
    except KeyboardInterrupt:
        return failures, True
    finally:
        bar.close()
        for worker in multiprocessing.active_children() if running else ():
            worker.terminate()  # a case may take minutes
        pool.shutdown(cancel_futures=True)


def report(record: Record, names: list[str], seeds: int) -> int:
    """Print how many cases of each kernel an earlier run found to hold; 1 when some were not run yet."""
    missing = 0
    for name in names:
        cases = list(KERNELS[name][0]())
        held = sum(record.holds(name, case, seeds) for case in cases)
        missing += len(cases) - held
        print(f"{name:16} {held:4} of {len(cases):4} cases held, at least {seeds} random orders each")
    print(f"{'all':16} {missing} cases not run on these sources")
    return int(missing > 0)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", default=",".join(KERNELS), help="names, joined by commas")
    parser.add_argument("--seeds", type=non_negative_int, default=20, help="random orders of execution per case")
    parser.add_argument("--most-elements", type=non_negative_int, default=0, help="leave out cases with more activations; 0: none")
    parser.add_argument("--jobs", type=positive_int, default=1, help="processes")
    parser.add_argument("--record", metavar="FILE", default=str(ROOT / "docs/ascend-grid.json"),
                        help="remember in FILE what held, and do not run it again (default: docs/ascend-grid.json)")
    parser.add_argument("--report", action="store_true", help="say what the record covers, run nothing")
    args = parser.parse_args()
    names = args.kernels.split(",")
    unknown = set(names) - set(KERNELS)
    if unknown:
        parser.error(f"unknown kernel {', '.join(sorted(unknown))}; expected some of {', '.join(KERNELS)}")
    try:
        record = Record(args.record, {name: sources(ROOT, operators) for name, (_, _, operators) in KERNELS.items()})
    except ValueError as error:
        parser.error(str(error))
    if args.report:
        return report(record, names, args.seeds)
    operators = tuple(operator for name in names for operator in KERNELS[name][2])
    changed = changed_since_built(ROOT, operators, (Path(native._native.__file__), native.LIBRARY))
    if changed:
        parser.error(f"{changed[0].relative_to(ROOT)} is newer than the built kernels: build them again, as make ascend-grid does")
    work, left_out = [], 0
    for name in names:
        for case in KERNELS[name][0]():
            if args.most_elements and elements(case) > args.most_elements:
                left_out += 1
            elif not record.holds(name, case, args.seeds):
                work.append((name, case))
    work.sort(key=lambda item: effort(*item))
    failures, interrupted = run(record, work, args.seeds, args.jobs)
    report(record, names, args.seeds)
    print(f"{'all':16} {failures} failures{f'; {left_out} larger cases left out' if left_out else ''}; NumPy {np.__version__}")
    return 130 if interrupted else int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
