"""The process of one engine: builds it, then obeys one JSON command per line on stdin and answers in kind on stdout.

    {"do": "logits", "file": F}              writes the logits to F (.npy) -> {"seconds": of this first call}
    {"do": "train_loss"}                     one training step -> {"loss", "seconds"}
    {"do": "time", "bench": B, "steps": N}   N timed steps after an untimed one -> {"seconds": [N]}
    {"do": "finish"}                         -> {"facts", "peak_memory_mb"}, then the process ends

An error answers {"error": text}. Started by `vit_kernels.benchmarking.runner`, not by hand.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
import types
from pathlib import Path

import numpy as np


def _die_with_parent() -> None:
    """The runner stops idle workers (SIGSTOP); one left behind by a killed runner would stay for ever."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass  # not Linux


def main(folder: str, engine: str, backend: str) -> None:
    """Serve commands until 'finish' or the end of stdin."""
    _die_with_parent()
    # Whatever libraries print belongs to stderr: stdout carries the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    try:
        from vit_kernels.benchmarking import engines

        described = json.loads((Path(folder) / "config.json").read_text())
        with np.load(Path(folder) / "arrays.npz") as arrays:
            weights = {name[2:]: arrays[name] for name in arrays.files if name.startswith("w:")}
            images, targets = arrays["images"], arrays["targets"]
        if engine == "torch":
            config = types.SimpleNamespace(**described["torch"])
        else:
            from vit_kernels.models import ViTConfig

            config = ViTConfig(**described["config"])
        made = engines.make(engine, config, weights, images, targets, backend)
        del weights
        answer(ready=True)
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "finish":
                answer(facts=made.facts, peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
                return
            answer(**_obey(made, command))
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")


def _obey(engine, command: dict) -> dict:
    start = time.perf_counter()
    if command["do"] == "logits":
        logits = engine.logits()
        seconds = time.perf_counter() - start
        np.save(command["file"], np.asarray(logits, np.float32))
        return {"seconds": seconds}
    if command["do"] == "train_loss":
        loss = engine.train_step()
        return {"loss": loss, "seconds": time.perf_counter() - start}
    step = engine.logits if command["bench"] == "inference" else engine.train_step
    step()
    seconds = []
    for _ in range(command["steps"]):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


if __name__ == "__main__":
    main(*sys.argv[1:])
