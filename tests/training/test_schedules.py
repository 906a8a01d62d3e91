"""The cosine against torch's schedulers and MAE's per-step formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vit_kernels.training.schedules import cosine_with_warmup


@pytest.mark.parametrize("total, warmup, peak, final", [(100, 0, 1.0, 0.0), (100, 10, 2e-3, 1e-6), (7, 7, 1.0, 0.1), (1, 0, 1.0, 0.0)])
def test_against_torch(total, warmup, peak, final):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    parts = [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: t / max(warmup, 1)),
             torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(total - warmup, 1), eta_min=final)]
    if warmup:
        scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [warmup])
    else:
        optimizer.param_groups[0]["lr"] = peak
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total, eta_min=final)
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(cosine_with_warmup(peak, total, warmup, final), expected, rtol=1e-9, atol=1e-12)


def test_against_maes_formula():
    """MAE adjusts the rate by fractions of epochs: lr * e / W, then min + (lr - min) (1 + cos(pi (e - W) / (E - W))) / 2."""
    steps, epochs, warmup = 13, 20, 5
    got = cosine_with_warmup(5e-4, steps * epochs, steps * warmup, 1e-6)
    for t in range(0, steps * epochs, 7):
        e = t / steps
        expected = 5e-4 * e / warmup if e < warmup else \
            1e-6 + (5e-4 - 1e-6) * 0.5 * (1 + math.cos(math.pi * (e - warmup) / (epochs - warmup)))
        assert got[t] == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_warmup_from_a_rate():
    np.testing.assert_allclose(cosine_with_warmup(1.0, 6, 4, initial=0.2)[:5], [0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("total, warmup", [(0, 0), (5, 6), (5, -1)])
def test_out_of_range(total, warmup):
    with pytest.raises(ValueError, match="total_steps"):
        cosine_with_warmup(1.0, total, warmup)
