"""gelu_mlp in both forms, training and inference, and its gradients, against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erfc

from . import _lib as cpu
from ._compare import assert_close, assert_same_bits, random, tensor

# (rows, in, hidden, out). 800 hidden columns are two slices in inference; 1100 exceeds one block of a sum. Backward,
# more than 204 rows are "many", which pack the weights as a whole, and 1024 rows are a chunk.
SHAPES = [
    (1, 1, 1, 1),
    (5, 7, 11, 3),
    (50, 48, 192, 48),
    (197, 64, 800, 33),
    (29, 1100, 40, 20),
    (300, 12, 48, 1030),
    (205, 1040, 56, 1060),
    (1100, 36, 1090, 50),
]


def _operands(rng, rows, width, hidden, out):
    return (
        random(rng, rows, width),
        random(rng, hidden, width, spread=width**-0.5),
        random(rng, hidden),
        random(rng, out, hidden, spread=hidden**-0.5),
        random(rng, out),
    )


@pytest.mark.parametrize("tanh", [False, True], ids=["erf", "tanh"])
@pytest.mark.parametrize("shape", SHAPES)
def test_matches_float64(isa, rng, shape, tanh):
    operands = _operands(rng, *shape)
    dy = random(rng, shape[0], shape[3])
    x, w1, b1, w2, b2 = leaves = [tensor(a) for a in operands]
    h = x @ w1.T + b1
    y = torch.nn.functional.gelu(h, approximate="tanh" if tanh else "none") @ w2.T + b2
    y.backward(tensor(dy).detach())

    got_y, got_h = cpu.gelu_mlp(*operands, tanh=tanh)
    assert_close(got_h, h)
    assert_close(got_y, y, floor=1.0)
    assert_close(cpu.gelu_mlp(*operands, tanh=tanh, keep=False)[0], y, floor=1.0)
    got = cpu.gelu_mlp_backward(dy, operands[0], got_h, operands[1], operands[3], tanh=tanh)
    for result, leaf in zip(got, leaves, strict=True):
        assert_close(result, leaf.grad, floor=1.0)


def test_many_row_chunks(isa, rng):
    """The backward pass works through the rows in chunks that hold 4 Mi hidden elements, or 1024 rows."""
    operands = _operands(rng, 190, 3, 50000, 2)
    dy = random(rng, 190, 2)
    x, w1, b1, w2, b2 = leaves = [tensor(a) for a in operands]
    (torch.nn.functional.gelu(x @ w1.T + b1) @ w2.T + b2).backward(tensor(dy).detach())
    _, h = cpu.gelu_mlp(*operands)
    got = cpu.gelu_mlp_backward(dy, operands[0], h, operands[1], operands[3])
    for result, leaf in zip(got, leaves, strict=True):
        assert_close(result, leaf.grad, tolerance=1e-5)


def _pointwise(x: np.ndarray, tanh: bool):
    """GELU and its derivative of every element, through an MLP of width one with unit weights."""
    one, zero = cpu.misaligned(np.ones((1, 1))), cpu.misaligned(np.zeros(1))
    x = cpu.misaligned(x.reshape(-1, 1))
    y, h = cpu.gelu_mlp(x, one, zero, one, zero, tanh=tanh)
    dy = cpu.misaligned(np.ones_like(x))
    dx, *_ = cpu.gelu_mlp_backward(dy, x, h, one, one, tanh=tanh)
    return y.ravel().astype(np.float64), dx.ravel().astype(np.float64)


@pytest.mark.parametrize("tanh", [False, True], ids=["erf", "tanh"])
def test_gelu_is_exact_to_a_few_ulp(isa, tanh):
    """Over the whole range where GELU is neither 0 nor x, in the left tail relative to its own tiny size."""
    x = np.concatenate(
        [np.linspace(-13, 13, 40001), np.geomspace(1e-30, 1, 500), -np.geomspace(1e-30, 1, 500)]
    )
    x = x.astype(np.float32)
    wide = x.astype(np.float64)
    if tanh:
        u = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
        gate = 1 / (1 + np.exp(-2 * u))
        slope = gate + wide * gate * (1 - gate) * 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * wide**2)
    else:
        gate = 0.5 * erfc(-wide / np.sqrt(2))
        slope = gate + wide * np.exp(-0.5 * wide**2) / np.sqrt(2 * np.pi)
    value = wide * gate
    got, got_slope = _pointwise(x, tanh)
    assert np.abs(got - value).max() <= 4e-7 * 2  # 13 has an ulp of 9.5e-7
    assert np.abs(got_slope - slope).max() <= 4e-7
    normal = np.abs(value) > 1e-30
    # e^-u inherits u's rounding times |u|: u reaches 85 in the erf form's tail and 250 in the tanh form's.
    relative = np.abs(got - value)[normal] / np.abs(value)[normal]
    near = np.abs(wide[normal]) < 3
    assert relative[near].max() <= 2e-6
    assert relative.max() <= (4e-5 if tanh else 1e-5)


@pytest.mark.parametrize("tanh", [False, True], ids=["erf", "tanh"])
def test_gelu_of_special_values(isa, tanh):
    y, slope = _pointwise(np.array([0.0, -0.0, 100.0, -100.0, 3e38, -3e38, np.inf, np.nan], np.float32), tanh)
    assert np.array_equal(y[:6], [0, 0, 100, 0, np.float32(3e38), 0])
    assert y[6] == np.inf and np.isnan(y[7])
    assert slope[0] == 0.5 and slope[2] == 1 and slope[3] == 0 and slope[4] == 1 and slope[5] == 0
    assert np.isnan(slope[7])


def test_bits_do_not_depend_on_threads_or_run(isa, rng):
    x, w1, b1, w2, b2 = _operands(rng, 203, 40, 900, 37)
    dy = random(rng, 203, 37)
    results = []
    for threads in (1, 2, 3, 5, 2):
        with cpu.running_on(threads=threads):
            y, h = cpu.gelu_mlp(x, w1, b1, w2, b2)
            inference, _ = cpu.gelu_mlp(x, w1, b1, w2, b2, keep=False)
            results.append((y, h, inference, *cpu.gelu_mlp_backward(dy, x, h, w1, w2)))
    for other in results[1:]:
        assert_same_bits(results[0], other)


def test_a_row_does_not_depend_on_the_others(isa, rng):
    """Few and many rows are different loops in inference; the same row must give the same bits in both."""
    operands = _operands(rng, 400, 30, 900, 37)
    whole, _ = cpu.gelu_mlp(*operands, keep=False)
    for rows in (slice(0, 1), slice(200, 250)):
        part, _ = cpu.gelu_mlp(cpu.misaligned(operands[0][rows]), *operands[1:], keep=False)
        assert_same_bits([part], [whole[rows].copy()])


def test_nan_stays_in_its_row(isa, rng):
    operands = _operands(rng, 25, 16, 64, 16)
    clean, _ = cpu.gelu_mlp(*operands, keep=False)
    operands[0][9, 3] = np.nan
    y, _ = cpu.gelu_mlp(*operands, keep=False)
    assert np.isnan(y[9]).all()
    assert_same_bits([np.delete(y, 9, 0)], [np.delete(clean, 9, 0)])


def test_no_rows(isa, rng):
    _, w1, b1, w2, b2 = _operands(rng, 1, 6, 24, 6)
    x = cpu.empty(0, 6)
    y, h = cpu.gelu_mlp(x, w1, b1, w2, b2)
    assert y.shape == (0, 6)
    for gradient in cpu.gelu_mlp_backward(cpu.empty(0, 6), x, h, w1, w2):
        assert not gradient.any()
