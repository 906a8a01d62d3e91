"""linear against float64, values and gradients, in both modes, with every combination of optional operands."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from tests.ops import _check
from vit_kernels import ops

BACKENDS = ("cpu", "reference")


def _inputs(rows, k, n, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((*rows, k)), "w": rng.standard_normal((n, k)) / k ** 0.5,
            "b": rng.standard_normal(n), "residual": rng.standard_normal((*rows, n)), "scale": rng.standard_normal(n)}


class _WithOptional(nn.Cell):
    """Takes only the operands that are there: graph mode has no gradient for None."""

    def __init__(self, op, optional):
        super().__init__()
        self.op = op
        self.b, self.residual, self.scale = ((optional.index(name) if name in optional else -1)
                                             for name in ("b", "residual", "scale"))

    def construct(self, x, w, *rest):
        b = residual = scale = None
        if self.b >= 0:
            b = rest[self.b]
        if self.residual >= 0:
            residual = rest[self.residual]
        if self.scale >= 0:
            scale = rest[self.scale]
        return self.op(x, w, b, residual, scale)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [((2, 50), 192, 576), ((7,), 33, 65), ((1, 1, 1), 5, 3)])
def test_bias(mode, backend, shape):
    values = _inputs(*shape)
    _check.compare(ops.LinearOp(backend), _check.linear, [values[k] for k in ("x", "w", "b")])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("optional", [(), ("residual",), ("scale",), ("residual", "scale"), ("b", "residual"),
                                      ("b", "scale"), ("b", "residual", "scale")])
def test_optional_operands(mode, backend, optional):
    values = _inputs((3, 11), 24, 40)
    names = ["x", "w", *optional]
    op = _WithOptional(ops.LinearOp(backend), optional)
    _check.compare(op, lambda *a: _check.linear(**dict(zip(names, a))), [values[n] for n in names])


def test_non_contiguous_input(mode):
    values = _inputs((6,), 24, 10)
    x = Tensor(np.ascontiguousarray(values["x"].T.astype(np.float32))).T
    got = ops.linear(x, Tensor(values["w"].astype(np.float32)), backend="cpu").asnumpy()
    _check.assert_close(got, values["x"] @ values["w"].T, 2e-6)
    sliced = Tensor(np.pad(values["x"], ((1, 2), (3, 4))).astype(np.float32))[1:-2, 3:-4]
    assert (ops.linear(sliced, Tensor(values["w"].astype(np.float32)), backend="cpu").asnumpy() == got).all()


def test_errors_name_the_argument(mode):
    values = {k: Tensor(v.astype(np.float32)) for k, v in _inputs((3,), 8, 16).items()}
    with pytest.raises(ValueError, match=r"w has shape \(16, 8\), expected \(16, 7\)"):
        ops.linear(values["x"][:, :7], values["w"], backend="cpu")
    with pytest.raises(ValueError, match="residual has shape"):
        ops.linear(values["x"], values["w"], residual=values["residual"][:2], backend="cpu")
    with pytest.raises(ValueError, match="b has shape"):
        ops.linear(values["x"], values["w"], values["b"][:3], backend="cpu")
