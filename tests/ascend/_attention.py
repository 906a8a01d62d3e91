"""Attention in float64 and in torch's own arithmetic: what the Ascend C kernels are held against."""

from __future__ import annotations

import numpy as np
import torch


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
