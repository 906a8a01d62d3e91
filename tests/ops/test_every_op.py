"""What every operator has to do alike: types, layouts, NaN, empty batches, jit, recomputation, every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from tests.ops import _check
from tests.ops._cases import CASES
from vit_kernels import ops
from vit_kernels.ops import _library

ROOT = Path(__file__).resolve().parents[2]
EPSILON = {"float16": 2.0 ** -10, "bfloat16": 2.0 ** -7}  # distance of neighbours, relative

every_case = pytest.mark.parametrize("name", CASES)


def _tuple(out):
    return out if isinstance(out, tuple) else (out,)


def _float32(tensors):
    return [t.astype(ms.float32).asnumpy() for t in _tuple(tensors)]


@every_case
@pytest.mark.parametrize("dtype, parameters", [("float16", "float32"), ("float16", "same"), ("bfloat16", "same")])
def test_half_precision(mode, name, dtype, parameters):
    """Activations of half precision come and go as such, parameters keep theirs; only their rounding is lost."""
    case, half = CASES[name], getattr(ms, dtype)
    kinds = [half if i < case.activations or parameters == "same" else ms.float32 for i in range(len(case.shapes))]
    tensors = [Tensor(a.astype(np.float32)).astype(kind) for a, kind in zip(case.arrays(), kinds)]
    op = case.make("cpu")
    got = _tuple(op(*tensors))
    assert all(g.dtype == half for g in got)
    # The same rounded numbers in fp32.
    wide = [t.astype(ms.float32) for t in tensors]
    expected = _float32(op(*wide))
    for g, e in zip(_float32(got), expected):
        _check.assert_close(g, e, EPSILON[dtype])
    weights = [np.random.default_rng(i).standard_normal(e.shape) for i, e in enumerate(expected)]
    positions = tuple(range(len(tensors)))
    gradients = _tuple(ms.grad(_check.Weighted(op, weights), positions)(*tensors))
    assert [g.dtype for g in gradients] == kinds
    references = _float32(ms.grad(_check.Weighted(op, weights), positions)(*wide))
    for index, (g, e) in enumerate(zip(_float32(gradients), references)):
        _check.assert_close(g, e, 2 * EPSILON[dtype], f"gradient of argument {index}")


@every_case
def test_batch_of_one(mode, name):
    """One image; results for it do not depend on what else is in the batch."""
    case = CASES[name]
    arrays = [a.astype(np.float32) for a in case.arrays()]
    batched = {i for i, shape in enumerate(case.shapes) if len(shape) > 2}
    one = [Tensor(a[:1]) if i in batched else Tensor(a) for i, a in enumerate(arrays)]
    op = case.make("cpu")
    for single, all_of_them in zip(_float32(op(*one)), _float32(op(*map(Tensor, arrays)))):
        assert (single == all_of_them[:1]).all()


@every_case
def test_non_contiguous_arguments(mode, name):
    """Transposed views and slices give the same bits as contiguous copies, forward and backward."""
    case = CASES[name]
    arrays = [a.astype(np.float32) for a in case.arrays()]
    op = case.make("cpu")
    plain = [Tensor(a) for a in arrays]
    views = []
    for a in arrays:
        if a.ndim > 1:
            view = Tensor(np.ascontiguousarray(np.swapaxes(a, 0, 1))).swapaxes(0, 1)
        else:
            view = Tensor(np.pad(a, (3, 2)))[3:-2]
        assert view.shape == a.shape
        views.append(view)
    expected = _float32(op(*plain))
    for g, e in zip(_float32(op(*views)), expected):
        assert (g == e).all()
    weights = [np.random.default_rng(i).standard_normal(e.shape) for i, e in enumerate(expected)]
    gradient = ms.grad(_check.Weighted(op, weights), tuple(range(len(arrays))))
    for g, e in zip(_float32(gradient(*views)), _float32(gradient(*plain))):
        assert (g == e).all()


@every_case
def test_nan_propagates(mode, name):
    """A NaN in the first argument reaches the output and every gradient, and nothing hangs."""
    case = CASES[name]
    arrays = [a.astype(np.float32) for a in case.arrays()]
    arrays[0][(0,) * arrays[0].ndim] = np.nan
    tensors = [Tensor(a) for a in arrays]
    op = case.make("cpu")
    outputs = _float32(op(*tensors))
    for out in outputs:
        assert np.isnan(out[0]).any()
        assert np.isfinite(out[1:]).all(), "a NaN spread to other images"
    weights = [np.ones(out.shape) for out in outputs]
    gradients = _float32(ms.grad(_check.Weighted(op, weights), tuple(range(len(tensors))))(*tensors))
    assert np.isnan(gradients[0]).any() or name.startswith("linear")  # dx of a linear layer does not depend on x
    if len(gradients) > 1:
        assert np.isnan(gradients[case.activations]).any()


@every_case
def test_empty_batch_is_refused(mode, name):
    case = CASES[name]
    tensors = [Tensor(a.astype(np.float32)[:0] if a.ndim > 2 else a.astype(np.float32)) for a in case.arrays()]
    with pytest.raises(ValueError, match=r"has shape \(0, .*is empty; skip the call for an empty batch"):
        case.make("cpu")(*tensors)


@pytest.mark.parametrize("name, argument", [(name, i) for name in CASES for i in range(len(CASES[name].shapes))])
def test_integer_arguments_are_refused(mode, name, argument):
    case = CASES[name]
    tensors = [Tensor(a.astype(np.float32)) for a in case.arrays()]
    tensors[argument] = tensors[argument].astype(ms.int32)
    with pytest.raises(TypeError, match=r"has dtype Int32, expected float32, float16 or bfloat16; cast it"):
        case.make("cpu")(*tensors)


@every_case
def test_jit(name, pynative_mode):
    """@jit inside a PyNative program."""
    case = CASES[name]
    _check.compare(_Jitted(case.make("cpu")), case.reference, case.arrays())


def _layer_norm(x, gamma, beta):
    return ops.layer_norm(x, gamma, beta, 1e-6, "cpu")


def _add_layer_norm(x, residual, gamma, beta):
    return ops.add_layer_norm(x, residual, gamma, beta, 1e-6, "cpu")


def _attention(qkv):
    return ops.attention(qkv, 2, None, "cpu")


def _gelu_mlp(x, w1, b1, w2, b2):
    return ops.gelu_mlp(x, w1, b1, w2, b2, "tanh", True, "cpu")


def _linear(x, w, b, residual, scale):
    return ops.linear(x, w, b, residual, scale, "cpu")


@pytest.mark.parametrize("name, function", [("layer_norm", _layer_norm), ("add_layer_norm", _add_layer_norm),
                                            ("attention", _attention), ("gelu_mlp_tanh", _gelu_mlp),
                                            ("linear_residual_scale", _linear)])
def test_functions(mode, name, function):
    """The function form, alone and inside another function's graph."""
    case = CASES[name]
    _check.compare(function, case.reference, case.arrays())
    _check.compare(ms.jit(function), case.reference, case.arrays())


