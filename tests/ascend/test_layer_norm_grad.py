"""The gradients of layer_norm and add_layer_norm on the twin: against float64 and torch, orders, refusals, estimates."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ascend import _cases_layer_norm as cases
from tests.ascend import _layer_norm as norm
from tests.ascend._gelu_mlp import check_error, values
from tests.ascend._mutation import launches, survivors
from tests.twin import _native_module as native


@pytest.mark.parametrize("case", [*cases.QUICK, *cases.with_add(cases.QUICK)], ids=str)
def test_error_is_that_of_torch(case):
    norm.check_backward(case)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_from_the_forward_to_the_gradient(dtype, add):
    """With what the forward kernel really saves."""
    case = norm.Case(2, 197, 384, dtype, add)
    v = norm.inputs(case)
    mean, rstd = values(norm.run_forward(case, v))[-2:]
    expected, peers = norm.gradients(case, v), norm.torch_gradients(case, v)
    for name, actual in zip(("dx", "dgamma", "dbeta"), values(norm.run_backward(case, v, (mean, rstd)))):
        check_error(actual, peers[name], expected[name], 2, norm.GRAD_UNIT[dtype], name)


@pytest.mark.parametrize("case", [norm.Case(3, 197, 384, add=add, dtype=dtype) for add in (False, True)
                                  for dtype in ("float16", "bfloat16", "float32")], ids=str)
def test_any_order_of_execution_gives_the_same_bits(case):
    v = norm.inputs(case)
    expected = norm.run_backward(case, v)
    for run in [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(4)]:
        assert norm.same_bits(norm.run_backward(case, v, **run), expected)


def test_parameter_gradients_are_summed_in_float32():
    """Sums of 40000 equal values, far beyond what half can count to."""
    case = norm.Case(1, 40000, 16)
    v = norm.inputs(case)
    v["dy"][:] = 1.0
    _, _, dbeta = values(norm.run_backward(case, v))
    np.testing.assert_array_equal(dbeta, 40000.0)


def test_gradient_of_a_constant_loss_is_zero():
    case = norm.Case(2, 50, 192)
    v = norm.inputs(case)
    v["dy"][:] = 0
    assert not any(output.any() for output in values(norm.run_backward(case, v)))


def test_dsum_passes_through():
    """Without a gradient of y the sum's own is handed on as it is, to both summands."""
    case = norm.Case(2, 50, 192, "bfloat16", add=True)
    v = norm.inputs(case)
    v["dy"][:] = 0
    np.testing.assert_array_equal(values(norm.run_backward(case, v))[0], v["dsum"])


@pytest.mark.parametrize("case", [norm.Case(2, 2200, 200, dtype, add) for add in (False, True) for dtype in ("float16", "float32")],
                         ids=str)
def test_infinite_and_missing_values_stay_in_their_rows(case):
    """Also in the columns between the rows of a strip, and in the next tile of the core."""
    v = norm.inputs(case)
    saved = norm.statistics(v)
    expected = values(norm.run_backward(case, v, saved))[0]
    v["dy"][0, 3, 5], v["dy"][1, 2199, 199], v["dy"][1, 0] = np.nan, np.inf, np.nan
    dx = values(norm.run_backward(case, v, saved))[0]
    keep = np.ones(case.shape[:2], bool)
    keep[0, 3] = keep[1, 2199] = keep[1, 0] = False
    assert not np.isfinite(dx[~keep]).any()
    np.testing.assert_array_equal(dx[keep], expected[keep])


def _arrays(add: bool, **changed) -> tuple[list[np.ndarray], list[str]]:
    """Zeros for every input, some with another (shape, dtype)."""
    rows, x = ((4, 32), "float16"), "sum" if add else "x"
    kinds = {"dsum": rows, "dy": rows, x: rows, "gamma": ((32,), "float16"), "mean": ((4,), "float32"), "rstd": ((4,), "float32")}
    kinds |= changed
    if not add:
        del kinds["dsum"]
    store = {"bfloat16": np.uint16}
    return [np.zeros(s, store.get(d, d)) for s, d in kinds.values()], [d for _, d in kinds.values()]


@pytest.mark.parametrize(("add", "changed", "message"), [
    (True, {"dsum": ((4, 16), "float16")}, "dsum must have the shape of"),
    (True, {"dsum": ((4, 32), "float32")}, "dsum is float32, expected float16"),
    (True, {"sum": ((4, 2033), "float16")}, "width .* is 2033, expected 1 to 2032"),
    (True, {"sum": ((4, 32), "int32")}, "sum is int32, expected float16, bfloat16 or float32"),
    (False, {"dy": ((8, 16), "float16")}, "dy must have the shape of"),
    (False, {"dy": ((4, 32), "bfloat16")}, "dy is bfloat16, expected float16"),
    (False, {"x": ((0, 32), "float16")}, "rows .* is 0, expected 1 to"),
    (False, {"gamma": ((16,), "float16")}, r"gamma must have the shape \(width\)"),
    (False, {"mean": ((4, 1), "float32")}, "mean must have x's shape without its last dimension"),
    (False, {"rstd": ((3,), "float32")}, "rstd must have x's shape without its last dimension"),
    (False, {"rstd": ((4,), "float16")}, "rstd is float16, expected float32"),
])
def test_refusals_name_the_argument(add, changed, message):
    arrays, dtypes = _arrays(add, **changed)
    with pytest.raises(ValueError, match=message):
        native.twin_run("vit_add_layer_norm_grad" if add else "vit_layer_norm_grad", arrays, dtypes, {})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("add", [False, True])
def test_estimate_of_vit_base_is_near_its_bound(add, dtype):
    rows = (64, 197, 768)
    shapes = [rows] * (3 if add else 2) + [(768,), rows[:2], rows[:2]]
    dtypes = [dtype] * (len(shapes) - 2) + ["float32"] * 2
    result = native.twin_run("vit_add_layer_norm_grad" if add else "vit_layer_norm_grad", shapes, dtypes, {}, mode="cost")
    assert result["estimate"]["kernel_us"] <= 1.8 * result["estimate"]["bound_us"]
    # Every activation once, two numbers per row; the cores' sums stay in L2.
    essential = 64 * 197 * ((4 if add else 3) * 768 * (4 if dtype == "float32" else 2) + 8)
    assert result["counters"]["hbm_bytes"] <= 1.05 * essential


@pytest.mark.parametrize("add", [False, True])
def test_every_flag_barrier_and_buffer_is_missed(add):
    """Whatever guards a hand-over is noticed when it is gone, and a buffer when it is half as large, on some case."""
    mutated = cases.with_add(cases.MUTATION) if add else cases.MUTATION
    runs = launches(norm.backward_launch, mutated, norm.inputs)
    alive, sites = survivors("vit_add_layer_norm_grad" if add else "vit_layer_norm_grad", runs)
    assert sites > 55
    # gamma arrives once, through a buffer of its own: nobody waits for it to be free, and all wait for more than its widening.
    assert {(site.split("/")[-1].split(":")[0], kind) for site, kind in alive.items()} <= {
        ("column_vector.h", kind) for kind in ("AllocTensor", "FreeTensor", "PipeBarrier")}
