"""attention forward on the twin: against float64, in every order of execution, its refusals and its estimate."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ascend import _attention as att
from tests.ascend import _cases_attention as cases
from tests.ascend._mutation import survivors
from tests.twin import _native_module as native


@pytest.mark.parametrize("case", cases.QUICK, ids=str)
def test_error_against_float64(case):
    att.check_forward(case)


@pytest.mark.parametrize("case", [att.Case(2, 50, 4, 64), att.Case(1, 197, 3, 64, "bfloat16"), att.Case(1, 1100, 1, 64)], ids=str)
def test_any_order_of_execution_gives_the_same_bits(case):
    qkv, _ = att.inputs(case)
    expected = att.run_forward(case, qkv)["outputs"]
    for run in [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(4)]:
        for actual, want in zip(att.run_forward(case, qkv, **run)["outputs"], expected):
            np.testing.assert_array_equal(actual, want)


@pytest.mark.parametrize("order", [1, 2])
def test_order_of_accumulation_in_the_cube_is_no_matter(order):
    att.check_forward(att.Case(1, 197, 3, 64), mmad_order=order)


@pytest.mark.parametrize("amplitude", [60, 1e4])
@pytest.mark.parametrize(("tokens", "head_dim"), [(197, 64), (197, 80), (1100, 96)])
def test_large_scores_do_not_overflow(tokens, head_dim, amplitude):
    """Scores of thousands and of a thousand million: the row maximum is subtracted before anything is exponentiated."""
    case = att.Case(1, tokens, 1, head_dim)
    qkv, _ = att.inputs(case)
    qkv[:, :, :2] = (qkv[:, :, :2] * amplitude).clip(-3 * amplitude, 3 * amplitude)
    out, maximum, total = att.values(att.run_forward(case, qkv))
    expected, expected_max, _ = att.attention(att.from_bits(att.to_bits(qkv, case.dtype), case.dtype), case.scale)
    np.testing.assert_allclose(maximum, expected_max, rtol=1e-5)
    assert expected_max.max() > amplitude ** 2 and np.isfinite(out).all() and total.min() >= 1
    # One key wins every row; where two are within rounding of each other the mixture may differ.
    assert np.mean(np.abs(out - expected).max(-1) > 2e-2) < 0.02


@pytest.mark.parametrize(("part", "rows"), [(0, 1), (1, 50), (2, 50)])
def test_nan_stays_in_its_head_and_is_not_lost(part, rows):
    """A NaN in Q spoils one row of the output, in K or V all of its head."""
    case = att.Case(1, 50, 2, 64)
    qkv, _ = att.inputs(case)
    clean = att.values(att.run_forward(case, qkv))[0].reshape(50, 2, 64)
    qkv[0, 7, part, 1, 3] = np.nan
    result = att.run_forward(case, qkv)
    out = att.values(result)[0].reshape(50, 2, 64)
    # What a maximum makes of a NaN is the hardware's business; the scores themselves carry it on.
    assert {d["rule"] for d in result["diagnostics"]} <= {"nan-input"}
    np.testing.assert_array_equal(out[:, 0], clean[:, 0])
    spoilt = np.isnan(out[:, 1]).any(-1)
    assert spoilt.sum() == rows and spoilt[7]


def test_equal_scores_average_the_values():
    case = att.Case(1, 197, 2, 64)
    qkv, _ = att.inputs(case)
    qkv[:, :, 0] = 0
    out, maximum, total = att.values(att.run_forward(case, qkv))
    np.testing.assert_allclose(out, np.broadcast_to(qkv[:, :, 2].reshape(1, 197, 128).mean(1, keepdims=True), out.shape), atol=1e-3)
    assert (maximum == 0).all() and np.allclose(total, 197)


def test_heads_and_images_do_not_mix():
    case = att.Case(2, 50, 4, 64)
    qkv, _ = att.inputs(case)
    before = att.values(att.run_forward(case, qkv))[0].reshape(2, 50, 4, 64)
    qkv[1, :, :, 2] += 1
    after = att.values(att.run_forward(case, qkv))[0].reshape(2, 50, 4, 64)
    changed = (before != after).any((1, 3))
    assert changed.tolist() == [[False] * 4, [False, False, True, False]]


@pytest.mark.parametrize(("shape", "message"), [
    ((1, 50, 3, 2, 48), "head_dim .* is 48, expected 32, 64, 80, 96 or 128"),
    ((1, 4097, 3, 1, 64), "tokens .* is 4097, expected 1 to 4096"),
    ((0, 50, 3, 2, 64), "batch .* is 0, expected 1 to"),
    ((1, 50, 3, 400, 64), "heads .* is 400, expected 1 to 341 at head_dim 64"),
    ((1, 50, 2, 2, 64), "qkv must have the shape"), ((1, 50, 3, 128), "qkv must have the shape")])
def test_refusals_name_the_argument(shape, message):
    with pytest.raises(ValueError, match=message):
        native.twin_run("vit_attention", [np.zeros(shape, np.float16)], ["float16"], {"scale": 0.125})


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_scale_that_is_none(scale):
    with pytest.raises(ValueError, match="scale is .*, expected a positive finite number"):
        native.twin_run("vit_attention", [np.zeros((1, 4, 3, 1, 64), np.float16)], ["float16"], {"scale": scale})


def test_refuses_other_dtypes():
    with pytest.raises(ValueError, match="qkv is float32, expected float16 or bfloat16"):
        native.twin_run("vit_attention", [np.zeros((1, 4, 3, 1, 64), np.float32)], ["float32"], {"scale": 0.125})


def test_estimate_of_vit_base_is_near_its_bound():
    result = native.twin_run("vit_attention", [(64, 197, 3, 12, 64)], ["float16"], {"scale": 0.125}, mode="cost")
    assert result["estimate"]["kernel_us"] <= 1.5 * result["estimate"]["bound_us"]
    # qkv, out and two numbers per row; scores and probabilities stay in L2.
    essential = 64 * 197 * 12 * (4 * 64 * 2 + 8)
    assert result["counters"]["hbm_bytes"] <= 1.05 * essential


def test_every_flag_barrier_and_buffer_is_needed():
    """Whatever guards a hand-over is noticed when it is gone, and a buffer when it is half as large, on some case."""
    alive, _ = survivors("vit_attention", att.forward_launches(cases.FORWARD_MUTATION))
    # The queue of row maxima waits for its last store; that of P, which was stored behind it, has waited already. The call
    # is the queue's own and cannot be left out.
    assert len(alive) <= 1 and set(alive.values()) <= {"AllocTensor"}
