"""Attention in float64 and in torch's own arithmetic, and how the Ascend C kernels are run and held against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tests.ascend._launch import Launch


@dataclass(frozen=True)
class Case:
    """One problem: qkv (batch, tokens, 3, heads, head_dim)."""

    batch: int
    tokens: int
    heads: int
    head_dim: int
    dtype: str = "float16"

    def __str__(self) -> str:
        return f"{self.batch}x{self.tokens}x{self.heads}x{self.head_dim}-{self.dtype}"

    @property
    def scale(self) -> float:
        return self.head_dim ** -0.5


def to_bits(x: np.ndarray, dtype: str) -> np.ndarray:
    """The values as they travel into the twin."""
    rounded = torch.tensor(np.asarray(x, np.float32)).to(getattr(torch, dtype))
    return rounded.view(torch.uint16).numpy() if dtype == "bfloat16" else rounded.numpy()


def from_bits(x: np.ndarray, dtype: str) -> np.ndarray:
    """The values in float64."""
    return (torch.from_numpy(x).view(torch.bfloat16).to(torch.float64).numpy() if dtype == "bfloat16"
            else x.astype(np.float64))


def inputs(case: Case, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit-normal qkv and dout as the kernel will see them, in float64."""
    rng = np.random.default_rng(seed)
    shape = (case.batch, case.tokens, 3, case.heads, case.head_dim)
    rows = (case.batch, case.tokens, case.heads * case.head_dim)
    return tuple(from_bits(to_bits(rng.standard_normal(s), case.dtype), case.dtype) for s in (shape, rows))


