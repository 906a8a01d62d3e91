"""The grid of Ascend C cases: whole, each case once, and wrong use refused before anything runs."""

from __future__ import annotations

import itertools

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
