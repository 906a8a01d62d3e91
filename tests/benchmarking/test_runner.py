"""The benchmark from end to end on a tiny model, its rows, its refusals, and that it leaves no process behind."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vit_kernels import ViTConfig, _cli, benchmark
from vit_kernels.benchmarking import runner

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ViTConfig(embed_dim=32, depth=1, num_heads=2, image_size=16, patch_size=8, num_classes=5, drop_path_rate=0.0)


@pytest.fixture
def processes(monkeypatch):
    """The processes that a run starts."""
    started, real = [], subprocess.Popen

    def popen(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(runner.subprocess, "Popen", popen)
    return started


def test_turns_and_rows(processes):
    said = []
    timings = runner.run(CONFIG, ["fused", "torch"], ["inference", "train"], batch_size=2, warm=2, steps=5, rounds=2,
                         say=said.append)
    assert all(process.poll() is not None for process in processes) and len(processes) == 2
    turns = [line.split()[3] for line in said if line.startswith("inference")]
    assert turns == ["fused", "torch", "torch", "fused"], "the order reverses from round to round"
    for timing in timings.values():
        assert {bench: len(steps) for bench, steps in timing.steps.items()} == {"inference": 5, "train": 5}
    rows = {name: runner.row(name, timing, CONFIG, 2) for name, timing in timings.items()}
    assert rows["fused"]["max_abs_error"] <= 1e-5 and "max_abs_error" not in rows["torch"]
    assert rows["fused"]["isa"] in ("baseline", "avx2", "avx512", "neon")
    for row in rows.values():
        assert row["train_batch_size"] == row["infer_batch_size"] == 2 and row["infer_img_size"] == 16
        assert row["peak_memory_mb"] > 50 and row["threads"] >= 1


def test_row_arithmetic():
    timing = runner.Timing({"inference": [0.2, 0.1, 0.1, 0.4]}, {"inference": 3.0}, {"threads": 2}, 123.44, 1e-6)
    assert runner.row("stock", timing, ViTConfig(), 8) == {
        "engine": "stock", "infer_samples_per_sec": 40.0, "infer_step_time": 200.0, "infer_batch_size": 8,
        "infer_img_size": 224, "infer_gmacs": 17.56, "infer_first_ms": 3000.0, "p50_ms": 150.0, "p90_ms": 340.0,
        "min_ms": 100.0, "param_count": 86.57, "peak_memory_mb": 123.4, "max_abs_error": 1e-6, "threads": 2}


def test_engines_that_disagree_are_not_timed(processes, monkeypatch):
    """One engine gets other weights, as if its kernels were wrong."""
    real = runner._Worker

    def tampered(folder, engine, backend, debug):
        if engine == "reference":
            with np.load(folder / "arrays.npz") as arrays:
                changed = {name: arrays[name] for name in arrays.files}
            changed["w:head.bias"] = changed["w:head.bias"] + np.array([0.5, 0, 0, 0, 0], np.float32)
            np.savez(folder / "arrays.npz", **changed)
        return real(folder, engine, backend, debug)

    monkeypatch.setattr(runner, "_Worker", tampered)
    said = []
    with pytest.raises(runner.BenchmarkError, match="'fused' computes other logits than 'reference': they differ by 0.5"):
        runner.run(CONFIG, ["fused", "reference"], ["inference"], 2, 1, 1, 1, say=said.append)
    assert not any("samples/sec" in line for line in said)
    assert all(process.poll() is not None for process in processes)


def test_an_engine_that_dies_is_named(processes, monkeypatch):
    def killing(worker, **command):
        worker.process.kill()
        return worker._read()

    monkeypatch.setattr(runner._Worker, "ask", killing)
    with pytest.raises(runner.BenchmarkError, match="the process of engine 'torch' was killed; is there memory"):
        runner.run(CONFIG, ["torch"], ["inference"], 2, 1, 1, 1)


def test_idle_engines_are_stopped_and_die_with_the_runner(tmp_path):
    """A runner that is killed cannot tidy up."""
    code = f"""
import time
from pathlib import Path
from vit_kernels import ViTConfig
from vit_kernels.benchmarking import runner
config = ViTConfig(**{CONFIG.to_dict()!r})
runner._write_inputs(Path("."), config, 2, 0)
worker = runner._Worker(Path("."), "torch", "fused", False)
print(worker.process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        child = int(parent.stdout.readline())
        state = Path(f"/proc/{child}/stat")
        _wait(lambda: state.read_text().split()[2] == "T")
        parent.kill()
        parent.wait()
        _wait(lambda: not state.exists() or state.read_text().split()[2] == "Z")
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def _wait(condition, seconds=20):
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_command(tmp_path, monkeypatch, capsys):
    """The whole command on the smallest named model at the smallest size."""
    arguments = ["--model", "vit_tiny_p32", "--img-size", "32", "--bench", "inference", "--batch-size", "2", "--peers", "stock",
                 "--num-bench-iter", "2", "--rounds", "2", "--results-file", str(tmp_path / "rows.csv")]
    assert _cli.run(benchmark.main, arguments) == 0
    out = capsys.readouterr().out
    document = json.loads(out.split("--result\n")[1])
    assert [row["engine"] for row in document["rows"]] == ["fused", "stock"]
    assert not any(name.startswith("train") for row in document["rows"] for name in row)
    assert "backend cpu" in out and "x as fast as stock" in out
    with open(tmp_path / "rows.csv", newline="") as file:
        assert [row["engine"] for row in csv.DictReader(file)] == ["fused", "stock"]


@pytest.mark.parametrize("arguments, message", [
    (["--peers", "jax"], "--peers jax: expected some of stock, reference, torch"),
    (["--peers", "stock,stock"], "each once"),
    (["--model", "vit_giant"], "--model vit_giant: unknown model"),
    (["--img-size", "100"], "not a multiple of patch_size"),
    (["--backend", "reference", "--peers", "reference"], "itself runs on the reference backend"),
    (["--batch-size", "0"], "0 is not at least 1"),
    (["--bench", "profile"], "invalid choice"),
])
def test_wrong_use(capsys, arguments, message):
    assert _cli.run(benchmark.main, arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err and "--result" not in captured.out


def test_missing_torch_is_wrong_use(capsys, monkeypatch):
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
    assert _cli.run(benchmark.main, ["--peers", "torch"]) == 2
    assert "PyTorch is not installed" in capsys.readouterr().err
