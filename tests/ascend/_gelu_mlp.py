"""The GELU-MLP in float64 and in torch's own arithmetic, and how the Ascend C kernels are run and held against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import erf

from tests.ascend import _torch
from tests.ascend._launch import Launch

BITS = {"float16": np.float16, "bfloat16": np.uint16, "float32": np.float32}


@dataclass(frozen=True)
class Case:
    """One problem: x (rows, width), a hidden layer of `hidden`, y (rows, out)."""

    rows: int
    width: int
    hidden: int
    dtype: str = "float16"
    approximate: int = 0  # 0: erf, 1: tanh
    bias_dtype: str = ""  # of b1 and b2; default: dtype
    out: int = 0          # default: width

    def __str__(self) -> str:
        parts = [f"{self.rows}x{self.width}x{self.hidden}", self.dtype, ("erf", "tanh")[self.approximate]]
        return "-".join(parts + [f"out{self.out}"] * bool(self.out) + [f"bias {self.bias_dtype}"] * bool(self.bias_dtype))

    @property
    def columns(self) -> int:
        return self.out or self.width


def to_bits(x: np.ndarray, dtype: str) -> np.ndarray:
    """The values as they travel into the twin."""
    rounded = torch.tensor(np.asarray(x, np.float32)).to(getattr(torch, dtype))
    return rounded.view(torch.uint16).numpy() if dtype == "bfloat16" else rounded.numpy()


def from_bits(x: np.ndarray, dtype: str) -> np.ndarray:
    """The values in float64."""
    return (torch.from_numpy(x).view(torch.bfloat16).to(torch.float64).numpy() if dtype == "bfloat16"
            else x.astype(np.float64))


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    return from_bits(to_bits(x, dtype), dtype)


def inputs(case: Case, seed: int = 0) -> dict[str, np.ndarray]:
    """Unit-normal activations, weights scaled so that the layers keep that size; all as the kernel will see them."""
    rng = np.random.default_rng(seed)
    bias = case.bias_dtype or case.dtype
    return {
        "x": rounded(rng.normal(size=(case.rows, case.width)), case.dtype),
        "w1": rounded(rng.normal(size=(case.hidden, case.width)) / np.sqrt(case.width), case.dtype),
        "b1": rounded(rng.normal(size=case.hidden) * 0.5, bias),
        "w2": rounded(rng.normal(size=(case.columns, case.hidden)) / np.sqrt(case.hidden), case.dtype),
        "b2": rounded(rng.normal(size=case.columns) * 0.5, bias),
        "dy": rounded(rng.normal(size=(case.rows, case.columns)), case.dtype),
    }


def gelu(x: np.ndarray, approximate: int) -> tuple[np.ndarray, np.ndarray]:
    """GELU and its derivative in float64."""
    if approximate == 0:
        phi = 0.5 * (1 + erf(x / np.sqrt(2)))
        return x * phi, phi + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)


def pre_activation(v: dict[str, np.ndarray]) -> np.ndarray:
    """The hidden layer before GELU, in float64."""
    return v["x"] @ v["w1"].T + v["b1"]


def forward(case: Case, v: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """y and the pre-activation in float64."""
    h = pre_activation(v)
    return gelu(h, case.approximate)[0] @ v["w2"].T + v["b2"], h


def gradients(case: Case, v: dict[str, np.ndarray], h: np.ndarray) -> tuple[np.ndarray, ...]:
    """dx, dw1, db1, dw2, db2 in float64, from the pre-activation h."""
    g, slope = gelu(h, case.approximate)
    dh = v["dy"] @ v["w2"] * slope
    return dh @ v["w1"], dh.T @ v["x"], dh.sum(0), v["dy"].T @ g, v["dy"].sum(0)


def _torch_forward(case: Case, x, w1, b1, w2, b2) -> torch.Tensor:
    hidden = torch.nn.functional.gelu(_torch.linear(x, w1, b1), approximate=("none", "tanh")[case.approximate])
    return _torch.linear(hidden, w2, b2)


def torch_forward(case: Case, v: dict[str, np.ndarray]) -> np.ndarray:
    """y as torch computes it in the case's dtype."""
    kind = getattr(torch, case.dtype)
    y = _torch_forward(case, *(torch.tensor(v[name]).to(kind) for name in ("x", "w1", "b1", "w2", "b2")))
    return y.to(torch.float64).numpy()


