"""torch's 16-bit linear layer at the speed of its fp32 one: exact products, sums in fp32, one rounding of the result.

torch's own 16-bit products do the same on every device, but on a processor without such instructions a hundred times
slower than in fp32, which is most of the time of a large case.
"""

from __future__ import annotations

import torch


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        y = x.float() @ w.float().T
        return (y if b is None else y + b.float()).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        db = dy.sum(0) if ctx.needs_input_grad[2] else None
        return (dy.float() @ w.float()).to(x.dtype), (dy.float().T @ x.float()).to(w.dtype), db


def linear(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
    """`torch.nn.functional.linear` of x (rows, k), w (n, k) and b (n), all of one 16-bit type."""
    return _Linear.apply(x, w, b)
