"""linear forward on the twin: against float64 and torch, in every order of execution, its refusals and its estimate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.ascend import _cases_linear as cases
from tests.ascend import _linear as linear
from tests.ascend._gelu_mlp import values
from tests.ascend._mutation import launches, survivors
from tests.twin import _native_module as native

ORDERS = [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(6)]


@pytest.mark.parametrize("case", cases.QUICK + cases.FORWARD_MUTATION, ids=str)
def test_error_is_that_of_torch(case):
    linear.check_forward(case)


@pytest.mark.parametrize("form", ["".join(f) for n in range(4) for f in itertools.combinations("brs", n)])
def test_every_form(form):
    linear.check_forward(linear.Case(40, 64, 48, form, "bfloat16"))


@pytest.mark.parametrize("case", cases.FORWARD_MUTATION, ids=str)
def test_any_order_of_execution_gives_the_same_bits(case):
    v = linear.inputs(case)
    expected = linear.run_forward(case, v)["outputs"][0]
    for order in ORDERS:
        run = linear.run_forward(case, v, **order)
        assert run["diagnostics"] == []
        np.testing.assert_array_equal(run["outputs"][0], expected)


@pytest.mark.parametrize("order", [1, 2])
def test_order_of_accumulation_in_the_cube_is_no_matter(order):
    linear.check_forward(cases.QUICK[0], mmad_order=order)


@pytest.mark.parametrize(("sku", "cores"), [("910B1", 24), ("910B3", 20)])
def test_columns_are_dealt_where_rows_do_not_suffice(sku, cores):
    """197 rows are 13 blocks of 16, fewer than there are cores."""
    result = linear.check_forward(linear.Case(197, 64, 1536), sku=sku)
    assert 13 < result["plan"]["blocks"] <= cores


def test_leading_dimensions_are_rows():
    case = linear.Case(60, 32, 48, "r")
    v = linear.inputs(case)
    flat = linear.run_forward(case, v)
    folded = linear.run_forward(case, v | {"x": v["x"].reshape(4, 15, 32), "r": v["r"].reshape(4, 15, 48)})
    assert folded["output_shapes"] == [(4, 15, 48)]
    np.testing.assert_array_equal(flat["outputs"][0], folded["outputs"][0].reshape(60, 48))


def test_infinite_and_missing_values_stay_in_their_rows():
    case = linear.Case(50, 40, 72)
    v = linear.inputs(case)
    expected = values(linear.run_forward(case, v))[0]
    v["x"][3, 5], v["x"][49, 0] = np.nan, np.inf
    y = values(linear.run_forward(case, v))[0]
    assert np.isnan(y[3]).all() and not np.isfinite(y[49]).any()
    others = np.delete(np.arange(case.rows), [3, 49])
    np.testing.assert_array_equal(y[others], expected[others])


@pytest.mark.parametrize(("change", "message"), [
    ({"x": np.zeros((4, 24))}, r"w must have the shape \(out, last dimension of x\)"),
    ({"w": np.zeros(48)}, r"w must have the shape \(out, last dimension of x\)"),
    ({"b": np.zeros(32)}, r"b must have the shape \(out\)"),
    ({"s": np.zeros((1, 48))}, r"scale must have the shape \(out\)"),
    ({"r": np.zeros((48, 4))}, r"residual must have the shape \(\.\.\., out\)"),
    ({"x": np.zeros((0, 32))}, "rows .* is 0, expected 1 to"),
    ({"x": np.zeros((4, 0)), "w": np.zeros((48, 0))}, "in .* is 0, expected 1 to 65535"),
    ({"x": np.zeros((4, 65536)), "w": np.zeros((48, 65536))}, "in .* is 65536, expected 1 to 65535"),
    ({"w": np.zeros((65536, 32))}, "out .* is 65536, expected 1 to 65535"),
])
def test_refusals_name_the_argument(change, message):
    case = linear.Case(4, 32, 48, "brs")
    with pytest.raises(ValueError, match=message):
        linear.run_forward(case, linear.inputs(case) | change)


@pytest.mark.parametrize(("dtypes", "message"), [
    (["float32"] * 5, "x is float32, expected float16 or bfloat16"),
    (["float16", "bfloat16", "float16", "float16", "float16"], "w is bfloat16, expected float16"),
    (["float16", "float16", "bfloat16", "float16", "float16"], "b is bfloat16, expected float16 or float32"),
    (["float16", "float16", "float16", "float32", "float16"], "residual is float32, expected float16"),
    (["float16", "float16", "float16", "float16", "int32"], "scale is int32, expected float16 or float32"),
])
def test_refuses_other_dtypes(dtypes, message):
    kinds = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16, "int32": np.int32}
    shapes = [(4, 32), (48, 32), (48,), (4, 48), (48,)]
    with pytest.raises(ValueError, match=message):
        native.twin_run("vit_linear", [np.zeros(s, kinds[d]) for s, d in zip(shapes, dtypes)], dtypes, {})


@pytest.mark.parametrize(("out", "form", "read"), [(2304, "b", 1), (768, "brs", 2), (768, "", 1)])
def test_estimate_of_vit_base_is_near_its_bound(out, form, read):
    rows = 64 * 197
    shapes = [(64, 197, 768), (out, 768), (out,) if "b" in form else (0,), (64, 197, out) if "r" in form else (0,),
              (out,) if "s" in form else (0,)]
    result = native.twin_run("vit_linear", shapes, ["float16"] * 5, {}, mode="cost")
    assert result["estimate"]["kernel_us"] <= 1.5 * result["estimate"]["bound_us"]
    # x, w, the residual and y once; the tiles in between stay in L2.
    assert result["counters"]["hbm_bytes"] <= 1.05 * 2 * (rows * 768 + out * 768 + read * rows * out)


def test_every_flag_barrier_and_buffer_is_missed():
    """Whatever guards a hand-over is noticed when it is gone, and a buffer when it is half as large, on some case."""
    alive, sites = survivors("vit_linear", launches(linear.forward_launch, cases.FORWARD_MUTATION, linear.inputs))
    assert sites > 50
    assert alive == {}
