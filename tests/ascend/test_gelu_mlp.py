"""gelu_mlp forward on the twin: against float64 and torch, in every order of execution, its refusals and its estimate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.ascend import _cases_gelu_mlp as cases
from tests.ascend import _gelu_mlp as mlp
from tests.ascend._mutation import launches, survivors
from tests.twin import _native_module as native


@pytest.mark.parametrize("case", cases.QUICK, ids=str)
def test_error_is_that_of_torch(case):
    mlp.check_forward(case)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_any_order_of_execution_gives_the_same_bits(dtype):
    case = dataclasses.replace(cases.SEVERAL_BLOCKS, dtype=dtype)
    v = mlp.inputs(case)
    expected = mlp.run_forward(case, v)["outputs"]
    for run in [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(6)]:
        for actual, want in zip(mlp.run_forward(case, v, **run)["outputs"], expected):
            np.testing.assert_array_equal(actual, want)


def test_several_blocks_of_rows_per_core():
    result = mlp.check_forward(cases.SEVERAL_BLOCKS)
    assert cases.SEVERAL_BLOCKS.rows > 128 * result["plan"]["blocks"]


@pytest.mark.parametrize("order", [1, 2])
def test_order_of_accumulation_in_the_cube_is_no_matter(order):
    mlp.check_forward(cases.QUICK[0], mmad_order=order)


def test_leading_dimensions_are_rows():
    case = cases.QUICK[3]
    v = mlp.inputs(case)
    flat = mlp.run_forward(case, v)
    folded = mlp.run_forward(case, v | {"x": v["x"].reshape(5, 10, case.width)})
    assert folded["output_shapes"] == [(5, 10, case.columns), (5, 10, case.hidden)]
    for a, b in zip(flat["outputs"], folded["outputs"]):
        np.testing.assert_array_equal(a.ravel(), b.ravel())


@pytest.mark.parametrize("case", [cases.QUICK[0], cases.QUICK[4]], ids=str)
def test_inference_saves_nothing(case):
    v = mlp.inputs(case)
    training, inference = mlp.run_forward(case, v), mlp.run_forward(case, v, save=False)
    assert inference["diagnostics"] == []
    assert inference["output_shapes"][1] == (1,)
    np.testing.assert_array_equal(inference["outputs"][0], training["outputs"][0])


def test_infinite_and_missing_values_stay_in_their_rows():
    case = cases.QUICK[3]
    v = mlp.inputs(case)
    expected = mlp.values(mlp.run_forward(case, v))[0]
    v["x"][3, 5], v["x"][7, 0] = np.nan, np.inf
    y = mlp.values(mlp.run_forward(case, v))[0]
    assert np.isnan(y[3]).all() and not np.isfinite(y[7]).all()
    others = np.delete(np.arange(case.rows), [3, 7])
    np.testing.assert_array_equal(y[others], expected[others])


@pytest.mark.parametrize(("change", "message"), [
    ({"x": np.zeros((4, 24))}, "w1 must have the shape"),
    ({"x": np.zeros((4, 24)), "w1": np.zeros((64, 24))}, "width .* is 24, expected a multiple of 16 from 16 to 8192"),
    ({"w1": np.zeros((40, 32)), "b1": np.zeros(40), "w2": np.zeros((32, 40))}, "hidden .* is 40, expected a multiple of 16"),
    ({"w2": np.zeros((24, 64)), "b2": np.zeros(24)}, "out .* is 24, expected a multiple of 16"),
    ({"w2": np.zeros((32, 32))}, "w2 must have the shape"),
    ({"b1": np.zeros(32)}, "b1 must have the shape"),
    ({"b2": np.zeros(64)}, "b2 must have the shape"),
    ({"x": np.zeros((0, 32))}, "rows .* is 0, expected 1 to"),
])
def test_refusals_name_the_argument(change, message):
    case = mlp.Case(4, 32, 64)
    with pytest.raises(ValueError, match=message):
        mlp.run_forward(case, mlp.inputs(case) | change)


def test_refuses_other_dtypes_and_forms():
    arrays = [np.zeros(s, np.float32) for s in [(4, 32), (64, 32), (64,), (32, 64), (32,)]]
    with pytest.raises(ValueError, match="x is float32, expected float16 or bfloat16"):
        native.twin_run("vit_gelu_mlp", arrays, ["float32"] * 5, {"approximate": 0.0, "save": 1.0})
    halves = [a.astype(np.float16) for a in arrays]
    with pytest.raises(ValueError, match="b1 is bfloat16, expected float16 or float32"):
        native.twin_run("vit_gelu_mlp", [*halves[:2], np.zeros(64, np.uint16), *halves[3:]],
                        ["float16", "float16", "bfloat16", "float16", "float16"], {"approximate": 0.0, "save": 1.0})
    with pytest.raises(ValueError, match=r"approximate is 2, expected 0 \(erf\) or 1 \(tanh\)"):
        native.twin_run("vit_gelu_mlp", halves, ["float16"] * 5, {"approximate": 2.0, "save": 1.0})


@pytest.mark.parametrize("approximate", [0, 1])
def test_estimate_of_vit_base_is_near_its_bound(approximate):
    shapes = [(64, 197, 768), (3072, 768), (3072,), (768, 3072), (768,)]
    result = native.twin_run("vit_gelu_mlp", shapes, ["float16"] * 5, {"approximate": approximate, "save": 1.0}, mode="cost")
    assert result["estimate"]["kernel_us"] <= 1.5 * result["estimate"]["bound_us"]
    # x and y once, the weights once, the pre-activation once; the hidden activation stays in L2.
    essential = 2 * (2 * 64 * 197 * 768 + 64 * 197 * 3072 + 2 * 3072 * 768)
    assert result["counters"]["hbm_bytes"] <= 1.05 * essential


def test_every_flag_barrier_and_buffer_is_needed():
    """Each synchronisation call left out and each buffer halved, one at a time: the twin notices."""
    alive, _ = survivors("vit_gelu_mlp", launches(mlp.forward_launch, cases.MUTATION, mlp.inputs))
    assert alive == {}
