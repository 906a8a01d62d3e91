"""The stand-ins for stock operators: clean on the twin, and priced by the bytes they move."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin._native_module import twin_run


@pytest.mark.parametrize("mode", ["eager", "late", "random"])
def test_stream_is_clean_and_copies_its_last_input(mode):
    x = np.random.default_rng(0).standard_normal((2, 100 * 1024)).astype(np.float16)
    run = twin_run("stock_stream", [x], ["float16"], {"passes": 2, "row_elems": 64, "store": 1}, mode=mode)
    assert run["diagnostics"] == []
    np.testing.assert_array_equal(run["outputs"][0], x[-1])


def test_stream_is_bound_by_its_bytes():
    elems = 64 * 1024 * 1024
    run = twin_run("stock_stream", [(2, elems)], ["float16"], {"passes": 1, "row_elems": 8192, "store": 1}, mode="cost")
    assert run["counters"]["hbm_bytes"] == 3 * 2 * elems
    assert run["estimate"]["binding"] == "hbm"
    assert run["estimate"]["kernel_us"] >= 3 * 2 * elems / 1.8e6


def test_stream_refuses_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="row_elems must divide"):
        twin_run("stock_stream", [(1, 1000)], ["float16"], {"passes": 1, "row_elems": 300, "store": 1}, mode="cost")


def test_a_reduction_writes_nothing():
    run = twin_run("stock_stream", [(1, 8192 * 480)], ["float16"], {"passes": 1, "row_elems": 8192, "store": 0}, mode="cost")
    assert run["counters"]["hbm_bytes"] == 2 * 8192 * 480