class _Jitted(nn.Cell):
    def __init__(self, op):
        super().__init__()
        self.op = op

    @ms.jit
    def construct(self, *args):
        return self.op(*args)


@every_case
def test_recompute(mode, name):
    """Recomputing the operator in the backward pass gives the same bits."""
    case = CASES[name]
    tensors = [Tensor(a.astype(np.float32)) for a in case.arrays()]
    kept, again = _Wrapped(case.make("cpu")), _Wrapped(case.make("cpu"))
    again.recompute()
    weights = [np.random.default_rng(i).standard_normal(o.shape) for i, o in enumerate(_float32(kept(*tensors)))]
    positions = tuple(range(len(tensors)))
    expected = _float32(ms.grad(_check.Weighted(kept, weights), positions)(*tensors))
    got = _float32(ms.grad(_check.Weighted(again, weights), positions)(*tensors))
    for g, e in zip(got, expected):
        assert (g == e).all()


class _Wrapped(nn.Cell):
    def __init__(self, op):
        super().__init__()
        self.op = op

    def construct(self, *args):
        return self.op(*args)


@pytest.mark.parametrize("isa", _library.isa_list())
def test_instruction_set(isa):
    """Every instruction set of this machine, chosen by the environment as a user would, in a process of its own."""
    environment = {**os.environ, "VIT_KERNELS_ISA": isa, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-m", "tests.ops._every_op"], env=environment, capture_output=True, text=True,
                         timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.split() == [isa, *CASES]


def test_subnormal_numbers_in_every_call(mode):
    """The thread that MindSpore runs a kernel on differs from call to call, and with it, without the kernels' care, whether
    subnormal numbers become zero."""
    from mindspore import Tensor

    from vit_kernels.ops import LinearOp

    x, w = np.full((512, 64), 1e-20, np.float32), np.full((64, 64), 1e-20, np.float32)
    op = LinearOp("cpu")
    for _ in range(4):
        y = op(Tensor(x), Tensor(w), Tensor(np.zeros(64, np.float32))).asnumpy()
        np.testing.assert_allclose(y, 64e-40, rtol=1e-4)
