"""The Python module: what it accepts, what it returns, and what it says about bad input."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _native_module as native

X = np.arange(64, dtype=np.float32)


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("sync")


def run(**changes):
    given = {"op": "sync_rows", "inputs": [X.view(np.uint8)], "dtypes": ["uint8"],
             "attrs": {"p0": 1.0, "out0": 256.0}} | changes
    return native.twin_run(**given)


def test_what_a_run_returns():
    result = run()
    assert set(result) == {"outputs", "output_dtypes", "output_shapes", "diagnostics", "notes", "counters", "estimate",
                           "plan"}
    assert result["output_dtypes"] == ["uint8"] and result["output_shapes"] == [(256,)]
    assert result["plan"] == {"blocks": 1, "tiling_key": 0, "workspace_bytes": 0, "mode": "AIV_ONLY"}
    assert result["counters"]["gm_read_bytes"] == result["counters"]["gm_write_bytes"] == 256
    assert result["counters"]["flags_set"] == result["counters"]["flags_waited"] == 6
    assert result["counters"]["instructions_PIPE_V"] == 2 and result["counters"]["barriers"] == 1
    assert result["counters"]["peak_bytes_UB"] == 3 * 256


def test_a_diagnostic():
    result = run(attrs={"p0": 2.0, "out0": 512.0})
    first = next(d for d in result["diagnostics"] if d["rule"] == "out-of-bounds")
    assert first["file"] == "tests/twin/kernels/sync.cpp" and first["line"] > 0
    assert first["core"] == "AIV 0" and first["count"] == 1 and "input 0" in first["message"]


def test_cost_mode_takes_shapes_and_returns_no_outputs():
    result = run(inputs=[(256,)], mode="cost")
    assert result["outputs"] == [] and result["output_shapes"] == [(256,)]
    assert result["estimate"]["total_us"] > result["estimate"]["kernel_us"] > 0


def test_inputs_need_not_be_contiguous_or_writable():
    wide = np.zeros((64, 2), np.uint8)
    wide[:, 0] = np.arange(64)
    column = np.repeat(wide[:, 0], 4)
    column.flags.writeable = False
    np.testing.assert_array_equal(run(inputs=[column])["outputs"][0], run(inputs=[column.copy()])["outputs"][0])
    strided = np.zeros((256, 2), np.uint8)
    strided[:, 0] = X.view(np.uint8)
    np.testing.assert_array_equal(run(inputs=[strided[:, 0]])["outputs"][0].view(np.float32), (X + 1) * 2)


@pytest.mark.parametrize("changes, text", [
    ({"op": "no_such_op"}, "op 'no_such_op' is not registered.*sync_rows"),
    ({"sku": "910Z"}, "sku '910Z' is unknown; expected one of 910B1, 910B2, 910B3, 910B4"),
    ({"mode": "fast"}, "mode is 'fast'; expected eager, late, random or cost"),
    ({"dtypes": ["float8"]}, "dtype 'float8' is unknown; expected one of bfloat16, float16"),
    ({"dtypes": ["float16"]}, "input 0 has dtype uint8; 'float16' travels as float16"),
    ({"dtypes": ["bfloat16"]}, "input 0 has dtype uint8; 'bfloat16' travels as uint16"),
    ({"dtypes": []}, "inputs has 1 entries, dtypes 0"),
    ({"inputs": [object()]}, "input 0"),
    ({"mmad_order": 3}, "mmad_order is 3; expected 0"),
    ({"inputs": [(-4,)], "mode": "cost"}, "input 0 has a dimension of -4; expected 0 or more"),
    ({"inputs": [(1 << 40, 1 << 40)], "mode": "cost"}, "input 0 is larger than 4 TiB"),
    ({"attrs": {"blocks": 49.0}}, "plans 49 blocks; the 910B1 has 48 cores of that kind"),
    ({"attrs": {"blocks": 0.0}}, "plans 0 blocks"),
    ({"attrs": {"blocks": 25.0, "mode": float(native.MIX_AIC_1_2)}}, "plans 25 blocks; the 910B1 has 24"),
    ({"attrs": {"blocks": 41.0}, "sku": "910B3"}, "the 910B3 has 40"),
])
def test_bad_input_is_a_value_error(changes, text):
    with pytest.raises(ValueError, match=text):
        run(**changes)


def test_sites_of_an_operator_that_has_not_run():
    with pytest.raises(ValueError, match="'nothing' has not run"):
        native.twin_sync_sites("nothing")


def test_a_library_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="cannot load"):
        native.twin_load(str(tmp_path / "missing.so"))


def test_runs_do_not_leak_into_each_other():
    """A run that failed leaves nothing behind for the next."""
    before = run()
    run(mute=["sync.cpp:" + str(n) for n in range(1, 60)])
    after = run()
    assert after["diagnostics"] == [] and after["notes"] == before["notes"]
    np.testing.assert_array_equal(after["outputs"][0], before["outputs"][0])
    assert after["counters"] == before["counters"] and after["estimate"] == before["estimate"]
