"""python -m vit_kernels.train: what it prints and leaves behind, interrupted runs, and input that is refused."""

from __future__ import annotations

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests._commands import call, image_tree, odd_images, refused, tiny_recipes
from vit_kernels import train
from vit_kernels.training import checkpoint_io, fit
from vit_kernels.training.schedules import cosine_with_warmup

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _tiny():
    with tiny_recipes():
        yield


def metrics_of(folder: Path) -> list[dict[str, float]]:
    with open(folder / "metrics.csv", newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def files_of(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_folder_it_leaves(digits_run):
    assert files_of(digits_run) == ["checkpoints/best.safetensors", "checkpoints/last.safetensors", "config.yaml", "curve.png",
                                    "metrics.csv"]
    config = yaml.safe_load((digits_run / "config.yaml").read_text())
    assert (config["dataset"], config["seed"], config["backend"], config["epochs"]) == ("digits", 0, "cpu", 2)
    assert config["model"]["embed_dim"] == 32 and config["classes"] == [str(d) for d in range(10)]
    with Image.open(digits_run / "curve.png") as curve:
        assert curve.format == "PNG" and curve.size[0] >= 1000


def test_metrics_and_checkpoints_agree(digits_run):
    rows = metrics_of(digits_run)
    steps = 1442 // 64
    assert [(r["epoch"], r["step"]) for r in rows] == [(1, steps), (2, 2 * steps)]
    rates = cosine_with_warmup(5e-3, 2 * steps, round(0.2 * steps), 1e-6)
    assert [r["lr"] for r in rows] == pytest.approx([rates[steps - 1], rates[-1]], rel=1e-5)
    assert rows[1]["train_loss"] < rows[0]["train_loss"] < np.log(10) + 0.2  # it learns
    last = checkpoint_io.load(digits_run / "checkpoints/last.safetensors", optimizer=True)
    best = checkpoint_io.load(digits_run / "checkpoints/best.safetensors")
    assert (last.training["epoch"], last.training["step"], int(last.optimizer["step"][0])) == (2, 2 * steps, 2 * steps)
    top = max(rows, key=lambda r: r["eval_top1"])
    assert best.training["epoch"] == top["epoch"] and not best.optimizer
    assert best.training["metrics"]["eval_top1"] == pytest.approx(top["eval_top1"], rel=1e-5)


def test_result_line_and_the_same_losses_on_stock_operators(digits_run, tmp_path):
    """And, with the same seed and the fused backend, the very same run."""
    fused = metrics_of(digits_run)
    for backend, used, tolerance in (("fused", "cpu", 0.0), ("reference", "reference", 1e-3)):
        ran = call(train.main, "--output", tmp_path / backend, "--backend", backend, "--workers", 0)
        assert ran.code == 0, ran.err
        rows, result = metrics_of(tmp_path / backend), ran.result
        best = max(rows, key=lambda r: r["eval_top1"])
        for name in ("train_loss", "eval_loss"):
            assert [r[name] for r in rows] == pytest.approx([r[name] for r in fused], rel=tolerance, abs=0), name
        assert result.keys() == {"eval_top1", "eval_top5", "eval_loss", "train_loss", "epochs", "steps", "samples_per_sec",
                                 "backend", "output"}
        assert (result["epochs"], result["steps"], result["backend"]) == (2, 44, used)
        assert result["output"] == str(tmp_path / backend) and result["samples_per_sec"] > 0
        assert result["eval_top1"] == pytest.approx(best["eval_top1"], rel=1e-5)
        assert result["train_loss"] == pytest.approx(rows[-1]["train_loss"], rel=1e-5)


def test_progress_shows_loss_speed_and_time_left(tmp_path):
    ran = call(train.main, "--output", tmp_path / "run", "--epochs", 1, "--batch-size", 700, "--seed", 3, "--lr", 1e-3)
    assert ran.code == 0 and f"results in {tmp_path / 'run'}" in ran.out and "backend cpu; 1 epochs of 2 steps of 700" in ran.out
    assert "img/s" in ran.err and "loss=" in ran.err and "epoch 1/1" in ran.err and "<" in ran.err
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert (config["epochs"], config["batch_size"], config["seed"], config["lr"]) == (1, 700, 3, 1e-3)


def test_a_folder_of_images_odd_ones_included(tmp_path, monkeypatch):
    root = image_tree(tmp_path / "photos")
    _, bad = odd_images(root / "class1")
    for name in bad:
        (root / "class1" / name).unlink()
    monkeypatch.chdir(tmp_path)
    ran = call(train.main, "--dataset", "photos", "--epochs", 1)
    assert ran.code == 0, ran.err
    folder = next((tmp_path / "output").iterdir())
    assert "photos" in folder.name and ran.result["output"] == os.path.join("output", folder.name)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["dataset"] == str(root) and config["classes"] == ["class0", "class1"]  # found again from anywhere


def test_a_damaged_image_is_named(tmp_path):
    root = image_tree(tmp_path / "photos")
    (root / "class0/3.png").write_bytes((root / "class0/3.png").read_bytes()[:300])
    refused(call(train.main, "--dataset", root, "--output", tmp_path / "run"), 1, "class0/3.png is damaged or truncated")
    assert files_of(tmp_path / "run") == ["config.yaml"]


@pytest.mark.parametrize("arguments, code, says", [
    (["--epochs", "0"], 2, "0 is not at least 1"), (["--seed", "4294967296"], 2, "is not below 2^32"), (["--lr", "-1"], 2, "-1 is not a positive number"),
    (["--batch-size", "x"], 2, "--batch-size"), (["--backend", "gpu"], 2, "--backend"), (["--nonsense"], 2, "--nonsense"),
    (["--dataset", "imagnet"], 2, "neither digits nor fashion-mnist nor an existing folder"),
    (["--model", "resnet50"], 2, "resnet50"), (["--data-dir", "."], 2, "--data-dir does not apply"),
    (["--dataset", "fashion-mnist", "--data-dir", "nowhere"], 1, "apt-get download dataset-fashion-mnist"),
    (["--dataset", "empty"], 1, "empty has no class folders"), (["--dataset", "one"], 1, "one class folder only (a)"),
    (["--dataset", "hole"], 1, "hole/b has no images"), (["--dataset", "file"], 1, "file is a file, expected a folder"),
    (["--output", "file/run"], 1, "cannot make the output folder file/run"), (["--output", "file"], 1, "output folder file")])
def test_refused_with_nothing_left_behind(tmp_path, arguments, code, says):
    for folder in ("empty", "one/a", "hole/a", "hole/b"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("one/a/x.png", "hole/a/x.png", "hole/a/y.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    refused(call(train.main, *arguments), code, says)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk(tmp_path):
    """A limit on the size of files stands in for it: the checkpoint does not fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        ran = call(train.main, "--output", tmp_path / "run", "--epochs", 1, "--batch-size", 700)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    refused(ran, 1, "cannot write", "last.safetensors", "free space there")
    assert files_of(tmp_path / "run") == ["config.yaml"]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    refused(call(train.main, "--output", tmp_path / "run", "--lr", 1e30), 1, "the loss became", "lower --lr")


def test_a_library_of_another_version(tmp_path, monkeypatch):
    from vit_kernels.ops import _backend, _library

    monkeypatch.setattr(_library, "__version__", "9.9.9")
    _library.library.cache_clear()
    _backend.notice.cache_clear()
    try:
        refused(call(train.main, "--backend", "fused", "--output", tmp_path / "run"), 1, "the Python package is 9.9.9", "Reinstall")
        assert not (tmp_path / "run").exists()
    finally:
        _library.library.cache_clear()


def test_debug_shows_the_traceback():
    ran = call(train.main, "--dataset", "imagnet", "--debug")
    assert ran.code == 2 and "Traceback" in ran.err


def test_interrupted_between_epochs(tmp_path, monkeypatch):
    """A signal during evaluation: the checkpoint has the steps that were made."""
    def evaluate(model, loader, progress):
        os.kill(os.getpid(), signal.SIGINT)
        progress(1)

    monkeypatch.setattr(fit, "evaluate", evaluate)
    refused(call(train.main, "--output", tmp_path / "run", "--batch-size", 700), 1, "interrupted: the training so far is in",
            "last.safetensors")
    last = checkpoint_io.load(tmp_path / "run/checkpoints/last.safetensors", optimizer=True)
    assert (last.training["epoch"], last.training["step"]) == (0, 2) and last.optimizer
    last.build("reference")


def test_ctrl_c(tmp_path):
    """A real process with the real recipe, stopped in its second epoch or later."""
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-m", "vit_kernels.train", "--epochs", "1000", "--output", str(folder)],
                               env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(3000):
            if (folder / "metrics.csv").exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1 and "--result" not in out, err[-2000:]
    assert f"interrupted: the training so far is in {folder}/checkpoints/last.safetensors" in err and "Traceback" not in err
    assert not [f for f in files_of(folder) if f.endswith(".tmp") or "/." in f]
    last = checkpoint_io.load(folder / "checkpoints/last.safetensors", optimizer=True)
    assert last.training["step"] >= 22 and last.training["epoch"] == len(metrics_of(folder))
    last.build("reference")
