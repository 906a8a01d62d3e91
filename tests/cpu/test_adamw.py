"""adamw against the formula in float64, and what it must not do."""

from __future__ import annotations

import numpy as np
import pytest

from . import _lib as cpu
from ._compare import assert_same_bits

RATE, DECAY, BETA1, BETA2, EPSILON = 1e-2, 0.3, 0.9, 0.999, 1e-8


def step(w, m, v, g, t):
    """Algorithm 2 of arXiv:1711.05101, in the precision of its arguments."""
    m = BETA1 * m + (1 - BETA1) * g
    v = BETA2 * v + (1 - BETA2) * g * g
    return w - RATE * (m / (1 - BETA1**t) / (np.sqrt(v / (1 - BETA2**t)) + EPSILON) + DECAY * w), m, v


def kernel(w, m, v, g, t):
    """The same by the kernel, on copies."""
    w, m, v = cpu.misaligned(w), cpu.misaligned(m), cpu.misaligned(v)
    corrections = 1 - BETA1**t, float(np.sqrt(1 - BETA2**t))
    cpu.check("adamw", w, m, v, cpu.misaligned(g), RATE, DECAY, 1 - BETA1, 1 - BETA2, EPSILON, *corrections, w.size)
    return w, m, v


def arrays(rng, size):
    """Gradients of sizes from where epsilon matters to large."""
    w, m = rng.standard_normal((2, size))
    g = rng.standard_normal(size) * 10.0 ** rng.integers(-9, 4, size)
    return w, m * np.abs(g), (g * rng.uniform(0.1, 2, size)) ** 2, g


@pytest.mark.parametrize("size", [1, 15, 16, 17, 1000, 16 * 1024, 100_003])
@pytest.mark.parametrize("t", [1, 7, 100_000])
def test_matches_float64(isa, rng, size, t):
    values = [np.float32(a).astype(np.float64) for a in arrays(rng, size)]
    w, m, v = kernel(*values, t)
    expected = step(*values, t)
    np.testing.assert_allclose(w, expected[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(m, expected[1], rtol=1e-5, atol=1e-6 * np.abs(values[3]).max())
    np.testing.assert_allclose(v, expected[2], rtol=1e-6, atol=1e-30)


def test_any_number_of_threads_gives_the_same_bits(isa, rng):
    values = arrays(rng, 300_000)
    results = []
    for threads in (1, 2, 5):
        with cpu.running_on(isa, threads):
            results.append(kernel(*values, 3))
    for other in results[1:]:
        assert_same_bits(other, results[0])


def test_nothing_and_not_a_number(isa):
    """No elements: nothing is touched. A NaN stays with its element; a gradient too large to square stops its weight."""
    kernel(*np.zeros((4, 0)), 1)
    g = np.array([1.0, np.nan, 1e30, np.inf])
    w, _, v = kernel(np.ones(4), np.zeros(4), np.zeros(4), g, 1)
    assert np.isfinite(w[0]) and np.isnan(w[1]) and np.isinf(v[2])
    np.testing.assert_allclose(w[2], 1 - RATE * DECAY, rtol=1e-6)


def test_a_negative_size_is_refused():
    one = cpu.misaligned([1.0])
    assert cpu.call("adamw", one, one, one, one, *[0.1] * 7, -1) == cpu.ERROR_SHAPE
