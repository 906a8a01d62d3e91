"""gelu_mlp gradient on the twin: against float64 and torch, in every order of execution, its refusals and its estimate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.ascend import _cases_gelu_mlp as cases
from tests.ascend import _gelu_mlp as mlp
from tests.ascend._mutation import launches, survivors
from tests.twin import _native_module as native


def saved(case: mlp.Case, v: dict[str, np.ndarray]) -> np.ndarray:
    """The bits of the pre-activation."""
    return mlp.to_bits(mlp.pre_activation(v), case.dtype)


@pytest.mark.parametrize("case", cases.QUICK, ids=str)
def test_error_is_that_of_torch(case):
    mlp.check_backward(case)


def test_several_blocks_of_rows_per_core():
    result = mlp.check_backward(cases.SEVERAL_BLOCKS)
    assert cases.SEVERAL_BLOCKS.rows > 128 * result["plan"]["blocks"]


def test_follows_the_forward():
    case = cases.QUICK[0]
    v = mlp.inputs(case)
    h = mlp.run_forward(case, v)["outputs"][1]
    result = mlp.run_backward(case, v, h)
    expected = mlp.gradients(case, v, mlp.forward(case, v)[1])
    peers = mlp.torch_gradients(case, v)
    for actual, peer, want in zip(mlp.values(result), peers, expected):
        mlp.check_error(actual, peer, want, 2, mlp.UNIT[case.dtype] / 2, "gradient")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_any_order_of_execution_gives_the_same_bits(dtype):
    case = dataclasses.replace(cases.SEVERAL_BLOCKS, dtype=dtype)
    v = mlp.inputs(case)
    h = saved(case, v)
    expected = mlp.run_backward(case, v, h)["outputs"]
    for run in [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(6)]:
        for actual, want in zip(mlp.run_backward(case, v, h, **run)["outputs"], expected):
            np.testing.assert_array_equal(actual, want)


def test_sums_over_rows_keep_fp32():
    """A column of ones summed over many rows is exact, which 16 bits would not hold."""
    case = mlp.Case(5000, 16, 16)
    v = {name: np.zeros(shape) for name, shape in
         {"x": (5000, 16), "w1": (16, 16), "b1": 16, "w2": (16, 16), "b2": 16}.items()} | {"dy": np.ones((5000, 16))}
    v["x"][:] = 1
    h = np.full((5000, 16), 10, np.float16)  # gelu(10) is 10 in 16 bits
    dx, dw1, db1, dw2, db2 = mlp.values(mlp.run_backward(case, v, h))
    np.testing.assert_array_equal(db2, 5000)
    np.testing.assert_array_equal(dw2, 50000)
    np.testing.assert_array_equal(dx, 0)
    np.testing.assert_array_equal(dw1, 0)
    np.testing.assert_array_equal(db1, 0)


@pytest.mark.parametrize(("change", "message"), [
    ({"dy": np.zeros((4, 64))}, "dy must have the shape"),
    ({"w1": np.zeros((64, 48))}, "w1 must have the shape"),
    ({"w2": np.zeros((32, 48))}, "w2 must have the shape"),
    ({"x": np.zeros((5, 32))}, "dy must have the shape"),
])
def test_refusals_name_the_argument(change, message):
    case = mlp.Case(4, 32, 64)
    v = mlp.inputs(case)
    with pytest.raises(ValueError, match=message):
        mlp.run_backward(case, v | change, saved(case, v))


def test_refuses_a_pre_activation_of_another_shape_or_type():
    case = mlp.Case(4, 32, 64)
    v = mlp.inputs(case)
    with pytest.raises(ValueError, match="h must have the shape"):
        mlp.run_backward(case, v, saved(case, v)[:, :32].copy())
    arrays = [np.zeros(s, np.float16) for s in [(4, 32), (4, 32), (4, 64), (64, 32), (32, 64)]]
    arrays[2] = arrays[2].astype(np.float32)
    with pytest.raises(ValueError, match="h is float32, expected float16"):
        native.twin_run("vit_gelu_mlp_grad", arrays, ["float16", "float16", "float32", "float16", "float16"],
                        {"approximate": 0.0})


@pytest.mark.parametrize("approximate", [0, 1])
def test_estimate_of_vit_base_is_near_its_bound(approximate):
    shapes = [(64, 197, 768), (64, 197, 768), (64, 197, 3072), (3072, 768), (768, 3072)]
    result = native.twin_run("vit_gelu_mlp_grad", shapes, ["float16"] * 5, {"approximate": approximate}, mode="cost")
    assert result["estimate"]["kernel_us"] <= 1.8 * result["estimate"]["bound_us"]


def test_every_flag_barrier_and_buffer_is_needed():
    """Each synchronisation call left out and each buffer halved, one at a time: the twin notices."""
    def launch(case, v):
        return mlp.backward_launch(case, v, saved(case, v))

    alive, _ = survivors("vit_gelu_mlp_grad", launches(launch, cases.MUTATION, mlp.inputs))
    assert alive == {}
