"""Layer normalisation in float64 and in torch's own arithmetic, and how the Ascend C kernels are held against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tests.ascend._gelu_mlp import UNIT, check_error, rounded, to_bits, values
from tests.ascend._launch import Launch

EPS = 1e-6
FORWARD_LIMIT = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3.2e-2}
# float32: mean, rstd, what they make of a value and the sums are rounded one after the other, each for half a unit.
GRAD_UNIT = {dtype: unit / 2 for dtype, unit in UNIT.items()} | {"float32": 2.0**-22}


@dataclass(frozen=True)
class Case:
    """One problem: x (batch, tokens, width), with `add` also a residual of that shape."""

    batch: int
    tokens: int
    width: int
    dtype: str = "float16"
    add: bool = False
    parameters: str = ""   # dtype of gamma and beta; default: dtype
    mean: float = 0.0      # of x, whose standard deviation is 1

    def __str__(self) -> str:
        return (f"{self.batch}x{self.tokens}x{self.width}-{self.dtype}" + "-add" * self.add
                + f"-parameters {self.parameters}" * bool(self.parameters) + f"-mean {self.mean:g}" * (self.mean != 0))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.batch, self.tokens, self.width

    @property
    def parameter_dtype(self) -> str:
        return self.parameters or self.dtype


def inputs(case: Case, seed: int = 0) -> dict[str, np.ndarray]:
    """Unit-normal activations and gradients, gains around 1; all as the kernels will see them, in float64."""
    rng = np.random.default_rng(seed)
    v = {name: rounded(rng.standard_normal(case.shape) + offset, case.dtype)
         for name, offset in (("x", case.mean), ("residual", 0), ("dy", 0), ("dsum", 0))}
    v["gamma"] = rounded(1 + 0.2 * rng.standard_normal(case.width), case.parameter_dtype)
    v["beta"] = rounded(0.2 * rng.standard_normal(case.width), case.parameter_dtype)
    # What is normalised is the sum as it is stored.
    v["sum"] = rounded(v["x"] + v["residual"], case.dtype) if case.add else v["x"]
    return v


def statistics(v: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """mean and rstd of the rows in float64."""
    mean = v["sum"].mean(-1)
    return mean, 1 / np.sqrt(((v["sum"] - mean[..., None]) ** 2).mean(-1) + EPS)


def layer_norm(v: dict[str, np.ndarray]) -> np.ndarray:
    """y in float64."""
    mean, rstd = statistics(v)
    return (v["sum"] - mean[..., None]) * rstd[..., None] * v["gamma"] + v["beta"]


def gradients(case: Case, v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """dx, dgamma, dbeta of sum(dy * y) [+ sum(dsum * sum)] in float64."""
    mean, rstd = statistics(v)
    xhat = (v["sum"] - mean[..., None]) * rstd[..., None]
    g = v["dy"] * v["gamma"]
    dx = rstd[..., None] * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
    return {"dx": dx + v["dsum"] if case.add else dx, "dgamma": (v["dy"] * xhat).sum((0, 1)), "dbeta": v["dy"].sum((0, 1))}


def torch_gradients(case: Case, v: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same as torch computes it in the case's dtype, from the same inputs."""
    kind = getattr(torch, case.dtype)
    x, gamma, beta = (torch.tensor(v[name]).to(kind).requires_grad_() for name in ("sum", "gamma", "beta"))
    y = torch.nn.functional.layer_norm(x, (case.width,), gamma, beta, EPS)
    outputs, grads = [y], [torch.tensor(v["dy"]).to(kind)]
    if case.add:
        outputs, grads = outputs + [x * 1], grads + [torch.tensor(v["dsum"]).to(kind)]
    torch.autograd.backward(outputs, grads)
    return {name: t.grad.to(torch.float64).numpy() for name, t in (("dx", x), ("dgamma", gamma), ("dbeta", beta))}


def _launch(op: str, case: Case, v: dict[str, np.ndarray], names: str, attrs: dict[str, float]) -> Launch:
    fixed = {"gamma": case.parameter_dtype, "beta": case.parameter_dtype, "mean": "float32", "rstd": "float32"}
    dtypes = [fixed.get(name, case.dtype) for name in names.split()]
    return Launch(op, [to_bits(v[name], dtype) for name, dtype in zip(names.split(), dtypes)], dtypes, attrs)


def forward_op(case: Case) -> str:
    return "vit_add_layer_norm" if case.add else "vit_layer_norm"


def forward_launch(case: Case, v: dict[str, np.ndarray]) -> Launch:
    """Outputs: with `add` the sum first, then y, mean, rstd."""
    return _launch(forward_op(case), case, v, "x residual gamma beta" if case.add else "x gamma beta", {"eps": EPS})


def run_forward(case: Case, v: dict[str, np.ndarray], **kwargs) -> dict:
    return forward_launch(case, v)(**kwargs)


def backward_launch(case: Case, v: dict[str, np.ndarray], saved: tuple[np.ndarray, np.ndarray] | None = None) -> Launch:
    """Outputs: dx, dgamma, dbeta. `saved` are mean and rstd; default: exact ones."""
    mean, rstd = saved or statistics(v)
    return _launch(forward_op(case) + "_grad", case, v | {"mean": mean, "rstd": rstd},
                   "dsum dy sum gamma mean rstd" if case.add else "dy sum gamma mean rstd", {})


def run_backward(case: Case, v: dict[str, np.ndarray], saved: tuple[np.ndarray, np.ndarray] | None = None, **kwargs) -> dict:
    return backward_launch(case, v, saved)(**kwargs)


def hold_forward(case: Case, v: dict[str, np.ndarray], result: dict) -> None:
    """Fails unless all outputs are what float64 says, without a diagnostic."""
    assert result["diagnostics"] == []
    *total, y, mean, rstd = values(result)
    if case.add:
        np.testing.assert_array_equal(total[0], v["sum"])
    assert np.abs(y - layer_norm(v)).max() <= FORWARD_LIMIT[case.dtype] * max(1, abs(case.mean) / 16)
    expected_mean, expected_rstd = statistics(v)
    np.testing.assert_allclose(mean, expected_mean, rtol=5e-7, atol=1e-6)
    np.testing.assert_allclose(rstd, expected_rstd, rtol=3e-6)


def check_forward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the forward, holds all outputs against float64, and returns the run."""
    v = inputs(case, seed)
    result = run_forward(case, v, **kwargs)
    hold_forward(case, v, result)
    return result


def hold_backward(case: Case, v: dict[str, np.ndarray], result: dict) -> None:
    """Fails unless every gradient is as near to float64 as torch's, without a diagnostic."""
    assert result["diagnostics"] == []
    expected, peers = gradients(case, v), torch_gradients(case, v)
    for name, actual in zip(("dx", "dgamma", "dbeta"), values(result)):
        check_error(actual, peers[name], expected[name], 2, GRAD_UNIT[case.dtype], name)


def check_backward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the backward, holds every gradient against float64 and torch, and returns the run."""
    v = inputs(case, seed)
    result = run_backward(case, v, **kwargs)
    hold_backward(case, v, result)
    return result


def same_bits(a: dict, b: dict) -> bool:
    """Whether two runs returned the same outputs."""
    return all(np.asarray(p).tobytes() == np.asarray(q).tobytes() for p, q in zip(a["outputs"], b["outputs"]))
