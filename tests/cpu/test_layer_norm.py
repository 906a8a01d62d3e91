"""layer_norm and add_layer_norm, forward and backward, against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from . import _lib as cpu
from ._compare import assert_close, assert_same_bits, random, tensor

EPSILON = 1e-6
SHAPES = [(1, 2), (3, 7), (5, 16), (50, 192), (3, 67, 48), (197, 768), (600, 129), (4111, 10), (2, 4097)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_float64(isa, rng, shape):
    width = shape[-1]
    x, residual, dsum, dy = (random(rng, *shape) for _ in range(4))
    gamma, beta = random(rng, width), random(rng, width)
    tx, tg, tb = tensor(x), tensor(gamma), tensor(beta)
    ty = torch.nn.functional.layer_norm(tx, (width,), tg, tb, EPSILON)
    ty.backward(tensor(dy).detach())
    y, mean, rstd = cpu.layer_norm(x, gamma, beta, EPSILON)
    assert_close(y, ty)
    flat = x.reshape(-1, width).astype(np.float64)
    assert_close(mean, flat.mean(1), floor=1.0)
    assert_close(rstd, (flat.var(1) + EPSILON) ** -0.5)
    size = float(rstd.max())  # rows of few elements: terms of this size cancel
    dx, dgamma, dbeta = cpu.layer_norm_backward(dy, x, gamma, mean, rstd)
    assert_close(dx, tx.grad, floor=size)
    assert_close(dgamma, tg.grad)
    assert_close(dbeta, tb.grad)

    tx, tr = tensor(x), tensor(residual)
    tsum = tx + tr
    ty = torch.nn.functional.layer_norm(tsum, (width,), tg.detach(), tb.detach(), EPSILON)
    torch.autograd.backward([tsum, ty], [tensor(dsum).detach(), tensor(dy).detach()])
    total, y, mean, rstd = cpu.add_layer_norm(x, residual, gamma, beta, EPSILON)
    assert_close(total, tsum)
    assert_close(y, ty, floor=1.0)
    dx, _, _ = cpu.add_layer_norm_backward(dsum, dy, total, gamma, mean, rstd)
    assert_close(dx, tx.grad, floor=float(rstd.max()))
    assert_close(dx, tr.grad, floor=float(rstd.max()))


def test_large_mean_keeps_the_variance(isa, rng):
    """mean 1000, deviation 1: E[x^2] - E[x]^2 would leave about no correct digit in fp32."""
    x = cpu.misaligned(1000 + rng.standard_normal((20, 768)))
    gamma, beta = cpu.misaligned(np.ones(768)), cpu.misaligned(np.zeros(768))
    y, _, _ = cpu.layer_norm(x, gamma, beta, EPSILON)
    expected = torch.nn.functional.layer_norm(tensor(x), (768,), eps=EPSILON)
    assert np.abs(y - expected.detach().numpy()).max() <= 2e-4  # the rounding of x itself is 6e-5


def test_constant_rows(isa):
    """Variance zero: the output is beta, and nothing is infinite."""
    x = cpu.misaligned(np.full((4, 50), 3.0))
    gamma, beta = cpu.misaligned(np.full(50, 2.0)), cpu.misaligned(np.arange(50.0))
    y, mean, rstd = cpu.layer_norm(x, gamma, beta, EPSILON)
    assert np.abs(y - beta).max() <= 2 * 1e3 * 3e-7  # rstd is 1000; the mean of 50 threes may be an ulp off
    assert np.isfinite(rstd).all()
    dx, *_ = cpu.layer_norm_backward(y, x, gamma, mean, rstd)
    assert np.isfinite(dx).all()


def test_bits_do_not_depend_on_threads_or_run(isa, rng):
    x, residual, dsum, dy = (random(rng, 1003, 129) for _ in range(4))
    gamma, beta = random(rng, 129), random(rng, 129)
    results = []
    for threads in (1, 2, 3, 5, 2):
        with cpu.running_on(threads=threads):
            total, y, mean, rstd = cpu.add_layer_norm(x, residual, gamma, beta, EPSILON)
            back = cpu.add_layer_norm_backward(dsum, dy, total, gamma, mean, rstd)
            results.append((total, y, mean, rstd, *back))
    for other in results[1:]:
        assert_same_bits(results[0], other)


def test_nan_stays_in_its_row(isa, rng):
    x, gamma, beta = random(rng, 30, 40), random(rng, 40), random(rng, 40)
    clean, *_ = cpu.layer_norm(x, gamma, beta, EPSILON)
    x[4, 39] = np.nan
    x[8, 0] = np.inf
    y, *_ = cpu.layer_norm(x, gamma, beta, EPSILON)
    assert np.isnan(y[4]).all() and np.isnan(y[8]).any()
    assert_same_bits([np.delete(y, [4, 8], 0)], [np.delete(clean, [4, 8], 0)])


def test_no_rows(isa):
    x, gamma = cpu.empty(0, 8), cpu.misaligned(np.ones(8))
    y, mean, rstd = cpu.layer_norm(x, gamma, gamma, EPSILON)
    assert y.shape == (0, 8)
    _, dgamma, dbeta = cpu.layer_norm_backward(x, x, gamma, mean, rstd)
    assert not dgamma.any() and not dbeta.any()
