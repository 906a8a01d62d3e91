"""The peer that the kernels are held against errs no more than torch's own 16-bit arithmetic: it is no easier a mark."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.ascend import _torch


def results(linear, kind):
    """y and the gradients of x, w, b, in float64."""
    rng = np.random.default_rng(0)
    x, w, b, dy = (torch.tensor(rng.normal(size=s) * f).to(kind).requires_grad_()
                   for s, f in (((50, 384), 1), ((192, 384), 0.05), ((192,), 0.5), ((50, 192), 1)))
    y = linear(x, w, b)
    y.backward(dy.detach())
    return [t.detach().to(torch.float64).numpy() for t in (y, x.grad, w.grad, b.grad)], (x, w, b, dy)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_linear_errs_no_more_than_torchs(kind):
    mine, operands = results(_torch.linear, kind)
    theirs, _ = results(torch.nn.functional.linear, kind)
    x, w, b, dy = (t.detach().to(torch.float64).numpy() for t in operands)
    expected = [x @ w.T + b, dy @ w, dy.T @ x, dy.sum(0)]
    for a, o, e in zip(mine, theirs, expected):
        assert np.abs(a - o).max() <= 2 * np.finfo(np.float16).eps * np.abs(e).max() * (8 if kind == torch.bfloat16 else 1)
        assert np.sqrt(np.mean((a - e) ** 2)) <= 1.02 * np.sqrt(np.mean((o - e) ** 2))
