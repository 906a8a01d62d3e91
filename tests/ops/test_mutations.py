"""A test of the tests: an operator with one line of its backward pass broken must not pass for right.

Each mutation is made in a copy of the operator's source and compared exactly as the real one is.
"""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.ops import _check
from tests.ops._cases import CASES
from vit_kernels import ops

MUTATIONS = {
    # case, operator: text, its replacement
    "layer norm: mean and rstd exchanged": (
        "layer_norm", "LayerNormOp", "backward(dout[0], x, gamma, out[1], out[2])", "backward(dout[0], x, gamma, out[2], out[1])"),
    "layer norm: gain and bias exchanged": (
        "layer_norm", "LayerNormOp", "return dx, dgamma, dbeta, ops", "return dx, dbeta, dgamma, ops"),
    "add layer norm: gradient of the sum forgotten": (
        "add_layer_norm", "AddLayerNormOp", "backward(dout[0], dout[1], out[0]", "backward(dout[1] * 0, dout[1], out[0]"),
    "add layer norm: no gradient for the residual": (
        "add_layer_norm", "AddLayerNormOp", "return dx, dx, dgamma", "return dx, dx * 0, dgamma"),
    "attention: a gradient 0.1 % too large": (
        "attention", "AttentionOp", "return backward(dout[0], qkv, out[0], out[1], scale),",
        "return backward(dout[0], qkv, out[0], out[1], scale) * 1.001,"),
    "attention: rows' sums forgotten": (
        "attention", "AttentionOp", "out[0], out[1], scale), ops", "out[0], out[1] * 0, scale), ops"),
    "gelu_mlp: the other GELU's derivative": (
        "gelu_mlp", "GeluMlpOp", '"VitGeluMlpBackward" + suffix', '"VitGeluMlpBackwardTanh"'),
    "gelu_mlp: x for the gradient": (
        "gelu_mlp", "GeluMlpOp", "return backward(dout[0], x, out[1], w1, w2)", "return backward(dout[0], x * 0, out[1], w1, w2)"),
    "gelu_mlp: wrong recomputation": (
        "gelu_mlp_inference", "GeluMlpOp", "_, h = training(x, w1, b1, w2, b2)", "_, h = training(x, w1, b1 * 0, w2, b2)"),
    "linear: weights' gradient is zero": (
        "linear", "LinearOp", "return input_gradient(dout, w), dw, db\n", "return input_gradient(dout, w), dw * 0, db\n"),
    "linear: LayerScale left out": (
        "linear_residual_scale", "LinearOp", "backward_scaled(dout, x, w, b, scale)\n        return dx",
        "backward_scaled(dout, x, w, b, scale * 0 + 1)\n        return dx"),
    "linear: no gradient for the residual": (
        "linear_residual_scale", "LinearOp", "return dx, dw, db, dout, dscale", "return dx, dw, db, dout * 0, dscale"),
}


@pytest.fixture
def mutated(tmp_path, monkeypatch):
    """Makes an operator's class from a copy of its module in which a text is replaced."""

    def make(operator: str, text: str, replacement: str):
        return _mutated(operator, text, replacement, tmp_path, monkeypatch)

    return make


def _mutated(operator, text, replacement, tmp_path, monkeypatch):
    source_file = importlib.util.find_spec(getattr(ops, operator).__module__).origin
    with open(source_file, encoding="utf-8") as file:
        source = file.read()
    assert source.count(text) == 1, f"the mutation of {operator} no longer applies: {text!r}"
    # MindSpore's compiler looks modules up by name, and keeps what it has parsed: a name of its own for every copy.
    name = f"mutated_{tmp_path.name}"
    path = tmp_path / f"{name}.py"
    path.write_text(source.replace(text, replacement), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return getattr(module, operator)


def _build(case: str, operator):
    if operator.__name__ in ("LayerNormOp", "AddLayerNormOp"):
        return operator(1e-6, "cpu")
    if operator.__name__ == "AttentionOp":
        return operator(CASES[case].shapes[0][-1], None, "cpu")
    if operator.__name__ == "GeluMlpOp":
        return operator("none", "cpu").set_train(case == "gelu_mlp")
    return operator("cpu")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_broken_gradient_is_noticed(mode, mutation, mutated):
    name, operator, text, replacement = MUTATIONS[mutation]
    case = CASES[name]
    broken = _build(name, mutated(operator, text, replacement))
    with pytest.raises(AssertionError, match="gradient of argument"):
        _check.compare(broken, case.reference, case.arrays())


@pytest.mark.parametrize("name, operator", sorted({(m[0], m[1]) for m in MUTATIONS.values()}))
def test_unbroken_copy_passes(mode, name, operator, mutated):
    """Copying alone changes nothing, so what the test above notices is the mutation."""
    case = CASES[name]
    copy = mutated(operator, f"class {operator}(", f"class {operator}(")
    _check.compare(_build(name, copy), case.reference, case.arrays())
