"""attention gradient on the twin: against float64 and torch, in every order of execution, its refusals and its estimate."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ascend import _attention as att
from tests.ascend import _cases_attention as cases
from tests.ascend._mutation import survivors
from tests.twin import _native_module as native


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("case", cases.QUICK, ids=str)
def test_error_is_that_of_torch(case, deterministic):
    att.check_backward(case, deterministic)


def test_from_the_forward_to_the_gradient():
    """With what the forward kernel really saves."""
    case = att.Case(1, 197, 3, 64)
    qkv, dout = att.inputs(case)
    saved = att.run_forward(case, qkv)["outputs"]
    grad = att.values(att.run_backward(case, dout, qkv, saved, True))[0]
    expected = att.attention_grad(dout, qkv, case.scale)
    peer = att.torch_attention_grad(dout, qkv, case.scale, case.dtype)
    assert np.abs(grad - expected).max() <= 2 * np.abs(peer - expected).max()


@pytest.mark.parametrize("case", [att.Case(2, 50, 4, 64), att.Case(1, 197, 2, 64, "bfloat16"), att.Case(1, 577, 1, 64)], ids=str)
def test_any_order_of_execution_gives_the_same_bits(case):
    qkv, dout = att.inputs(case)
    saved = att.saved_for_backward(case, qkv)
    expected = att.run_backward(case, dout, qkv, saved, True)["outputs"][0]
    for run in [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(4)]:
        np.testing.assert_array_equal(att.run_backward(case, dout, qkv, saved, True, **run)["outputs"][0], expected)


def test_atomic_sums_stay_within_rounding_of_the_ordered_ones():
    case = att.Case(1, 577, 2, 64)
    qkv, dout = att.inputs(case)
    saved = att.saved_for_backward(case, qkv)
    ordered, atomic = (att.values(att.run_backward(case, dout, qkv, saved, d))[0] for d in (True, False))
    np.testing.assert_allclose(atomic, ordered, atol=2e-3 * np.abs(ordered).max())


@pytest.mark.parametrize("tokens", [50, 577])
def test_nan_stays_in_its_head_and_is_not_lost(tokens):
    """A NaN in one row of dout spoils dQ of that row, dK and dV of the head."""
    case = att.Case(1, tokens, 2, 64)
    qkv, dout = att.inputs(case)
    saved = att.saved_for_backward(case, qkv)
    clean = att.values(att.run_backward(case, dout, qkv, saved, True))[0]
    dout[0, 7, 64 + 3] = np.nan
    result = att.run_backward(case, dout, qkv, saved, True)
    assert result["diagnostics"] == []
    grad = att.values(result)[0]
    np.testing.assert_array_equal(grad[:, :, :, 0], clean[:, :, :, 0])
    dq, dk, dv = np.isnan(grad[0, :, :, 1]).any(-1).T
    assert np.flatnonzero(dq).tolist() == [7] and dk.all() and dv.all()


@pytest.mark.parametrize(("tokens", "head_dim"), [(197, 80), (577, 64)])
def test_large_scores_do_not_overflow(tokens, head_dim):
    """Scores of a thousand million: dV moves dout to the key that wins, and everything stays finite."""
    case = att.Case(1, tokens, 1, head_dim)
    qkv, dout = att.inputs(case)
    qkv[:, :, :2] = (qkv[:, :, :2] * 1e4).clip(-3e4, 3e4)
    saved = att.run_forward(case, qkv)["outputs"]
    grad = att.values(att.run_backward(case, dout, qkv, saved, True))[0]
    expected = att.attention_grad(dout, att.from_bits(att.to_bits(qkv, case.dtype), case.dtype), case.scale)
    assert np.isfinite(grad).all()
    assert np.mean(np.abs(grad[:, :, 2] - expected[:, :, 2]).max(-1) > 2e-2) < 0.02


def test_gradient_of_a_constant_loss_is_zero():
    case = att.Case(1, 50, 2, 64)
    qkv, dout = att.inputs(case)
    assert not att.values(att.run_backward(case, 0 * dout, qkv, att.saved_for_backward(case, qkv), True))[0].any()


@pytest.mark.parametrize(("index", "shape", "message"), [
    (0, (1, 50, 64), "dout does not have the shape"), (2, (1, 50, 64), "out does not have the shape"),
    (3, (1, 50, 2), "softmax_max does not have the shape"), (4, (2, 2, 50), "softmax_sum does not have the shape"),
    (1, (1, 50, 3, 2, 48), "head_dim .* is 48")])
def test_refusals_name_the_argument(index, shape, message):
    case = att.Case(1, 50, 2, 64)
    qkv, dout = att.inputs(case)
    arrays = [att.to_bits(dout, case.dtype), att.to_bits(qkv, case.dtype), *att.saved_for_backward(case, qkv)]
    arrays[index] = np.zeros(shape, arrays[index].dtype)
    with pytest.raises(ValueError, match=message):
        native.twin_run("vit_attention_grad", arrays, ["float16"] * 3 + ["float32"] * 2, {"scale": 0.125})


def test_estimate_of_vit_base_is_near_its_bound():
    rows, stats = (64, 197, 768), (64, 12, 197)
    for deterministic in (0.0, 1.0):
        result = native.twin_run("vit_attention_grad", [rows, (64, 197, 3, 12, 64), rows, stats, stats],
                                 ["float16"] * 3 + ["float32"] * 2, {"scale": 0.125, "deterministic": deterministic}, mode="cost")
        assert result["estimate"]["kernel_us"] <= 1.8 * result["estimate"]["bound_us"]


def test_every_flag_barrier_and_buffer_is_needed():
    """Whatever guards a hand-over is noticed when it is gone, and a buffer when it is half as large, on some case."""
    alive, _ = survivors("vit_attention_grad", att.backward_launches(cases.BACKWARD_MUTATION))
    assert alive == {}
