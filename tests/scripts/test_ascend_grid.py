"""The grid of Ascend C cases: whole, each case once, and wrong use refused before anything runs."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path

import pytest

from scripts import ascend_grid
from scripts.grid_record import Record, sources

TOKENS, BATCHES = (1, 50, 197, 257, 577, 1025), (1, 3, 8)
WIDTHS = (192, 384, 768, 1024, 1280)
HEADS = ((3, 64), (6, 64), (12, 64), (16, 64), (16, 80))


@pytest.mark.parametrize("kernel", ascend_grid.KERNELS)
def test_each_case_once(kernel):
    names = [str(case) for case in ascend_grid.KERNELS[kernel][0]()]
    assert len(names) == len(set(names)), "the record knows a case by its name"


@pytest.mark.parametrize("kernel", ascend_grid.KERNELS)
def test_every_model_tokens_and_batch(kernel):
    cases = list(ascend_grid.KERNELS[kernel][0]())
    for tokens, batch, dtype in itertools.product(TOKENS, BATCHES, ("float16", "bfloat16")):
        chosen = [c for c in cases if c.dtype == dtype]
        if kernel.startswith("attention"):
            assert set(HEADS) <= {(c.heads, c.head_dim) for c in chosen if (c.batch, c.tokens) == (batch, tokens)}
        elif kernel.startswith("layer_norm"):
            assert {(w, add) for w in WIDTHS for add in (False, True)} <= {
                (c.width, c.add) for c in chosen if (c.batch, c.tokens) == (batch, tokens)}
        elif kernel.startswith("linear"):
            layers = {(w, out) for w in WIDTHS for out in (w, 3 * w, 4 * w)} | {(4 * w, w) for w in WIDTHS}
            assert layers <= {(c.width, c.out) for c in chosen if c.rows == batch * tokens}
        else:
            assert {(w, 4 * w, form) for w in WIDTHS for form in (False, True)} <= {
                (c.width, c.hidden, bool(c.approximate)) for c in chosen if c.rows == batch * tokens}


def test_report_counts_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ascend_grid, "KERNELS", {"attention": (lambda: iter(["one", "two"]), None, ("attention",))})
    path = tmp_path / "grid.json"
    Record(path, {"attention": sources(ascend_grid.ROOT, ("attention",))}).add("attention", "two", 20)
    monkeypatch.setattr("sys.argv", ["ascend_grid.py", "--report", "--record", str(path)])
    assert ascend_grid.main() == 1
    assert "1 of    2 cases held" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
    (["--seeds", "-1"], "--seeds: -1"), (["--jobs", "0"], "--jobs: 0"), (["--most-elements", "-5"], "--most-elements: -5"),
    (["--kernels", "softmax"], "unknown kernel softmax"), (["--record", "FOLDER"], "is not a record of the grid")])
def test_wrong_use(arguments, message, tmp_path, capsys, monkeypatch):
    arguments = [str(tmp_path) if a == "FOLDER" else a for a in arguments]
    monkeypatch.setattr("sys.argv", ["ascend_grid.py", "--report", *arguments])
    with pytest.raises(SystemExit) as stopped:
        ascend_grid.main()
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def quick(tmp_path, monkeypatch) -> str:
    """Ask for a few cases of one token; the path of their record."""
    path = str(tmp_path / "grid.json")
    monkeypatch.setattr(ascend_grid, "changed_since_built", lambda *_: [])  # what is recorded here is not kept
    monkeypatch.setattr("sys.argv", ["ascend_grid.py", "--kernels", "attention,layer_norm", "--most-elements", "192", "--seeds", "1",
                                     "--record", path])
    return path


def test_run_fills_the_record(tmp_path, monkeypatch, capsys):
    path = quick(tmp_path, monkeypatch)
    assert ascend_grid.main() == 0
    held = json.loads(Path(path).read_text())["layer_norm"]["orders"]
    assert "1x1x192-float32" in held and set(held.values()) == {1}
    assert "0 failures; " in capsys.readouterr().out
    monkeypatch.setattr(ascend_grid, "check", lambda *_: pytest.fail("a case of the record ran again"))
    assert ascend_grid.main() == 0


def test_a_failure_is_printed_and_not_recorded(tmp_path, monkeypatch, capsys):
    path = quick(tmp_path, monkeypatch)
    monkeypatch.setattr(ascend_grid, "check", _fail_on_bfloat16)
    assert ascend_grid.main() == 1
    assert "FAILED layer_norm 1x1x192-bfloat16: other bits" in capsys.readouterr().out
    held = json.loads(Path(path).read_text())["layer_norm"]["orders"]
    assert "1x1x192-float32" in held and not any("bfloat16" in case for case in held)


def test_a_lost_process_is_a_failure_with_names(tmp_path, monkeypatch, capsys):
    path = quick(tmp_path, monkeypatch)
    monkeypatch.setattr(ascend_grid, "check", _die_on_bfloat16)
    assert ascend_grid.main() == 1
    out = capsys.readouterr().out
    assert re.search(r"FAILED: a process .* during one of: .*\b\w+ 1x1x\d+(x64)?-bfloat16", out) and "1 failures" in out
    assert "bfloat16" not in Path(path).read_text()


def _die_on_bfloat16(_kernel, case, _seeds):
    return os._exit(9) if case.dtype == "bfloat16" else ""


def _fail_on_bfloat16(_kernel, case, _seeds):
    return "other bits" if case.dtype == "bfloat16" else ""


def test_interrupted_keeps_what_is_done(tmp_path, monkeypatch):
    path = quick(tmp_path, monkeypatch)
    added = Record.add

    def add_and_interrupt(record, *what):
        added(record, *what)
        raise KeyboardInterrupt

    monkeypatch.setattr(Record, "add", add_and_interrupt)
    assert ascend_grid.main() == 130
    assert len(json.loads(Path(path).read_text())["layer_norm"]["orders"]) == 1


def test_a_stale_library_is_refused(tmp_path, monkeypatch, capsys):
    path = quick(tmp_path, monkeypatch)
    monkeypatch.setattr(ascend_grid, "changed_since_built", lambda root, *_: [root / "csrc/twin/src/mmad.cpp"])
    with pytest.raises(SystemExit) as stopped:
        ascend_grid.main()
    assert stopped.value.code == 2 and "csrc/twin/src/mmad.cpp is newer than the built kernels" in capsys.readouterr().err
    assert not Path(path).exists()


def test_quick_cases_first():
    for kernel, (grid, _, _) in ascend_grid.KERNELS.items():
        for case in grid():
            products = ascend_grid.multiply_adds(kernel, case)
            assert (products == 0) == kernel.startswith("layer_norm")
            assert ascend_grid.effort(kernel, case) > products / 1e9
    case = next(c for c in ascend_grid.KERNELS["gelu_mlp"][0]() if str(c).startswith("197x768x3072"))
    assert ascend_grid.multiply_adds("gelu_mlp", case) == 2 * 197 * 768 * 3072
    assert ascend_grid.multiply_adds("gelu_mlp_grad", case) == 4 * 197 * 768 * 3072
