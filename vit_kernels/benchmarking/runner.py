"""Times engines against each other: same weights and images, a correctness check first, then turns in alternation.

On a shared machine the speed drifts by more than engines differ, so each round gives every engine its turn, in an order that
reverses from round to round. While one works the others are stopped (SIGSTOP): MindSpore's and OpenMP's idle threads spin.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import numpy as np

from vit_kernels.benchmarking import engines
from vit_kernels.models import ViTConfig, count_macs, count_parameters

_LOGITS_AGREE = 1e-3  # largest difference, relative to the largest logit
_LOSSES_AGREE = 1e-3  # relative


class BenchmarkError(RuntimeError):
    """An engine failed, or engines disagree about the result."""


@dataclass
class Timing:
    """Seconds of every timed step of one engine, by bench ('inference', 'train'), and of the first, compiling, step."""

    steps: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    peak_memory_mb: float = 0.0
    max_abs_error: float | None = None


class _Worker:
    """An engine's process, stopped unless it is its turn."""

    def __init__(self, folder: Path, engine: str, backend: str, debug: bool):
        self.engine = engine
        self.log = open(folder / f"{engine}.log", "w+", encoding="utf-8", errors="replace")
        package_root = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vit_kernels.benchmarking.worker", str(folder), engine, backend], cwd=folder,
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None if debug else self.log, text=True)
        self._read()
        self._stop()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Let the process go on, have it obey one command, stop it again."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; reading says why
        answer = self._read()
        self._stop()
        return answer

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            last = self.log.read().strip().splitlines()[-1:]
            code = self.process.wait()
            why = f"ended with exit code {code}"
            if code == -signal.SIGKILL:
                why = "was killed; is there memory for all engines at once?"
            raise BenchmarkError(f"the process of engine {self.engine!r} {why}{' ' + last[0] if last else ''}; "
                                 "--debug shows its output, a smaller --batch-size or fewer --peers need less memory")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"engine {self.engine!r}: {answer['error']}")
        return answer

    def _stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()


def run(config: ViTConfig, names: list[str], benches: list[str], batch_size: int, warm: int, steps: int, rounds: int,
        backend: str = "fused", seed: int = 0, say: Callable[[str], None] = print, debug: bool = False) -> dict[str, Timing]:
    """Time engines.

    Args:
        config: no dropping, registers or LayerScale; mean pooling.
        names: engines, see `engines.make`; the last of them that is not the package's own says what is right.
        benches: of 'inference' and 'train'.
        batch_size: images per step.
        warm: untimed steps of each engine and bench before the first round.
        steps: timed steps per engine and bench, divided among the rounds.
        rounds: turns of every engine.
        backend: which kernels 'fused' means.
        seed: of weights and images.
        say: gets one line per event.
        debug: show what the engines' processes print.

    Raises:
        BenchmarkError: an engine failed, or its results are not the others'.
    """
    with tempfile.TemporaryDirectory(prefix="vit_kernels-benchmark-") as name:
        folder = Path(name)
        _write_inputs(folder, config, batch_size, seed)
        workers: list[_Worker] = []
        try:
            for engine in names:
                workers.append(_Worker(folder, engine, backend, debug))
            return _measure(folder, workers, benches, batch_size, warm, steps, rounds, say)
        finally:
            for worker in workers:
                worker.close()