def attention(qkv: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(batch, tokens, 3, heads, head_dim) -> out (batch, tokens, heads * head_dim), row maxima and row sums (batch, heads,
    tokens) of exp(scale * S - maximum), all in float64."""
    q, k, v = np.moveaxis(np.asarray(qkv, np.float64), (2, 3), (0, 2))
    scores = scale * q @ np.swapaxes(k, -1, -2)
    maximum = scores.max(-1)
    weights = np.exp(scores - maximum[..., None])
    total = weights.sum(-1)
    out = weights @ v / total[..., None]
    batch, heads, tokens, head_dim = out.shape
    return np.swapaxes(out, 1, 2).reshape(batch, tokens, heads * head_dim), maximum, total


def attention_grad(dout: np.ndarray, qkv: np.ndarray, scale: float) -> np.ndarray:
    """The gradient of sum(dout * attention(qkv)) with respect to qkv, in float64."""
    q, k, v = np.moveaxis(np.asarray(qkv, np.float64), (2, 3), (0, 2))
    batch, heads, tokens, head_dim = q.shape
    dout = np.swapaxes(np.asarray(dout, np.float64).reshape(batch, tokens, heads, head_dim), 1, 2)
    scores = scale * q @ np.swapaxes(k, -1, -2)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    dweights = dout @ np.swapaxes(v, -1, -2)
    dscores = weights * (dweights - (weights * dweights).sum(-1, keepdims=True)) * scale
    grads = dscores @ k, np.swapaxes(dscores, -1, -2) @ q, np.swapaxes(weights, -1, -2) @ dout
    return np.stack([np.swapaxes(g, 1, 2) for g in grads], 2)


def torch_attention_grad(dout: np.ndarray, qkv: np.ndarray, scale: float, dtype: str) -> np.ndarray:
    """The same as torch computes it in `dtype` from rounded inputs, returned as float64."""
    kind = getattr(torch, dtype)
    packed = torch.tensor(np.asarray(qkv, np.float32)).to(kind).requires_grad_()
    q, k, v = packed.permute(2, 0, 3, 1, 4)
    out = torch.softmax(q * scale @ k.transpose(-1, -2), -1) @ v
    batch, heads, tokens, head_dim = out.shape
    out = out.transpose(1, 2).reshape(batch, tokens, heads * head_dim)
    out.backward(torch.tensor(np.asarray(dout, np.float32)).to(kind))
    return packed.grad.to(torch.float64).numpy()


def forward_launch(case: Case, qkv: np.ndarray) -> Launch:
    return Launch("vit_attention", [to_bits(qkv, case.dtype)], [case.dtype], {"scale": case.scale})


def run_forward(case: Case, qkv: np.ndarray, **kwargs) -> dict:
    return forward_launch(case, qkv)(**kwargs)


def backward_launch(case: Case, dout: np.ndarray, qkv: np.ndarray, saved: list[np.ndarray], deterministic: bool) -> Launch:
    """`saved` holds the forward's outputs as bits: out, softmax_max, softmax_sum."""
    arrays = [to_bits(dout, case.dtype), to_bits(qkv, case.dtype), *saved]
    return Launch("vit_attention_grad", arrays, [case.dtype] * 3 + ["float32"] * 2,
                  {"scale": case.scale, "deterministic": float(deterministic)})


def run_backward(case: Case, dout: np.ndarray, qkv: np.ndarray, saved: list[np.ndarray], deterministic: bool, **kwargs) -> dict:
    return backward_launch(case, dout, qkv, saved, deterministic)(**kwargs)


def saved_for_backward(case: Case, qkv: np.ndarray) -> list[np.ndarray]:
    """What an exact forward would have saved."""
    out, maximum, total = attention(qkv, case.scale)
    return [to_bits(out, case.dtype), maximum.astype(np.float32), total.astype(np.float32)]


def values(result: dict) -> list[np.ndarray]:
    """The outputs of a run in float64."""
    return [from_bits(np.asarray(o), d) for o, d in zip(result["outputs"], result["output_dtypes"])]


FORWARD_LIMIT = {"float16": 2e-3, "bfloat16": 1.6e-2}


def hold_forward(case: Case, qkv: np.ndarray, result: dict) -> None:
    """Fails unless all three outputs are what float64 says, without a diagnostic."""
    assert result["diagnostics"] == []
    out, maximum, total = values(result)
    expected, expected_max, expected_sum = attention(qkv, case.scale)
    assert np.abs(out - expected).max() <= FORWARD_LIMIT[case.dtype]
    np.testing.assert_allclose(maximum, expected_max, rtol=1e-5, atol=1e-5)
    # The sum is that of the probabilities as the cube sees them, rounded to 16 bits.
    np.testing.assert_allclose(total, expected_sum, rtol=2.0 ** (-10 if case.dtype == "float16" else -7))


def check_forward(case: Case, seed: int = 0, **kwargs) -> dict:
    """Runs the forward, holds it against float64, and returns the run."""
    qkv, _ = inputs(case, seed)
    result = run_forward(case, qkv, **kwargs)
    hold_forward(case, qkv, result)
    return result


def hold_backward(case: Case, dout: np.ndarray, qkv: np.ndarray, *results: dict) -> None:
    """Fails unless the gradients of every run are as near to float64 as torch's, without a diagnostic."""
    expected = attention_grad(dout, qkv, case.scale)
    peer = torch_attention_grad(dout, qkv, case.scale, case.dtype)
    unit = {"float16": 2.0 ** -12, "bfloat16": 2.0 ** -9}[case.dtype]
    floor = unit * np.abs(expected).max()
    for result in results:
        assert result["diagnostics"] == []
        found = values(result)[0]
        for index, name in enumerate(("dq", "dk", "dv")):
            mine, theirs = (np.abs(x[:, :, index] - expected[:, :, index]) for x in (found, peer))
            assert mine.max() <= 2 * max(theirs.max(), floor), f"{name}: {mine.max():.3g}, torch {theirs.max():.3g}"
            assert mine.mean() <= 2 * max(theirs.mean(), 0.3 * floor), f"{name}: mean {mine.mean():.3g}, torch {theirs.mean():.3g}"


def check_backward(case: Case, deterministic: bool, seed: int = 0, **kwargs) -> dict:
    """Runs the backward, holds it against float64 and torch, and returns the run."""
    qkv, dout = inputs(case, seed)
    result = run_backward(case, dout, qkv, saved_for_backward(case, qkv), deterministic, **kwargs)
    hold_backward(case, dout, qkv, result)
    return result


def forward_launches(cases: list[Case]) -> list[Launch]:
    """Launches of the forward on unit-normal data, for the mutation test."""
    return [forward_launch(case, inputs(case)[0]) for case in cases]


def backward_launches(cases: list[tuple[Case, bool]]) -> list[Launch]:
    """Launches of the backward, (case, deterministic) each, for the mutation test."""
    launches = []
    for case, deterministic in cases:
        qkv, dout = inputs(case)
        launches.append(backward_launch(case, dout, qkv, saved_for_backward(case, qkv), deterministic))
    return launches
