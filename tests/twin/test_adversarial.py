"""Instructions executed as late as the flags allow, and in random legal orders: a kernel that is right gives the same
bits, and a kernel that lacks a synchronisation shows it even with the checker off."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _native_module as native
from tests.twin._places import Places

PLACES = Places("adversary")
TILES, SIDE = 6, 32


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("adversary")


@pytest.fixture(scope="module")
def operands():
    rng = np.random.default_rng(3)
    return [rng.standard_normal((TILES, SIDE, SIDE)).astype(np.float16) for _ in range(2)]


def run(operands, run_mode="eager", seed=0, **kwargs):
    return native.launch("adversary", operands, [TILES], [SIDE * 4], mode=native.MIX_AIC_1_2,
                         workspace=2 * SIDE * SIDE * 4, run_mode=run_mode, seed=seed, **kwargs)


ORDERS = [("late", 0)] + [("random", seed) for seed in range(20)]


@pytest.mark.parametrize("mode", ["late", "random"])
def test_an_adversarial_order_is_no_schedule(operands, mode):
    assert run(operands)["estimate"]["cycles"] > 0
    result = run(operands, mode)
    assert result["estimate"] == {} and result["counters"] == {}


def test_the_kernel_is_right(operands):
    result = run(operands)
    assert result["diagnostics"] == []
    a, b = (x.astype(np.float64) for x in operands)
    expected = ((a @ b) ** 2).sum((0, 2))
    expected[[15, 31]] += 1
    np.testing.assert_allclose(result["outputs"][0].view(np.float32), expected, rtol=1e-5)


@pytest.mark.parametrize("run_mode, seed", ORDERS)
def test_every_legal_order_gives_the_same_bits(operands, run_mode, seed):
    result = run(operands, run_mode, seed)
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0], run(operands)["outputs"][0])


def test_a_seed_is_an_order(operands):
    """The same seed twice gives the same run, also of a kernel whose result depends on the order."""
    mute = [PLACES.site("wait_l1")]
    outputs = [run(operands, "random", seed, strict=False, mute=mute)["outputs"][0].tobytes() for seed in range(12)]
    again = [run(operands, "random", seed, strict=False, mute=mute)["outputs"][0].tobytes() for seed in range(12)]
    assert outputs == again
    assert len(set(outputs)) > 1


MUTANTS = ["wait_l1_free", "wait_l1", "wait_l0_free", "wait_l0", "wait_c_free", "wait_c", "wait_ready", "wait_free",
           "deque", "barrier_square", "barrier_sum", "wait_v_s", "wait_s_mte3"]


@pytest.mark.parametrize("mark", MUTANTS)
def test_a_missing_wait_shows_in_the_result_without_the_checker(operands, mark):
    right = run(operands)["outputs"][0]
    mute = [PLACES.site(mark)]
    assert any(not np.array_equal(run(operands, mode, seed, strict=False, mute=mute)["outputs"][0], right)
               for mode, seed in ORDERS)


@pytest.mark.parametrize("mark", [*MUTANTS, "alloc"])
def test_and_in_the_report_with_it(operands, mark):
    assert run(operands, mute=[PLACES.site(mark)])["diagnostics"] != []


def test_late_is_not_eager(operands):
    """What a core reads too early is not there yet, where eager execution would have let it pass."""
    mute = [PLACES.site("wait_l1")]
    right = run(operands)["outputs"][0]
    np.testing.assert_array_equal(run(operands, strict=False, mute=mute)["outputs"][0], right)
    late = run(operands, "late", strict=False, mute=mute)["outputs"][0].view(np.float32)
    assert not np.array_equal(late, right.view(np.float32))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("run_mode, seed", ORDERS[:4])
def test_the_order_of_products_is_the_same_in_every_mode(operands, order, run_mode, seed):
    want = run(operands, mmad_order=order)["outputs"][0]
    np.testing.assert_array_equal(run(operands, run_mode, seed, mmad_order=order)["outputs"][0], want)
