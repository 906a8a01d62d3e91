"""linear backward on the twin: against float64 and torch, in every order of execution, its refusals and its estimate."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ascend import _cases_linear as cases
from tests.ascend import _linear as linear
from tests.ascend._gelu_mlp import values
from tests.ascend._mutation import launches, survivors
from tests.twin import _native_module as native

ORDERS = [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(6)]


@pytest.mark.parametrize("case", cases.QUICK + cases.BACKWARD_MUTATION, ids=str)
def test_gradients_are_those_of_torch(case):
    linear.check_backward(case)


@pytest.mark.parametrize("case", cases.BACKWARD_MUTATION, ids=str)
def test_any_order_of_execution_gives_the_same_bits(case):
    v = linear.inputs(case)
    expected = linear.run_backward(case, v)["outputs"]
    for order in ORDERS:
        run = linear.run_backward(case, v, **order)
        assert run["diagnostics"] == []
        for actual, want in zip(run["outputs"], expected):
            np.testing.assert_array_equal(actual, want)


def test_outputs_and_their_types():
    case = linear.Case(20, 32, 48, "bs", "bfloat16")
    result = linear.run_backward(case, linear.inputs(case))
    assert result["output_dtypes"] == ["bfloat16", "float32", "float32", "float32"]
    assert result["output_shapes"] == [(20, 32), (48, 32), (48,), (48,)]


def test_without_a_scale_its_gradient_is_one_zero():
    case = linear.Case(20, 32, 48, "b")
    result = linear.run_backward(case, linear.inputs(case))
    np.testing.assert_array_equal(result["outputs"][3], np.zeros(1, np.float32))


@pytest.mark.parametrize("size", [0.0, 1e-7, 6e4])
def test_no_size_of_scale_spoils_the_input_gradient(size):
    """scale w is rounded to half: with scale near either end of half's range that must cost nothing."""
    case = linear.Case(64, 48, 80, "s", vector_dtype="float32", layer_scale=size)
    v = linear.inputs(case)
    v["dy"] = v["dy"] * 2.0**-8 if size > 1 else v["dy"]
    actual = values(linear.run_backward(case, v))[0]
    expected = linear.gradients(case, v)["dx"]
    largest = np.abs(expected).max()
    assert np.isfinite(actual).all()
    # Half an ulp of the result, subnormal or not, and the rounding of 80 products.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2.0**-25 + 2.0**-10 * largest)


def test_long_sums_are_kept_in_float32():
    """Sums of 40000 equal values, far beyond what half can count to."""
    case = linear.Case(40000, 16, 16, "b")
    v = linear.inputs(case)
    v["dy"][:], v["x"][:] = 1.0, 0.5
    _, dw, db, _ = values(linear.run_backward(case, v))
    np.testing.assert_array_equal(dw, np.full((16, 16), 20000.0))
    np.testing.assert_array_equal(db, np.full(16, 40000.0))


@pytest.mark.parametrize(("change", "message"), [
    ({"dy": np.zeros((4, 32))}, r"dy must have the shape \(\.\.\., out\)"),
    ({"x": np.zeros((4, 24))}, r"w must have the shape \(out, last dimension of x\)"),
    ({"b": np.zeros(32)}, r"b must have the shape \(out\)"),
    ({"s": np.zeros(47)}, r"scale must have the shape \(out\)"),
])
def test_refusals_name_the_argument(change, message):
    case = linear.Case(4, 32, 48, "bs")
    with pytest.raises(ValueError, match=message):
        linear.run_backward(case, linear.inputs(case) | change)


def test_refuses_a_gradient_of_another_dtype():
    arrays = [np.zeros(s, np.float16) for s in [(4, 48), (4, 32), (48, 32), (48,), (0,)]]
    with pytest.raises(ValueError, match="dy is float32, expected float16"):
        native.twin_run("vit_linear_grad", [arrays[0].astype(np.float32), *arrays[1:]], ["float32"] + ["float16"] * 4, {})


@pytest.mark.parametrize(("out", "form"), [(2304, "b"), (768, "bs"), (768, "b")])
def test_estimate_of_vit_base_is_near_its_bound(out, form):
    rows = 64 * 197
    shapes = [(64, 197, out), (64, 197, 768), (out, 768), (out,), (out,) if "s" in form else (0,)]
    result = native.twin_run("vit_linear_grad", shapes, ["float16"] * 5, {}, mode="cost")
    assert result["estimate"]["kernel_us"] <= 1.8 * result["estimate"]["bound_us"]
    # dy once per product, x, w and dx once, dw in float32; the summands of dw and whatever else is read twice stay in L2.
    assert result["counters"]["hbm_bytes"] <= 1.05 * (2 * (2 * rows * out + 2 * rows * 768 + out * 768) + 4 * out * 768)


def test_every_flag_barrier_and_buffer_is_missed():
    """Whatever guards a hand-over is noticed when it is gone, and a buffer when it is half as large, on some case."""
    alive, sites = survivors("vit_linear_grad", launches(linear.backward_launch, cases.BACKWARD_MUTATION, linear.inputs))
    assert sites > 100
    # Buffers of 32 bytes cannot be halved: that is the unit of allocation.
    assert set(alive.values()) <= {"InitBuffer"} and len(alive) <= 4