def _write_inputs(folder: Path, config: ViTConfig, batch_size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((batch_size, config.in_chans, *config.image_hw), dtype=np.float32)
    targets = np.full((batch_size, config.num_classes), 0.1 / config.num_classes, np.float32)
    targets[np.arange(batch_size), rng.integers(0, config.num_classes, batch_size)] += np.float32(0.9)
    weights = engines.random_weights(config, seed)
    np.savez(folder / "arrays.npz", images=images, targets=targets, **{f"w:{name}": w for name, w in weights.items()})
    names = ("embed_dim", "depth", "num_heads", "intermediate_size", "patch_size", "in_chans", "num_patches", "num_classes",
             "layer_norm_eps")
    (folder / "config.json").write_text(json.dumps({
        "config": config.to_dict(), "torch": {name: getattr(config, name) for name in names}}))


def _measure(folder, workers, benches, batch_size, warm, steps, rounds, say) -> dict[str, Timing]:
    timings = {worker.engine: Timing({bench: [] for bench in benches}) for worker in workers}
    _check(folder, workers, benches, timings, say)
    for bench in benches:
        for worker in workers:
            if warm > 1:  # 'time' makes one untimed step itself
                worker.ask(do="time", bench=bench, steps=warm - 1)
        for turn in range(rounds):
            share = steps // rounds + (turn < steps % rounds)
            for worker in workers if turn % 2 == 0 else reversed(workers):
                if share:
                    seconds = worker.ask(do="time", bench=bench, steps=share)["seconds"]
                    timings[worker.engine].steps[bench] += seconds
                    mean = sum(seconds) / len(seconds)
                    say(f"{bench:9} round {turn + 1}/{rounds}  {worker.engine:9} {batch_size / mean:8.2f} samples/sec "
                        f"{1e3 * mean:9.1f} ms/step")
    for worker in workers:
        last = worker.ask(do="finish")
        timings[worker.engine].facts = last["facts"]
        timings[worker.engine].peak_memory_mb = last["peak_memory_mb"]
    return timings


def _check(folder, workers, benches, timings, say) -> None:
    """First steps of every engine, compared with the last engine's: logits always, the first loss when training is timed."""
    outputs, losses = {}, {}
    for worker in workers:
        file = folder / f"{worker.engine}.npy"
        timings[worker.engine].first["inference"] = worker.ask(do="logits", file=str(file))["seconds"]
        outputs[worker.engine] = np.load(file)
        if "train" in benches:
            answer = worker.ask(do="train_loss")
            timings[worker.engine].first["train"], losses[worker.engine] = answer["seconds"], answer["loss"]
    judge = workers[-1].engine
    scale = float(np.abs(outputs[judge]).max())
    for engine, logits in outputs.items():
        if engine == judge:
            continue
        error = float(np.abs(logits - outputs[judge]).max())
        timings[engine].max_abs_error = error
        say(f"check: {engine} differs from {judge} by {error:.2e} in logits of up to {scale:.1f}"
            + (f", loss {losses[engine]:.6f} and {losses[judge]:.6f}" if losses else ""))
        if not error <= _LOGITS_AGREE * scale:
            raise BenchmarkError(f"engine {engine!r} computes other logits than {judge!r}: they differ by {error:.3g}, "
                                 f"allowed is {_LOGITS_AGREE * scale:.3g}; its times would mean nothing")
        if losses and not abs(losses[engine] - losses[judge]) <= _LOSSES_AGREE * abs(losses[judge]):
            raise BenchmarkError(f"engine {engine!r} has another loss than {judge!r}: {losses[engine]:.6f}, "
                                 f"not {losses[judge]:.6f}; its times would mean nothing")


def row(engine: str, timing: Timing, config: ViTConfig, batch_size: int) -> dict[str, Any]:
    """An engine's line of the result: timm's column names, times in ms, sizes in millions, what does not apply left out."""
    height, width = config.image_hw
    line: dict[str, Any] = {"engine": engine}
    for bench, prefix in (("inference", "infer"), ("train", "train")):
        if bench not in timing.steps:
            continue
        milliseconds = 1e3 * np.array(timing.steps[bench])
        line[f"{prefix}_samples_per_sec"] = round(1e3 * batch_size / milliseconds.mean(), 2)
        line[f"{prefix}_step_time"] = round(milliseconds.mean(), 3)
        line[f"{prefix}_batch_size"] = batch_size
        line[f"{prefix}_img_size"] = height if height == width else [height, width]
        if bench == "inference":
            line["infer_gmacs"] = round(count_macs(config) / 1e9, 2)
        line[f"{prefix}_first_ms"] = round(1e3 * timing.first[bench], 1)
        mark = "" if bench == "inference" or "inference" not in timing.steps else "train_"
        line[f"{mark}p50_ms"] = round(float(np.percentile(milliseconds, 50)), 3)
        line[f"{mark}p90_ms"] = round(float(np.percentile(milliseconds, 90)), 3)
        line[f"{mark}min_ms"] = round(float(milliseconds.min()), 3)
    line["param_count"] = round(count_parameters(config) / 1e6, 2)
    line["peak_memory_mb"] = round(timing.peak_memory_mb, 1)
    if timing.max_abs_error is not None:
        line["max_abs_error"] = timing.max_abs_error
    return {**line, **timing.facts}
