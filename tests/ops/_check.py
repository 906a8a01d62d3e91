"""Independent definitions of the operators, in float64 torch, and the comparison that every operator test makes."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import torch
from mindspore import Tensor, nn


def layer_norm(x, gamma, beta, eps):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * gamma + beta


def attention(qkv, scale):
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.transpose(-1, -2) * scale, -1)
    batch, heads, tokens, head_dim = v.shape
    return (weights @ v).permute(0, 2, 1, 3).reshape(batch, tokens, heads * head_dim)


def gelu(x, approximate):
    if approximate == "tanh":
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x ** 3)))
    return 0.5 * x * (1 + torch.erf(x / 2 ** 0.5))


def gelu_mlp(x, w1, b1, w2, b2, approximate):
    return gelu(x @ w1.T + b1, approximate) @ w2.T + b2


def linear(x, w, b=None, residual=None, scale=None):
    y = x @ w.T
    y = y if b is None else y + b
    y = y if scale is None else y * scale
    return y if residual is None else y + residual


class Weighted(nn.Cell):
    """Sum of outputs times fixed weights: its gradient is the operator's vector-Jacobian product."""

    def __init__(self, op, weights):
        super().__init__()
        self.op = op
        self.weights = [Tensor(w.astype(np.float32)) for w in weights]

    def construct(self, *args):
        out = self.op(*args)
        if isinstance(out, tuple):
            return (out[0] * self.weights[0]).sum() + (out[1] * self.weights[1]).sum()
        return (out * self.weights[0]).sum()


def compare(op, reference, arrays, forward=2e-6, gradient=5e-6):
    """Check a MindSpore callable against a torch one: values and every gradient.

    Args:
        op: cell or function of MindSpore tensors, returning a tensor or a pair.
        reference: the same on float64 torch tensors.
        arrays: float64 NumPy arguments.
        forward, gradient: largest error allowed, relative to the largest reference value.
    """
    inputs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    expected = reference(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    rng = np.random.default_rng(99)
    weights = [rng.standard_normal(tuple(e.shape)) for e in expected]
    sum((e * torch.tensor(w)).sum() for e, w in zip(expected, weights)).backward()

    tensors = [Tensor(a.astype(np.float32)) for a in arrays]
    got = op(*tensors)
    got = got if isinstance(got, tuple) else (got,)
    assert len(got) == len(expected)
    for g, e in zip(got, expected):
        assert_close(g.asnumpy(), e.detach().numpy(), forward)
    gradients = ms.grad(Weighted(op, weights), tuple(range(len(tensors))))(*tensors)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for index, (g, tensor) in enumerate(zip(gradients, inputs)):
        assert_close(g.asnumpy(), tensor.grad.numpy(), gradient, f"gradient of argument {index}")


def assert_close(got, expected, tolerance, what="value"):
    """Fail unless max |got - expected| <= tolerance * max(1, max |expected|)."""
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert np.isfinite(got).all(), f"{what} is not finite"
    error = np.abs(got.astype(np.float64) - expected).max()
    limit = tolerance * max(1.0, np.abs(expected).max())
    assert error <= limit, f"{what}: max error {error:.3g} over {limit:.3g}"
