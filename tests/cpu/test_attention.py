"""attention, forward and backward, against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest

from . import _lib as cpu
from ._compare import assert_close, assert_same_bits, random, tensor

# (batch, tokens, heads, head_dim): the tokens of ViTs with 224, 256, 384 and 512 pixel images, head sizes
# that models use, and ones that fill no register.
SHAPES = [
    (1, 1, 1, 16),
    (3, 2, 2, 8),
    (2, 50, 3, 64),
    (1, 197, 2, 64),
    (2, 257, 1, 80),
    (1, 577, 2, 32),
    (1, 1025, 1, 24),
    (2, 31, 2, 5),
    (1, 65, 2, 33),
    (1, 300, 1, 128),
    (1, 20, 1, 200),
]


def _expected(qkv, dout, scale):
    """out, lse and the gradient of qkv."""
    leaf = tensor(qkv)
    q, k, v = (leaf[:, :, i].transpose(1, 2) for i in range(3))
    scores = q @ k.transpose(-1, -2) * scale
    out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(dout.shape)
    out.backward(tensor(dout).detach())
    return out, scores.logsumexp(-1), leaf.grad


def _case(rng, batch, tokens, heads, head_dim, spread=1.0):
    return random(rng, batch, tokens, 3, heads, head_dim, spread=spread), random(
        rng, batch, tokens, heads * head_dim
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_float64(isa, rng, shape):
    qkv, dout = _case(rng, *shape)
    scale = shape[3] ** -0.5
    expected_out, expected_lse, expected_dqkv = _expected(qkv, dout, scale)
    out, lse = cpu.attention(qkv, scale)
    assert_close(out, expected_out)
    assert_close(lse, expected_lse, floor=1.0)
    assert_close(cpu.attention_backward(dout, qkv, out, lse, scale), expected_dqkv)


def test_peaked_and_growing_scores(isa, rng):
    """Scores of hundreds: the maximum must be subtracted, and raised again in later blocks of keys."""
    qkv, dout = _case(rng, 1, 900, 1, 16, spread=0.1)
    qkv[0, :, 0, 0, 0] = 10
    qkv[0, :, 1, 0, 0] = np.linspace(-60, 60, 900)
    expected_out, expected_lse, expected_dqkv = _expected(qkv, dout, 0.5)
    out, lse = cpu.attention(qkv, 0.5)
    assert_close(out, expected_out, tolerance=1e-4)  # scores near 300 carry errors near 2e-5
    assert_close(lse, expected_lse)
    assert_close(cpu.attention_backward(dout, qkv, out, lse, 0.5), expected_dqkv, tolerance=2e-4)


def test_uniform_scores_average_the_values(isa, rng):
    qkv, _ = _case(rng, 1, 197, 2, 16)
    qkv[:, :, 0] = 0
    out, lse = cpu.attention(qkv, 0.25)
    assert_close(
        out.reshape(197, 2, 16),
        np.broadcast_to(qkv[0, :, 2].astype(np.float64).mean(0), (197, 2, 16)),
        floor=1.0,
    )
    assert_close(lse, np.full((1, 2, 197), np.log(197.0)))


def test_a_key_at_minus_infinity_is_ignored(isa, rng):
    """q.k = -inf is how a mask looks: weight exactly zero, everything else as without that key."""
    qkv, _ = _case(rng, 1, 40, 1, 16)
    qkv[0, :, 0, 0, 0] = 1.0
    short = cpu.misaligned(qkv[:, :39])
    qkv[0, 39, 1, 0, 0] = -np.inf
    out, lse = cpu.attention(qkv, 0.25)
    expected, expected_lse, _ = _expected(short, cpu.misaligned(np.zeros((1, 39, 16))), 0.25)
    assert_close(cpu.misaligned(out[:, :39]), expected)
    assert_close(cpu.misaligned(lse[..., :39]), expected_lse)


def test_nan_reaches_what_depends_on_it(isa, rng):
    qkv, dout = _case(rng, 2, 60, 2, 16)
    qkv[1, 7, 0, 1, 3] = np.nan  # a query of batch 1, head 1
    out, lse = cpu.attention(qkv, 0.25)
    bad = np.isnan(out.reshape(2, 60, 2, 16))
    assert bad[1, 7, 1].all() and bad.sum() == 16
    assert np.isnan(lse[1, 1, 7]) and np.isnan(lse).sum() == 1
    dqkv = np.isnan(cpu.attention_backward(dout, qkv, out, lse, 0.25))
    assert dqkv[1, 7, 0, 1].all() and not dqkv[0].any() and not dqkv[:, :, :, 0].any()

    qkv[1, 7, 0, 1, 3] = 0
    qkv[0, 5, 1, 0, 2] = np.nan  # a key: every query of batch 0, head 0
    out, _ = cpu.attention(qkv, 0.25)
    bad = np.isnan(out.reshape(2, 60, 2, 16))
    assert bad[0, :, 0].all() and bad.sum() == 60 * 16


@pytest.mark.parametrize("shape", [(2, 197, 3, 64), (1, 601, 1, 32)], ids=str)
def test_bits_do_not_depend_on_threads_or_run(isa, rng, shape):
    qkv, dout = _case(rng, *shape)
    results = []
    for threads in (1, 2, 3, 5, 2):
        with cpu.running_on(threads=threads):
            out, lse = cpu.attention(qkv, 0.125)
            results.append((out, lse, cpu.attention_backward(dout, qkv, out, lse, 0.125)))
    for other in results[1:]:
        assert_same_bits(results[0], other)


def test_memory_does_not_grow_with_the_square_of_the_tokens(isa, rng):
    """4097 tokens would need 64 MiB for one head's scores; the kernels hold blocks of them."""
    qkv, dout = _case(rng, 1, 4097, 1, 16)
    with cpu.running_on(threads=1):
        before = cpu.lib.vit_cpu_scratch_bytes()
        out, lse = cpu.attention(qkv, 0.25)
        cpu.attention_backward(dout, qkv, out, lse, 0.25)
        assert cpu.lib.vit_cpu_scratch_bytes() - before < 8 << 20


@pytest.mark.parametrize("sizes", [(0, 5, 2, 8), (2, 0, 2, 8)])
def test_nothing_to_do(isa, sizes):
    batch, tokens, heads, dim = sizes
    qkv = cpu.empty(batch, tokens, 3, heads, dim)
    out, lse = cpu.attention(qkv, 1.0)
    assert out.shape == (batch, tokens, heads * dim)
    assert cpu.attention_backward(out, qkv, out, lse, 1.0).shape == qkv.shape
