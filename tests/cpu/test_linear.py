"""linear: y = residual + scale * (x w^T + b) and its gradients, against torch in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from . import _lib as cpu
from ._compare import assert_close, assert_same_bits, random, tensor

# (rows, in, out): single elements, primes, a ViT layer, and what crosses each block size of the product:
# 1024 of the summation (also rows, in the backward pass), 2016 rows, 3072 columns.
SHAPES = [
    (1, 1, 1),
    (1, 16, 10),
    (7, 13, 5),
    (37, 96, 31),
    (197, 192, 576),
    (50, 1031, 70),
    (2050, 9, 40),
    (3, 8, 3100),
]


def _operands(rng, rows, width, out):
    return (
        random(rng, rows, width),
        random(rng, out, width, spread=width**-0.5),
        random(rng, out),
        random(rng, rows, out),
        random(rng, out),
        random(rng, rows, out),
    )


def _expected(x, w, bias, residual, scale, dy):
    """y and the gradients of x, w, bias, residual, scale (None where absent)."""
    leaves = [None if a is None else tensor(a) for a in (x, w, bias, residual, scale)]
    tx, tw, tb, tr, ts = leaves
    y = tx @ tw.T
    y = y if tb is None else y + tb
    y = y if ts is None else y * ts
    y = y if tr is None else y + tr
    y.backward(tensor(dy).detach())
    return y, [None if t is None else t.grad for t in leaves]


@pytest.mark.parametrize("shape", SHAPES)
def test_matches_float64(isa, rng, shape):
    x, w, bias, residual, scale, dy = _operands(rng, *shape)
    y, (dx, dw, db, _, ds) = _expected(x, w, bias, residual, scale, dy)
    assert_close(cpu.linear(x, w, bias, residual, scale), y)
    got = cpu.linear_backward(dy, x, w, bias, scale)
    for result, expected in zip(got, (dx, dw, db, ds), strict=True):
        assert_close(result, expected, floor=1.0)


@pytest.mark.parametrize("present", itertools.product([False, True], repeat=3))
def test_every_combination_of_operands(isa, rng, present):
    x, w, *optional, dy = _operands(rng, 19, 24, 33)
    bias, residual, scale = (a if p else None for a, p in zip(optional, present, strict=True))
    y, (dx, dw, db, _, ds) = _expected(x, w, bias, residual, scale, dy)
    assert_close(cpu.linear(x, w, bias, residual, scale), y)
    got = cpu.linear_backward(dy, x, w, bias, scale)
    assert_close(got[0], dx)
    assert_close(got[1], dw)
    if bias is not None:
        assert_close(got[2], db)
    if scale is not None:
        assert_close(got[3], ds)
    else:
        assert got[3] is None


def test_gradient_of_a_zero_scale(isa, rng):
    """LayerScale may reach zero; its gradient must not be computed by dividing by it."""
    x, w, bias, residual, _, dy = _operands(rng, 21, 16, 12)
    zero = cpu.misaligned(np.zeros(12))
    _, (dx, dw, db, _, ds) = _expected(x, w, bias, residual, zero, dy)
    got = cpu.linear_backward(dy, x, w, bias, zero)
    assert not got[0].any() and not got[1].any() and not got[2].any()
    assert_close(got[3], ds)


@pytest.mark.parametrize("shape", [(197, 100, 331), (2050, 9, 40), (1, 64, 1000)])
def test_bits_do_not_depend_on_threads_or_run(isa, rng, shape):
    x, w, bias, residual, scale, dy = _operands(rng, *shape)
    results = []
    for threads in (1, 2, 3, 5, 2):
        with cpu.running_on(threads=threads):
            results.append(
                (cpu.linear(x, w, bias, residual, scale), *cpu.linear_backward(dy, x, w, bias, scale))
            )
    for other in results[1:]:
        assert_same_bits(results[0], other)


def test_a_row_does_not_depend_on_the_others(isa, rng):
    """A row is the same bits alone or in a batch: no edge tile rounds differently."""
    x, w, bias, *_ = _operands(rng, 30, 50, 47)
    whole = cpu.linear(x, w, bias)
    for row in (0, 11, 12, 29):
        assert_same_bits(
            [cpu.linear(cpu.misaligned(x[row : row + 1]), w, bias)], [whole[row : row + 1].copy()]
        )


def test_nan_stays_in_its_row(isa, rng):
    x, w, bias, *_ = _operands(rng, 40, 33, 20)
    clean = cpu.linear(x, w, bias)
    x[17, 5] = np.nan
    x[3, 0] = np.inf
    y = cpu.linear(x, w, bias)
    assert np.isnan(y[17]).all()
    assert not np.isfinite(y[3]).any()
    keep = [i for i in range(40) if i not in (3, 17)]
    assert_same_bits([y[keep]], [clean[keep]])


def test_no_rows(isa):
    x, w, b, s = cpu.empty(0, 6), cpu.misaligned(np.ones((5, 6))), cpu.empty(5), cpu.empty(5)
    assert cpu.linear(x, w, b, None, s).shape == (0, 5)
    _, dw, db, ds = cpu.linear_backward(cpu.empty(0, 5), x, w, b, s)
    assert not dw.any() and not db.any() and not ds.any()


@pytest.mark.parametrize("sizes", [(-1, 4, 4), (4, 0, 4), (4, 4, 0), (4, 4, -2), (2**40, 2**40, 2**40)])
def test_refuses_impossible_sizes(sizes):
    x = cpu.empty(4, 4)
    y = cpu.empty(4, 4)
    assert cpu.call("linear_forward", x, x, None, None, None, y, *sizes) == cpu.ERROR_SHAPE
    assert np.isnan(y).all()
