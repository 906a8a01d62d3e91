"""The entry points MindSpore calls: the same bits as the plain ones, and a code for everything wrong."""

from __future__ import annotations

import ctypes
import itertools

import numpy as np
import pytest

from . import _lib as cpu
from ._compare import assert_same_bits, random


def _call(symbol: str, inputs, outputs, dtypes=None) -> int:
    """Calls an AOT symbol the way MindSpore does."""
    arrays = [*inputs, *outputs]
    count = len(arrays)
    shapes = [(ctypes.c_int64 * max(1, a.ndim))(*a.shape) for a in arrays]
    names = [n.encode() for n in (dtypes or ["float32"] * count)]
    return getattr(cpu.lib, symbol)(
        ctypes.c_int(count),
        (ctypes.c_void_p * count)(*(a.ctypes.data for a in arrays)),
        (ctypes.c_int * count)(*(a.ndim for a in arrays)),
        (ctypes.POINTER(ctypes.c_int64) * count)(
            *(ctypes.cast(s, ctypes.POINTER(ctypes.c_int64)) for s in shapes)
        ),
        (ctypes.c_char_p * count)(*names),
        None,
        None,
    )


def _check(symbol: str, inputs, expected) -> None:
    """Runs `symbol` into fresh outputs shaped like `expected` and compares the bits."""
    expected = [e for e in expected if e is not None]
    outputs = [cpu.empty(*e.shape) for e in expected]
    assert _call(symbol, inputs, outputs) == cpu.OK
    assert_same_bits(outputs, expected)


def test_layer_norm(rng):
    x, residual, dsum, dy = (random(rng, 3, 5, 24) for _ in range(4))
    gamma, beta, eps = random(rng, 24), random(rng, 24), cpu.misaligned([1e-5])
    saved = cpu.layer_norm(x, gamma, beta, 1e-5)
    _check("VitLayerNormForward", [x, gamma, beta, eps], saved)
    back = cpu.layer_norm_backward(dy, x, gamma, *saved[1:])
    _check("VitLayerNormBackward", [dy, x, gamma, *saved[1:]], back)
    saved = cpu.add_layer_norm(x, residual, gamma, beta, 1e-5)
    _check("VitAddLayerNormForward", [x, residual, gamma, beta, eps], saved)
    back = cpu.add_layer_norm_backward(dsum, dy, saved[0], gamma, *saved[2:])
    _check("VitAddLayerNormBackward", [dsum, dy, saved[0], gamma, *saved[2:]], back)


def test_attention(rng):
    qkv, dout, scale = random(rng, 2, 21, 3, 2, 16), random(rng, 2, 21, 32), cpu.misaligned([0.25])
    out, lse = cpu.attention(qkv, 0.25)
    _check("VitAttentionForward", [qkv, scale], [out, lse])
    _check(
        "VitAttentionBackward",
        [dout, qkv, out, lse, scale],
        [cpu.attention_backward(dout, qkv, out, lse, 0.25)],
    )


@pytest.mark.parametrize("form", ["Erf", "Tanh"])
def test_gelu_mlp(rng, form):
    x, w1, b1 = random(rng, 2, 9, 12), random(rng, 48, 12), random(rng, 48)
    w2, b2, dy = random(rng, 10, 48), random(rng, 10), random(rng, 2, 9, 10)
    tanh = form == "Tanh"
    y, h = cpu.gelu_mlp(x, w1, b1, w2, b2, tanh=tanh)
    _check(f"VitGeluMlpForward{form}", [x, w1, b1, w2, b2], [y, h])
    inference = cpu.gelu_mlp(x, w1, b1, w2, b2, tanh=tanh, keep=False)
    _check(f"VitGeluMlpInference{form}", [x, w1, b1, w2, b2], inference)
    back = cpu.gelu_mlp_backward(dy, x, h, w1, w2, tanh=tanh)
    _check(f"VitGeluMlpBackward{form}", [dy, x, h, w1, w2], back)


def test_adamw_writes_its_inputs(rng):
    plain, through = ([random(np.random.default_rng(5), 3, 7) for _ in range(4)] for _ in range(2))
    for arrays in (plain, through):
        arrays[2] **= 2
    cpu.check("adamw", *plain, 0.02, 0.3, 0.1, 0.001, 1e-8, 0.19, 0.2, 21)
    step, group = cpu.misaligned([0.04, 0.19, 0.2]), cpu.misaligned([0.5, 0.3, 0.1, 0.001, 1e-8])
    done = cpu.empty(1)
    assert _call("VitAdamW", [*through, step, group], [done]) == cpu.OK
    assert_same_bits(through, plain)
    assert done[0] == 1


