"""Launches that would hang end, with a report of who stands where."""

from __future__ import annotations

import pytest

from tests.twin import _native_module as native
from tests.twin._places import Places, messages

PLACES = Places("deadlock")


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("deadlock")


@pytest.mark.parametrize("run_mode", ["eager", "late", "random", "cost"])
def test_a_cycle_of_waits(run_mode):
    result = native.launch("deadlock_cycle", [], [], mode=native.MIX_AIC_1_2, run_mode=run_mode)
    assert PLACES.found(result) == {("deadlock", "cube_waits", ""), ("deadlock", "vector_waits", "")}
    assert f"AIC 0 waits for ever for cross-core flag 1, which nobody has set; AIV 0 waits at " \
           f"{PLACES.site('vector_waits')}" in messages(result)


@pytest.mark.parametrize("strict", [True, False])
def test_a_deadlock_is_reported_even_when_nothing_else_is(strict):
    result = native.launch("deadlock_cycle", [], [], mode=native.MIX_AIC_1_2, strict=strict)
    assert native.rules(result) == {"deadlock"}


@pytest.mark.parametrize("run_mode", ["eager", "late", "random", "cost"])
def test_steps_are_bounded(run_mode):
    result = native.launch("deadlock_endless", [], [], blocks=2, mode=native.MIX_AIV_1_0, run_mode=run_mode,
                           max_steps=5000)
    assert ("step-limit", "endless", "") in PLACES.found(result)
    assert "exceeded 5000 API calls; AIV 0 stands here; AIV 1 " in messages(result)


def test_the_bound_is_not_hit_by_a_kernel_that_ends():
    assert native.launch("deadlock_finite", [], [1000], max_steps=1100)["diagnostics"] == []
    assert native.rules(native.launch("deadlock_finite", [], [1000], max_steps=900)) == {"step-limit"}


def test_a_core_that_an_error_stopped():
    result = native.launch("deadlock_after_error", [], [], blocks=2, mode=native.MIX_AIV_1_0)
    assert {("queue-misuse", "error", ""), ("deadlock", "wait_for_it", "")} <= PLACES.found(result)
    assert "missing AIV 0 (stopped by an error)" in messages(result)
