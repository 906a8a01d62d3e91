"""The estimate command: its rows, its promises for ViT-B/16, its picture and its refusals."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from vit_kernels import _cli, estimate
from vit_kernels.estimation import price, sequences

OPERATORS = {"layer_norm", "add_layer_norm", "linear", "attention", "gelu_mlp"}
KEYS = {"op", "pass", "estimated_us", "bound_us", "binding", "hbm_bytes", "unfused_us", "unfused_hbm_bytes"}


def run(capsys, *argv) -> tuple[int, str, dict]:
    code = _cli.run(estimate.main, list(argv))
    out = capsys.readouterr().out
    return code, out, json.loads(out.split("--result\n", 1)[1]) if "--result\n" in out else {}


def test_vit_base_keeps_its_promises(capsys, tmp_path):
    code, out, result = run(capsys, "--timeline", str(tmp_path / "t.png"))
    assert code == 0 and "estimated, not measured" in out
    assert (result["model"], result["batch"], result["sku"]) == ("vit_base_p16", 64, "910B1")
    rows = {(row["op"], row["pass"]): row for row in result["rows"]}
    assert set(rows) == {(op, p) for op in OPERATORS | {"block", "model"} for p in ("forward", "backward")}
    assert all(set(row) == KEYS for row in result["rows"])
    for (op, name), row in rows.items():
        assert row["bound_us"] <= row["estimated_us"] * 1.001
        if op in OPERATORS:
            assert row["estimated_us"] <= (1.5 if name == "forward" else 1.8) * row["bound_us"], (op, name)
    block = rows["block", "forward"]
    assert block["unfused_us"] >= 1.3 * block["estimated_us"] and block["unfused_hbm_bytes"] >= 2 * block["hbm_bytes"]
    with Image.open(tmp_path / "t.png") as picture:
        assert picture.size[0] > 800 and len(picture.convert("RGB").getcolors(1 << 20)) > 10


@pytest.mark.parametrize("argv", [["--model", "vit_tiny_p16", "--batch", "1", "--sku", "910B4", "--dtype", "bf16"],
                                  ["--model", "vit_huge_p14", "--batch", "2"]], ids=["tiny", "huge"])
def test_other_models_and_chips(capsys, tmp_path, argv):
    code, _, result = run(capsys, *argv, "--timeline", str(tmp_path / "t.png"))
    assert code == 0 and len(result["rows"]) == 14


@pytest.mark.parametrize("argv, says", [(["--sku", "910C9"], "--sku 910C9: expected one of 910B1"),
                                        (["--model", "resnet50"], "--model: unknown model 'resnet50'"),
                                        (["--batch", "0"], "0 is not at least 1")])
def test_wrong_words(capsys, argv, says):
    assert _cli.run(estimate.main, argv) == 2
    assert says in capsys.readouterr().err


def test_prices_add_up():
    a = price.Price(2, 1, (("hbm", 1.0), ("cube", 0.5)), 100, 1)
    b = price.Price(3, 2, (("hbm", 1.0), ("cube", 2.0)), 50, 2)
    assert (a + b) * 2 == price.Price(10, 6, (("hbm", 4.0), ("cube", 5.0)), 300, 6)
    assert (a + b).binding == "cube" and a.binding == "hbm" and price.total([]).binding == "nothing"


def test_a_slower_chip_takes_longer():
    d = sequences.Dimensions(16, 197, 384, 6, 1536)
    slow = sequences.Dimensions(16, 197, 384, 6, 1536, sku="910B4")
    for backward in (False, True):
        assert sequences.block(slow, backward)[0].us > 1.2 * sequences.block(d, backward)[0].us


def test_stock_bytes_are_those_of_the_tensors():
    """What the unfused side is charged follows from the tensors' sizes alone."""
    d = sequences.Dimensions(64, 197, 768, 12, 3072)
    _, unfused = sequences.gelu_mlp(d, False)
    x, h, w = 64 * 197 * 768, 64 * 197 * 3072, 768 * 3072
    assert unfused.hbm_bytes == pytest.approx(2 * ((x + w + h) + 2 * h + (h + w + x)), rel=0.01)
