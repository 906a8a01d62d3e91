"""A linear layer in float64 and in torch's own arithmetic, and how the Ascend C kernels are run and held against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tests.ascend import _torch
from tests.ascend._gelu_mlp import UNIT, check_error, rounded, to_bits, values
from tests.twin import _native_module as native

ABSENT = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Case:
    """One problem: x (rows, width), w (out, width) and the operands of `form`: b bias, r residual, s scale."""

    rows: int
    width: int
    out: int
    form: str = "b"
    dtype: str = "float16"
    vector_dtype: str = ""     # of bias and scale; default: dtype
    layer_scale: float = 1.0   # the size of `scale`

    def __str__(self) -> str:
        parts = [f"{self.rows}x{self.width}x{self.out}", self.form or "plain", self.dtype]
        return "-".join(parts + [f"vectors {self.vector_dtype}"] * bool(self.vector_dtype)
                        + [f"scale {self.layer_scale}"] * (self.layer_scale != 1))

    @property
    def vectors(self) -> str:
        return self.vector_dtype or self.dtype


def inputs(case: Case, seed: int = 0) -> dict[str, np.ndarray]:
    """Unit-normal activations and a product of that size; all as the kernel will see them."""
    rng = np.random.default_rng(seed)
    return {
        "x": rounded(rng.normal(size=(case.rows, case.width)), case.dtype),
        "w": rounded(rng.normal(size=(case.out, case.width)) / np.sqrt(case.width), case.dtype),
        "b": rounded(rng.normal(size=case.out) * 0.5, case.vectors),
        "r": rounded(rng.normal(size=(case.rows, case.out)), case.dtype),
        "s": rounded(rng.normal(size=case.out) * case.layer_scale, case.vectors),
        "dy": rounded(rng.normal(size=(case.rows, case.out)), case.dtype),
    }


def forward(case: Case, v: dict[str, np.ndarray]) -> np.ndarray:
    """y in float64."""
    y = v["x"] @ v["w"].T
    if "b" in case.form:
        y = y + v["b"]
    if "s" in case.form:
        y = y * v["s"]
    return y + v["r"] if "r" in case.form else y


def gradients(case: Case, v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """dx, dw, db and, with a scale, dscale in float64: the chain rule written out, y formed again."""
    scaled = v["dy"] * v["s"] if "s" in case.form else v["dy"]
    result = {"dx": scaled @ v["w"], "dw": scaled.T @ v["x"], "db": scaled.sum(0)}
    if "s" in case.form:
        result["dscale"] = (v["dy"] * (v["x"] @ v["w"].T + (v["b"] if "b" in case.form else 0))).sum(0)
    return result


def torch_both(case: Case, v: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """y and the gradients as torch computes them in the case's dtype."""
    kind = getattr(torch, case.dtype)
    x, w, b, s = (torch.tensor(v[name]).to(kind).requires_grad_() for name in ("x", "w", "b", "s"))
    y = _torch.linear(x, w, b if "b" in case.form else None)
    if "s" in case.form:
        y = y * s
    if "r" in case.form:
        y = y + torch.tensor(v["r"]).to(kind)
    y.backward(torch.tensor(v["dy"]).to(kind))
    db = b.grad if b.grad is not None else torch.tensor(v["dy"]).to(kind).sum(0)
    found = {"dx": x.grad, "dw": w.grad, "db": db, "dscale": s.grad}
    return y.detach().to(torch.float64).numpy(), {k: g.to(torch.float64).numpy() for k, g in found.items() if g is not None}


def _arrays(case: Case, v: dict[str, np.ndarray], names: str) -> tuple[list[np.ndarray], list[str]]:
    """What travels into the twin, and its dtypes. Optional operands are b, r and s."""
    arrays, dtypes = [], []
    for name in names.split():
        dtypes.append(case.vectors if name in "bs" else case.dtype)
        absent = name in "brs" and name not in case.form
        arrays.append(ABSENT.astype(np.uint16 if dtypes[-1] == "bfloat16" else dtypes[-1]) if absent
                      else to_bits(v[name], dtypes[-1]))
    return arrays, dtypes


def run_forward(case: Case, v: dict[str, np.ndarray], **kwargs) -> dict:
    return native.twin_run("vit_linear", *_arrays(case, v, "x w b r s"), {}, **kwargs)


def run_backward(case: Case, v: dict[str, np.ndarray], **kwargs) -> dict:
    return native.twin_run("vit_linear_grad", *_arrays(case, v, "dy x w b s"), {}, **kwargs)


def check_forward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the forward, holds y against float64 and torch, and returns the run."""
    v = inputs(case, seed)
    result = run_forward(case, v, **kwargs)
    assert result["diagnostics"] == []
    peer, _ = torch_both(case, v)
    check_error(values(result)[0], peer, forward(case, v), 1.5, UNIT[case.dtype] / 2, "y")
    return result


def check_backward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the backward, holds every gradient against float64 and torch, and returns the run."""
    v = inputs(case, seed)
    result = run_backward(case, v, **kwargs)
    assert result["diagnostics"] == []
    expected, (_, peers) = gradients(case, v), torch_both(case, v)
    for name, actual in zip(("dx", "dw", "db", "dscale"), values(result)):
        if name in expected:
            check_error(actual, peers[name], expected[name], 2, UNIT[case.dtype] / 2, name)
    return result
