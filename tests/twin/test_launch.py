"""The contract between host and device: kernel type, tiling data, keys, and failures that are neither's fault."""

from __future__ import annotations

import pytest

from tests.twin import _native_module as native
from tests.twin._places import Places, messages

PLACES = Places("launch")


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("launch")


def run(op, **attrs):
    return native.twin_run(op, [], [], {name: float(value) for name, value in attrs.items()})


def test_a_kernel_says_its_type():
    result = run("launch_no_type")
    assert native.rules(result) == {"kernel-type"} and "KERNEL_TASK_TYPE_DEFAULT" in messages(result)


def test_the_type_is_the_one_that_is_launched():
    assert ("kernel-type", "other_type", "") in PLACES.found(run("launch_other_type"))
    assert run("launch_other_type", mode=native.MIX_AIC_1_2)["diagnostics"] == []


def test_types_by_key():
    assert run("launch_keyed", key=1, mode=native.AIV_ONLY)["diagnostics"] == []
    assert run("launch_keyed", key=2, mode=native.MIX_AIV_1_0)["diagnostics"] == []
    assert native.rules(run("launch_keyed", key=2, mode=native.AIV_ONLY)) == {"kernel-type"}
    assert native.rules(run("launch_keyed", key=3)) == {"kernel-type"}
    assert run("launch_keyed", key=2, mode=native.MIX_AIV_1_0)["plan"]["tiling_key"] == 2


def test_tiling_data():
    assert PLACES.found(run("launch_odd_tiling")) == {("parameter", "odd_tiling", "")}
    assert ("parameter", "wrong_tiling", "") in PLACES.found(run("launch_wrong_tiling"))
    assert "host and device disagree" in messages(run("launch_wrong_tiling"))
    assert ("parameter", "no_tiling", "") in PLACES.found(run("launch_no_tiling"))


def test_what_the_host_side_refuses_is_a_value_error():
    with pytest.raises(ValueError, match="head_dim is 7; expected a multiple of 16"):
        run("launch_refused")


def test_an_exception_inside_a_core_reaches_the_caller():
    for _ in range(2):  # and the process is fit for the next launch
        with pytest.raises(RuntimeError, match="trouble on the host"):
            run("launch_throws", blocks=3)
    assert run("launch_keyed", key=1)["diagnostics"] == []
