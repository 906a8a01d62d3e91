"""gelu_mlp against float64, values and gradients, in both modes, in its training and its inference form."""

import numpy as np
import pytest
from mindspore import Tensor

from tests.ops import _check
from vit_kernels import ops

BACKENDS = ("cpu", "reference")


def _inputs(rows, width, hidden, out, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((*rows, width)), rng.standard_normal((hidden, width)) / width ** 0.5,
            0.1 * rng.standard_normal(hidden), rng.standard_normal((out, hidden)) / hidden ** 0.5,
            0.1 * rng.standard_normal(out))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [((2, 50), 64, 256, 64), ((7,), 33, 65, 10), ((1, 1), 192, 768, 192)])
def test_gelu_mlp(mode, backend, approximate, training, shape):
    op = ops.GeluMlpOp(approximate, backend).set_train(training)
    _check.compare(op, lambda *a: _check.gelu_mlp(*a, approximate), _inputs(*shape), forward=4e-6, gradient=1e-5)


def test_erf_and_tanh_forms_differ(mode):
    """They are 5e-4 apart at most: a mix-up would pass any loose comparison."""
    identity = np.eye(64)
    x = np.linspace(-4, 4, 64 * 20).reshape(20, 64)
    args = [Tensor(a.astype(np.float32)) for a in (x, identity, np.zeros(64), identity, np.zeros(64))]
    exact = ops.gelu_mlp(*args, approximate="none", backend="cpu").asnumpy()
    tanh = ops.gelu_mlp(*args, approximate="tanh", backend="cpu").asnumpy()
    assert 1e-4 < np.abs(exact - tanh).max() < 1e-3


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_extreme_activations(mode, approximate):
    x = np.array([[-1e4, -50.0, -10.0, -5.0, -0.0, 5.0, 50.0, 1e4]])
    identity = np.eye(8)
    op = ops.GeluMlpOp(approximate, "cpu").set_train(True)
    _check.compare(op, lambda *a: _check.gelu_mlp(*a, approximate), (x, identity, np.zeros(8), identity, np.zeros(8)))


def test_errors_name_the_argument(mode):
    x, w1, b1, w2, b2 = (Tensor(a.astype(np.float32)) for a in _inputs((3,), 8, 16, 8))
    with pytest.raises(ValueError, match=r"w1 has shape \(16, 8\), expected \(16, 7\)"):
        ops.gelu_mlp(x[:, :7], w1, b1, w2, b2, backend="cpu")
    with pytest.raises(ValueError, match="b2"):
        ops.gelu_mlp(x, w1, b1, w2, b2[:3], backend="cpu")
    with pytest.raises(ValueError, match="approximate='quick'"):
        ops.gelu_mlp(x, w1, b1, w2, b2, approximate="quick", backend="cpu")
