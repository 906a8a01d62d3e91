"""A linear layer in float64 and in torch's own arithmetic, and how the Ascend C kernels are run and held against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tests.ascend import _torch
from tests.ascend._gelu_mlp import UNIT, check_error, rounded, to_bits, values
from tests.ascend._launch import Launch

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


def _torch_forward(case: Case, v: dict[str, np.ndarray]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """y, and the operands that have gradients."""
    kind = getattr(torch, case.dtype)
    leaves = {name: torch.tensor(v[name]).to(kind).requires_grad_() for name in "xwbs"}
    y = _torch.linear(leaves["x"], leaves["w"], leaves["b"] if "b" in case.form else None)
    if "s" in case.form:
        y = y * leaves["s"]
    return (y + torch.tensor(v["r"]).to(kind) if "r" in case.form else y), leaves


def torch_forward(case: Case, v: dict[str, np.ndarray]) -> np.ndarray:
    """y as torch computes it in the case's dtype."""
    return _torch_forward(case, v)[0].detach().to(torch.float64).numpy()


def torch_gradients(case: Case, v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """dx, dw, db and, with a scale, dscale as torch computes them in the case's dtype."""
    dy = torch.tensor(v["dy"]).to(getattr(torch, case.dtype))
    y, leaves = _torch_forward(case, v)
    y.backward(dy)
    found = {name: leaves[leaf].grad for name, leaf in (("dx", "x"), ("dw", "w"), ("db", "b"), ("dscale", "s"))}
    if found["db"] is None:
        found["db"] = dy.sum(0)
    return {name: g.to(torch.float64).numpy() for name, g in found.items() if g is not None}


def _arrays(case: Case, v: dict[str, np.ndarray], names: str) -> tuple[list[np.ndarray], list[str]]:
    """What travels into the twin, and its dtypes. Optional operands are b, r and s."""
    arrays, dtypes = [], []
    for name in names.split():
        dtypes.append(case.vectors if name in "bs" else case.dtype)
        absent = name in "brs" and name not in case.form
        arrays.append(ABSENT.astype(np.uint16 if dtypes[-1] == "bfloat16" else dtypes[-1]) if absent
                      else to_bits(v[name], dtypes[-1]))
    return arrays, dtypes


def forward_launch(case: Case, v: dict[str, np.ndarray]) -> Launch:
    return Launch("vit_linear", *_arrays(case, v, "x w b r s"))


def run_forward(case: Case, v: dict[str, np.ndarray], **kwargs) -> dict:
    return forward_launch(case, v)(**kwargs)


def backward_launch(case: Case, v: dict[str, np.ndarray]) -> Launch:
    return Launch("vit_linear_grad", *_arrays(case, v, "dy x w b s"))


def run_backward(case: Case, v: dict[str, np.ndarray], **kwargs) -> dict:
    return backward_launch(case, v)(**kwargs)


def hold_forward(case: Case, v: dict[str, np.ndarray], result: dict) -> None:
    """Fails unless y is as near to float64 as torch's, without a diagnostic."""
    assert result["diagnostics"] == []
    check_error(values(result)[0], torch_forward(case, v), forward(case, v), 1.5, UNIT[case.dtype] / 2, "y")


def check_forward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the forward, holds y against float64 and torch, and returns the run."""
    v = inputs(case, seed)
    result = run_forward(case, v, **kwargs)
    hold_forward(case, v, result)
    return result


def hold_backward(case: Case, v: dict[str, np.ndarray], result: dict) -> None:
    """Fails unless every gradient is as near to float64 as torch's, without a diagnostic."""
    assert result["diagnostics"] == []
    expected, peers = gradients(case, v), torch_gradients(case, v)
    for name, actual in zip(("dx", "dw", "db", "dscale"), values(result)):
        if name in expected:
            check_error(actual, peers[name], expected[name], 2, UNIT[case.dtype] / 2, name)


def check_backward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the backward, holds every gradient against float64 and torch, and returns the run."""
    v = inputs(case, seed)
    result = run_backward(case, v, **kwargs)
    hold_backward(case, v, result)
    return result
