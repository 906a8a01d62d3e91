"""python -m vit_kernels.eval: every image counts, the result line, and checkpoints and data that are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests._commands import call, image_tree, refused, tiny_recipes
from tests.test_train import metrics_of
from vit_kernels import eval as evaluation
from vit_kernels import train
from vit_kernels.data import load_dataset


def test_counts_every_image_and_agrees_with_training(digits_run):
    best = max(metrics_of(digits_run), key=lambda r: r["eval_top1"])
    for batch in (64, 100):  # 355 images: the last batch is partial
        ran = call(evaluation.main, "--checkpoint", digits_run, "--batch-size", batch)
        assert ran.code == 0, ran.err
        assert ran.result.keys() == {"top1", "top5", "loss", "count", "samples_per_sec", "backend"}
        assert ran.result["count"] == 355 and ran.result["backend"] == "cpu" and ran.result["samples_per_sec"] > 0
        assert ran.result["top1"] == pytest.approx(best["eval_top1"], rel=1e-5)
        assert ran.result["top5"] == pytest.approx(best["eval_top5"], rel=1e-5)
        assert ran.result["loss"] == pytest.approx(best["eval_loss"], rel=1e-4)


def test_stock_operators_give_the_same(digits_run):
    one, two = (call(evaluation.main, "--checkpoint", digits_run / "checkpoints/last.safetensors", "--backend", b).result
                for b in ("fused", "reference"))
    assert (one["backend"], two["backend"]) == ("cpu", "reference") and one["top1"] == two["top1"]
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)


def test_newest_run_by_default(digits_run, monkeypatch):
    monkeypatch.chdir(digits_run.parents[1])
    ran = call(evaluation.main)
    assert ran.code == 0 and os.path.join("output", "run", "checkpoints", "best.safetensors") in ran.out


def test_a_folder_without_splits_counts_as_a_whole(tmp_path, monkeypatch):
    """Trained on its split, evaluated on the same folder: the fifth that was left out. On a copy: all of it."""
    root = image_tree(tmp_path / "photos", classes=3, each=5)
    with tiny_recipes():
        assert call(train.main, "--dataset", root, "--output", tmp_path / "run", "--epochs", 1).code == 0
    monkeypatch.chdir(tmp_path)
    for name in (None, root, "photos", "./photos/"):
        ran = call(evaluation.main, "--checkpoint", "run", *([] if name is None else ["--dataset", name]))
        assert ran.code == 0 and ran.result["count"] == 3, ran
    shutil.copytree(root, tmp_path / "copy")
    assert call(evaluation.main, "--checkpoint", "run", "--dataset", "copy").result["count"] == 15
    (tmp_path / "copy/class1").rename(tmp_path / "copy/other")
    refused(call(evaluation.main, "--checkpoint", "run", "--dataset", "copy"), 2, "only one of them has class1, other")
    shutil.rmtree(root)
    refused(call(evaluation.main, "--checkpoint", "run"), 2, "photos", "existing folder")


def test_classes_of_another_data_set(digits_run, tmp_path):
    root = image_tree(tmp_path / "photos")
    refused(call(evaluation.main, "--checkpoint", digits_run, "--dataset", root), 2, "has 2 classes, the checkpoint 10")


def damaged(source: Path, target: Path, change) -> Path:
    """A copy of a checkpoint with its tensors changed, its header kept."""
    tensors = load_file(source)
    change(tensors)
    with safe_open(source, "numpy") as file:
        save_file(tensors, target, metadata=file.metadata())
    return target


def test_checkpoints_that_are_none(digits_run, tmp_path):
    best = digits_run / "checkpoints/best.safetensors"
    data = best.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[:len(data) // 2])
    (tmp_path / "text.safetensors").write_text("these are no weights\n" * 50)
    save_file({"layer.weight": np.zeros((3, 3), np.float32)}, tmp_path / "other.safetensors")
    damaged(best, tmp_path / "short.safetensors", lambda t: t.pop("head.bias"))
    damaged(best, tmp_path / "shape.safetensors", lambda t: t.update({"head.weight": np.zeros((10, 7), np.float32)}))
    for name, words in (("cut", []), ("text", []), ("other", []), ("short", ["head.bias is missing"]),
                        ("shape", ["head.weight has shape (10, 7)"])):
        refused(call(evaluation.main, "--checkpoint", tmp_path / f"{name}.safetensors"), 1, f"{name}.safetensors", *words)
    refused(call(evaluation.main, "--checkpoint", tmp_path / "none"), 2, "none does not exist")
    refused(call(evaluation.main), 2, "train first")


def test_weights_that_are_not_finite_score_nothing(digits_run, tmp_path):
    path = damaged(digits_run / "checkpoints/best.safetensors", tmp_path / "nan.safetensors", lambda t: t["head.weight"].fill(np.nan))
    ran = call(evaluation.main, "--checkpoint", path)
    assert ran.code == 0 and (ran.result["top1"], ran.result["top5"], ran.result["loss"]) == (0, 0, None)


def test_the_checkpoint_is_what_is_evaluated(digits_run, tmp_path):
    """A head that answers 7 whatever it sees gets the sevens right."""
    def constant(tensors):
        tensors["head.weight"][:] = 0
        tensors["head.bias"][:] = np.eye(10)[7] * 5

    ran = call(evaluation.main, "--checkpoint", damaged(digits_run / "checkpoints/best.safetensors", tmp_path / "x.safetensors", constant))
    sevens = np.mean(load_dataset("digits").test.targets == 7)
    assert ran.result["top1"] == pytest.approx(sevens)
    expected = np.log(9 + np.exp(5)) - 5 * sevens
    assert ran.result["loss"] == pytest.approx(expected, rel=1e-5)
