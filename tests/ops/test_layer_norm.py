"""layer_norm and add_layer_norm against float64, values and gradients, in both modes."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from tests.ops import _check
from vit_kernels import ops

BACKENDS = ("cpu", "reference")


def _inputs(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) * 2 + 0.5, 1 + 0.1 * rng.standard_normal(shape[-1]), rng.standard_normal(shape[-1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(2, 197, 192), (3, 37), (1, 1, 768), (5, 100), (64,)])
def test_layer_norm(mode, backend, shape):
    op = ops.LayerNormOp(1e-6, backend)
    _check.compare(op, lambda x, g, b: _check.layer_norm(x, g, b, 1e-6), _inputs(shape))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(2, 50, 192), (3, 33)])
def test_add_layer_norm(mode, backend, shape):
    x, gamma, beta = _inputs(shape)
    residual = np.random.default_rng(5).standard_normal(shape)
    op = ops.AddLayerNormOp(1e-6, backend)

    def reference(x, residual, gamma, beta):
        return x + residual, _check.layer_norm(x + residual, gamma, beta, 1e-6)

    _check.compare(op, reference, (x, residual, gamma, beta))


def test_large_mean_keeps_its_variance(mode):
    """E[x^2] - E[x]^2 in fp32 would lose all of it."""
    x = np.random.default_rng(1).standard_normal((4, 256)) + 3000.0
    x = x.astype(np.float32).astype(np.float64)
    got = ops.layer_norm(*(Tensor(a.astype(np.float32)) for a in (x, np.ones(256), np.zeros(256))), backend="cpu")
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    _check.assert_close(got.asnumpy(), expected, 1e-3)


def test_constant_rows_are_finite(mode):
    got = ops.layer_norm(Tensor(np.full((2, 64), 7.0, np.float32)), Tensor(np.ones(64, np.float32)),
                         Tensor(np.zeros(64, np.float32)), backend="cpu")
    assert np.abs(got.asnumpy()).max() <= 1e-2


def test_half_precision_keeps_its_dtype(mode):
    x, gamma, beta = _inputs((2, 9, 64))
    got = ops.layer_norm(*(Tensor(a.astype(np.float16)) for a in (x, gamma, beta)), backend="cpu")
    assert got.dtype == ms.float16
    half = [np.asarray(a.astype(np.float16), np.float64) for a in (x, gamma, beta)]
    mean, var = half[0].mean(-1, keepdims=True), half[0].var(-1, keepdims=True)
    _check.assert_close(got.asnumpy(), (half[0] - mean) / np.sqrt(var + 1e-6) * half[1] + half[2], 4e-3)


@pytest.mark.parametrize("backend", ["cpu"])
def test_errors_name_the_argument(mode, backend):
    x, gamma, beta = (Tensor(a.astype(np.float32)) for a in _inputs((2, 8)))
    with pytest.raises(ValueError, match=r"gamma has shape \(7,\), expected \(8,\)"):
        ops.layer_norm(x, gamma[:7], beta, backend=backend)
    with pytest.raises(ValueError, match="residual"):
        ops.add_layer_norm(x, x[:1], gamma, beta, backend=backend)
    with pytest.raises(TypeError, match="x has dtype Int32"):
        ops.layer_norm(x.astype(ms.int32), gamma, beta, backend=backend)
