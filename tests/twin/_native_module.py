"""vit_kernels._native, from VIT_KERNELS_TEST_NATIVE (a directory) when set, and how the tests call it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np


def _load() -> Any:
    folder = os.environ.get("VIT_KERNELS_TEST_NATIVE")
    if not folder:
        from vit_kernels import _native

        return _native
    path = next(Path(folder).glob("_native*.so"))
    spec = importlib.util.spec_from_file_location("_native", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_native = _load()
LIBRARY = Path(_native.__file__).parent / "_lib" / "libvit_twin.so"
twin_load, twin_run, twin_ops, twin_sync_sites = (
    _native.twin_load, _native.twin_run, _native.twin_ops, _native.twin_sync_sites)

# KernelMode, in the order of registry.h
AIV_ONLY, AIC_ONLY, MIX_AIV_1_0, MIX_AIC_1_0, MIX_AIC_1_1, MIX_AIC_1_2 = range(6)
POISON = 0x7FBF


def launch(op: str, inputs=(), params=(), outputs=(), blocks=1, mode=AIV_ONLY, workspace=0, run_mode="eager", **kwargs):
    """Runs a test kernel. `inputs` are arrays (taken as bytes), `outputs` sizes in bytes, `params` integers."""
    arrays = [np.frombuffer(np.ascontiguousarray(a).tobytes(), np.uint8) for a in inputs]
    attrs = {f"p{i}": float(p) for i, p in enumerate(params)}
    attrs |= {f"out{i}": float(n) for i, n in enumerate(outputs)}
    attrs |= {"blocks": float(blocks), "mode": float(mode), "workspace": float(workspace)}
    return twin_run(op, arrays, ["uint8"] * len(arrays), attrs, mode=run_mode, **kwargs)


def rules(result) -> set[str]:
    """The rules a run violated."""
    return {d["rule"] for d in result["diagnostics"]}


def poisoned(n: int) -> np.ndarray:
    """`n` bytes as never written memory holds them."""
    return np.frombuffer(np.full((n + 1) // 2, POISON, np.uint16).tobytes(), np.uint8)[:n].copy()