def torch_gradients(case: Case, v: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """dx, dw1, db1, dw2, db2 as torch computes them in the case's dtype."""
    kind = getattr(torch, case.dtype)
    leaves = [torch.tensor(v[name]).to(kind).requires_grad_() for name in ("x", "w1", "b1", "w2", "b2")]
    _torch_forward(case, *leaves).backward(torch.tensor(v["dy"]).to(kind))
    return tuple(p.grad.to(torch.float64).numpy() for p in leaves)


def forward_launch(case: Case, v: dict[str, np.ndarray], save: bool = True) -> Launch:
    bias = case.bias_dtype or case.dtype
    dtypes = [case.dtype, case.dtype, bias, case.dtype, bias]
    arrays = [to_bits(v[name], dtype) for name, dtype in zip(("x", "w1", "b1", "w2", "b2"), dtypes)]
    return Launch("vit_gelu_mlp", arrays, dtypes, {"approximate": float(case.approximate), "save": float(save)})


def run_forward(case: Case, v: dict[str, np.ndarray], save: bool = True, **kwargs) -> dict:
    return forward_launch(case, v, save)(**kwargs)


def backward_launch(case: Case, v: dict[str, np.ndarray], h: np.ndarray) -> Launch:
    """`h` holds the bits that the forward saved."""
    arrays = [to_bits(v["dy"], case.dtype), to_bits(v["x"], case.dtype), h, to_bits(v["w1"], case.dtype),
              to_bits(v["w2"], case.dtype)]
    return Launch("vit_gelu_mlp_grad", arrays, [case.dtype] * 5, {"approximate": float(case.approximate)})


def run_backward(case: Case, v: dict[str, np.ndarray], h: np.ndarray, **kwargs) -> dict:
    return backward_launch(case, v, h)(**kwargs)


def values(result: dict) -> list[np.ndarray]:
    """The outputs of a run in float64."""
    return [from_bits(np.asarray(o), d) for o, d in zip(result["outputs"], result["output_dtypes"])]


def error(actual: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The largest and the root-mean-square error."""
    difference = np.abs(actual - expected)
    return float(difference.max()), float(np.sqrt(np.mean(difference**2)))


def check_error(actual: np.ndarray, peer: np.ndarray, expected: np.ndarray, factor: float, unit: float, what: str) -> None:
    """Fails unless `actual` is within `factor` of the peer's error, in the largest and in the mean. `unit` is what half a
    unit in the last place of a result of size one is worth: the peer's luck on a handful of values is no measure."""
    for mine, theirs, name in zip(error(actual, expected), error(peer, expected), ("largest", "mean")):
        floor = unit * float(np.abs(expected).max()) * (1 if name == "largest" else 0.3)
        assert mine <= factor * max(theirs, floor), f"{what}: {name} error {mine:.3g}, torch {theirs:.3g}"


UNIT = {"float16": 2.0**-11, "bfloat16": 2.0**-8}


def hold_forward(case: Case, v: dict[str, np.ndarray], result: dict) -> None:
    """Fails unless y and h are as near to float64 as torch's, without a diagnostic."""
    assert result["diagnostics"] == []
    y, h = values(result)
    expected, pre = forward(case, v)
    check_error(y, torch_forward(case, v), expected, 1.5, UNIT[case.dtype] / 2, "y")
    assert (np.abs(h - pre) <= UNIT[case.dtype] * 1.01 * np.abs(pre) + 1e-5).all()


def check_forward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the forward, holds y and h against float64 and torch, and returns the run."""
    v = inputs(case, seed)
    result = run_forward(case, v, **kwargs)
    hold_forward(case, v, result)
    return result


def hold_backward(case: Case, v: dict[str, np.ndarray], h: np.ndarray, result: dict) -> None:
    """Fails unless every gradient, from the pre-activation `h`, is as near to float64 as torch's, without a diagnostic."""
    assert result["diagnostics"] == []
    for name, actual, peer, expected in zip(("dx", "dw1", "db1", "dw2", "db2"), values(result), torch_gradients(case, v),
                                            gradients(case, v, h)):
        check_error(actual, peer, expected, 2, UNIT[case.dtype] / 2, name)


def check_backward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the backward on the pre-activation as the forward would save it, holds every gradient against float64 and
    torch, and returns the run."""
    v = inputs(case, seed)
    h = pre_activation(v)
    result = run_backward(case, v, to_bits(h, case.dtype), **kwargs)
    hold_backward(case, v, h, result)
    return result