@pytest.mark.parametrize("suffix", ["".join(s) for n in range(4) for s in itertools.combinations("BRS", n)])
def test_linear(rng, suffix):
    x, w, dy = random(rng, 4, 7, 20), random(rng, 11, 20), random(rng, 4, 7, 11)
    bias = random(rng, 11) if "B" in suffix else None
    residual = random(rng, 4, 7, 11) if "R" in suffix else None
    scale = random(rng, 11) if "S" in suffix else None
    present = [a for a in (bias, residual, scale) if a is not None]
    _check(f"VitLinearForward{suffix}", [x, w, *present], [cpu.linear(x, w, bias, residual, scale)])
    if residual is None:
        dx, dw, dbias, dscale = cpu.linear_backward(dy, x, w, bias, scale)
        expected = [dx, dw, dbias if "B" in suffix else None, dscale]
        _check(f"VitLinearBackward{suffix}", [dy, x, w, *present], expected)
    if suffix == "B":
        _check("VitLinearInputGradient", [dy, w], [dx])
        _check("VitLinearWeightGradient", [dy, x], [dw, dbias])


def test_one_dimensional_input_is_one_row(rng):
    x, w = random(rng, 20), random(rng, 11, 20)
    _check("VitLinearForward", [x, w], [cpu.linear(x.reshape(1, 20), w).reshape(11)])


def _linear_arguments(rng):
    return [random(rng, 4, 6), random(rng, 5, 6), random(rng, 5)], cpu.empty(4, 5)


def test_wrong_number_of_arrays(rng):
    inputs, y = _linear_arguments(rng)
    assert _call("VitLinearForwardB", inputs[:2], [y]) == cpu.ERROR_COUNT
    assert _call("VitLinearForward", inputs, [y]) == cpu.ERROR_COUNT
    assert np.isnan(y).all()


@pytest.mark.parametrize("position", range(4))
def test_wrong_dtype(rng, position):
    inputs, y = _linear_arguments(rng)
    dtypes = ["float32"] * 4
    dtypes[position] = "float16"
    assert _call("VitLinearForwardB", inputs, [y], dtypes) == cpu.ERROR_DTYPE
    assert np.isnan(y).all()


def test_wrong_shapes(rng):
    inputs, y = _linear_arguments(rng)
    for position, shape in [(0, (4, 7)), (1, (5, 7)), (1, (5, 6, 1)), (1, (30,)), (2, (6,)), (0, ())]:
        bad = list(inputs)
        bad[position] = random(rng, *shape)
        assert _call("VitLinearForwardB", bad, [y]) == cpu.ERROR_SHAPE
    assert _call("VitLinearForwardB", inputs, [cpu.empty(4, 6)]) == cpu.ERROR_SHAPE
    assert np.isnan(y).all()
    assert _call("VitAttentionForward", [random(rng, 2, 3, 24), random(rng, 1)], [y, y]) == cpu.ERROR_SHAPE
    assert (
        _call("VitAttentionForward", [random(rng, 1, 2, 2, 1, 8), random(rng, 1)], [y, y]) == cpu.ERROR_SHAPE
    )
    x, gamma = random(rng, 3, 8), random(rng, 8)
    outputs = [cpu.empty(3, 8), cpu.empty(3), cpu.empty(3)]
    assert _call("VitLayerNormForward", [x, gamma, gamma, random(rng, 2)], outputs) == cpu.ERROR_SHAPE
    assert _call("VitLayerNormForward", [x, gamma, gamma, random(rng, 1)], outputs) == cpu.OK


def test_empty_batch(rng):
    w, b = random(rng, 5, 6), random(rng, 5)
    dw, db = cpu.empty(5, 6), cpu.empty(5)
    assert _call("VitLinearForwardB", [cpu.empty(0, 6), w, b], [cpu.empty(0, 5)]) == cpu.OK
    arguments = [cpu.empty(0, 5), cpu.empty(0, 6), w, b]
    assert _call("VitLinearBackwardB", arguments, [cpu.empty(0, 6), dw, db]) == cpu.OK
    assert not dw.any() and not db.any()
