"""attention against float64, values and gradients, in both modes."""

import logging
import math

import numpy as np
import pytest
from mindspore import Tensor

from tests.ops import _check
from vit_kernels import ops

BACKENDS = ("cpu", "reference")


def _qkv(batch, tokens, heads, head_dim, seed=0):
    return np.random.default_rng(seed).standard_normal((batch, tokens, 3, heads, head_dim))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(2, 197, 3, 64), (1, 1, 2, 32), (1, 50, 2, 80), (3, 17, 1, 16), (1, 65, 2, 20)])
def test_attention(mode, backend, shape):
    scale = 1 / math.sqrt(shape[-1])
    _check.compare(ops.AttentionOp(shape[-1], None, backend), lambda qkv: _check.attention(qkv, scale), [_qkv(*shape)])


@pytest.mark.parametrize("tokens", [257, 577])
def test_long_sequences(graph_mode, tokens):
    _check.compare(ops.AttentionOp(64, None, "cpu"), lambda qkv: _check.attention(qkv, 0.125), [_qkv(1, tokens, 1, 64)])


def test_explicit_scale(mode):
    _check.compare(ops.AttentionOp(32, 0.5, "cpu"), lambda qkv: _check.attention(qkv, 0.5), [_qkv(1, 20, 2, 32)])


def test_large_scores_do_not_overflow(mode):
    """exp(score) alone would be infinite; the running maximum keeps it finite."""
    qkv = _qkv(1, 40, 1, 32) * 30
    _check.compare(ops.AttentionOp(32, None, "cpu"), lambda t: _check.attention(t, 1 / math.sqrt(32)), [qkv],
                   forward=1e-4, gradient=1e-3)


def test_function_takes_the_projection_as_it_is(mode):
    qkv = _qkv(2, 10, 4, 16)
    packed = Tensor(qkv.reshape(2, 10, 3 * 64).astype(np.float32))
    got = ops.attention(packed, 4, backend="cpu").asnumpy()
    expected = ops.attention(Tensor(qkv.astype(np.float32)), 4, backend="cpu").asnumpy()
    assert (got == expected).all()


def test_nan_stays_in_its_head(mode):
    qkv = _qkv(1, 12, 2, 16).astype(np.float32)
    qkv[0, 3, 0, 1, 2] = np.nan  # q of token 3, head 1
    got = ops.attention(Tensor(qkv), 2, backend="cpu").asnumpy().reshape(12, 2, 16)
    assert np.isnan(got[3, 1]).all()
    assert np.isfinite(np.delete(got[:, 1], 3, 0)).all() and np.isfinite(got[:, 0]).all()


def test_oversized_heads_run_on_the_reference_and_say_so(mode, caplog):
    ops._backend.notice.cache_clear()
    with caplog.at_level(logging.WARNING, "vit_kernels"):
        # A width nothing else uses, so that graph mode has not already compiled this call.
        head_dim = 136 if mode == "graph" else 144
        got = ops.attention(Tensor(_qkv(1, 5, 1, head_dim).astype(np.float32)), 1, backend="cpu")
    assert got.shape == (1, 5, head_dim)
    assert "head_dim" in caplog.text and "128" in caplog.text


def test_errors_name_the_argument(mode):
    with pytest.raises(ValueError, match=r"qkv has shape \(2, 5, 2, 4, 16\)"):
        ops.AttentionOp(16, None, "cpu")(Tensor(np.zeros((2, 5, 2, 4, 16), np.float32)))
    with pytest.raises(ValueError, match="num_heads=5"):
        ops.attention(Tensor(np.zeros((2, 5, 48), np.float32)), 5, backend="cpu")
    with pytest.raises(TypeError, match="qkv has dtype"):
        ops.attention(Tensor(np.zeros((2, 5, 48), np.int32)), 4, backend="cpu")
