"""layer_norm and add_layer_norm on the twin: against float64, in every order of execution, refusals and estimates."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ascend import _cases_layer_norm as cases
from tests.ascend import _layer_norm as norm
from tests.ascend._gelu_mlp import values
from tests.ascend._mutation import launches, survivors
from tests.twin import _native_module as native

ALL = (*cases.QUICK, *cases.with_add(cases.QUICK))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_error_against_float64(case):
    norm.check_forward(case)


@pytest.mark.parametrize("case", [norm.Case(3, 197, 384, add=add, dtype=dtype) for add in (False, True)
                                  for dtype in ("float16", "bfloat16", "float32")], ids=str)
def test_any_order_of_execution_gives_the_same_bits(case):
    v = norm.inputs(case)
    expected = norm.run_forward(case, v)
    for run in [{"mode": "late"}] + [{"mode": "random", "seed": seed} for seed in range(4)]:
        assert norm.same_bits(norm.run_forward(case, v, **run), expected)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_do_not_depend_on_their_neighbours(add, dtype):
    """A row comes out the same whichever core and tile it falls to."""
    case, alone = norm.Case(5, 77, 200, dtype, add), norm.Case(1, 1, 200, dtype, add)
    v = norm.inputs(case)
    together = values(norm.run_forward(case, v))
    for image, token in ((0, 0), (2, 40), (4, 76)):
        row = {k: a[image, token][None, None] if a.ndim == 3 else a for k, a in v.items()}
        for whole, single in zip(together, values(norm.run_forward(alone, row))):
            np.testing.assert_array_equal(whole[image, token], single[0, 0])


def test_a_constant_row_becomes_beta():
    case = norm.Case(1, 50, 768)
    v = norm.inputs(case)
    v["x"][:] = 3.0
    y, mean, rstd = values(norm.run_forward(case, v))
    np.testing.assert_array_equal(y, np.broadcast_to(v["beta"], y.shape))
    np.testing.assert_array_equal(mean, 3.0)
    np.testing.assert_allclose(rstd, norm.EPS ** -0.5, rtol=1e-6)


def test_infinite_and_missing_values_stay_in_their_rows():
    case = norm.Case(2, 100, 200)
    v = norm.inputs(case)
    expected = values(norm.run_forward(case, v))[0]
    v["x"][0, 3, 5], v["x"][1, 99, 199] = np.nan, np.inf
    y = values(norm.run_forward(case, v))[0]
    assert np.isnan(y[0, 3]).all() and not np.isfinite(y[1, 99]).any()
    keep = np.ones(case.shape[:2], bool)
    keep[0, 3] = keep[1, 99] = False
    np.testing.assert_array_equal(y[keep], expected[keep])


def test_a_vector_is_one_row():
    """x (width): the statistics have the shape (1)."""
    x, ones = np.arange(64, dtype=np.float32), np.ones(64, np.float32)
    result = native.twin_run("vit_layer_norm", [x, ones, 0 * ones], ["float32"] * 3, {"eps": norm.EPS})
    y, mean, rstd = values(result)
    assert result["diagnostics"] == [] and y.shape == (64,) and mean.shape == rstd.shape == (1,)
    np.testing.assert_allclose(y, (x - 31.5) / x.std(), atol=1e-5)


def _arrays(add: bool, **changed) -> tuple[list[np.ndarray], list[str]]:
    """Zeros for every input, some with another (shape, dtype)."""
    kinds = {"x": ((4, 32), "float16"), "residual": ((4, 32), "float16"), "gamma": ((32,), "float16"), "beta": ((32,), "float16")}
    kinds |= changed
    if not add:
        del kinds["residual"]
    store = {"bfloat16": np.uint16}
    return [np.zeros(s, store.get(d, d)) for s, d in kinds.values()], [d for _, d in kinds.values()]


@pytest.mark.parametrize(("changed", "message"), [
    ({"x": ((), "float16")}, r"x must have the shape \(\.\.\., width\)"),
    ({"x": ((0, 32), "float16")}, "rows .* is 0, expected 1 to"),
    ({"x": ((4, 0), "float16")}, "width .* is 0, expected 1 to 2032"),
    ({"x": ((4, 2033), "float16")}, "width .* is 2033, expected 1 to 2032"),
    ({"x": ((4, 32), "int32")}, "x is int32, expected float16, bfloat16 or float32"),
    ({"residual": ((4, 16), "float16")}, "residual must have the shape of"),
    ({"residual": ((4, 32), "float32")}, "residual is float32, expected float16"),
    ({"gamma": ((1, 32), "float16")}, r"gamma must have the shape \(width\)"),
    ({"beta": ((16,), "float16")}, r"beta must have the shape \(width\)"),
    ({"gamma": ((32,), "bfloat16")}, "gamma is bfloat16, expected float16 or float32"),
])
def test_refusals_name_the_argument(changed, message):
    for add in (True, False) if "residual" not in changed else (True,):
        arrays, dtypes = _arrays(add, **changed)
        with pytest.raises(ValueError, match=message):
            native.twin_run("vit_add_layer_norm" if add else "vit_layer_norm", arrays, dtypes, {"eps": norm.EPS})


@pytest.mark.parametrize("eps", [-1e-6, float("nan"), float("inf")])
def test_refuses_an_epsilon_that_is_none(eps):
    arrays, dtypes = _arrays(False)
    with pytest.raises(ValueError, match="eps is .*, expected a finite number >= 0"):
        native.twin_run("vit_layer_norm", arrays, dtypes, {"eps": eps})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("add", [False, True])
def test_estimate_of_vit_base_is_near_its_bound(add, dtype):
    shape = (64, 197, 768)
    names = [shape] * (2 if add else 1) + [(768,)] * 2
    result = native.twin_run("vit_add_layer_norm" if add else "vit_layer_norm", names, [dtype] * len(names),
                             {"eps": norm.EPS}, mode="cost")
    assert result["estimate"]["kernel_us"] <= 1.5 * result["estimate"]["bound_us"]
    # Every activation once, and two numbers per row.
    essential = 64 * 197 * ((4 if add else 2) * 768 * (4 if dtype == "float32" else 2) + 8)
    assert result["counters"]["hbm_bytes"] <= 1.05 * essential


@pytest.mark.parametrize("add", [False, True])
def test_every_flag_barrier_and_buffer_is_missed(add):
    """Whatever guards a hand-over is noticed when it is gone, and a buffer when it is half as large, on some case."""
    mutated = cases.with_add(cases.MUTATION) if add else cases.MUTATION
    runs = launches(norm.forward_launch, mutated, norm.inputs)
    alive, sites = survivors("vit_add_layer_norm" if add else "vit_layer_norm", runs)
    assert sites > 40
    # gamma and beta arrive once, through a buffer of their own: nobody waits for it to be free.
    expected = {("column_vector.h", "AllocTensor"), ("column_vector.h", "FreeTensor")}
    if add:
        # Copies of a kind run in order. x is there when the residual behind it is, and is awaited last; a statistic that
        # has left says that the sum before it has. What follows gamma's widening waits for more than that.
        expected |= {("layer_norm.h", "DeQue"), ("layer_norm.h", "AllocTensor"), ("layer_norm.h", "FreeTensor"),
                     ("column_vector.h", "PipeBarrier")}
    assert {(site.split("/")[-1].split(":")[0], kind) for site, kind in alive.items()} <= expected
    assert sum(not site.startswith("csrc/ascend/common") for site in alive) <= (4 if add else 0)
