"""Flags and barriers inside a core: each missing one is reported with both places, none when all are there."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _native_module as native
from tests.twin._places import Places, messages

PLACES = Places("sync")
ROWS = 3
X = np.arange(ROWS * 64, dtype=np.float32)


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("sync")


def rows(**kwargs):
    return native.launch("sync_rows", [X], [ROWS], [X.nbytes], **kwargs)


def cube(m, n, **kwargs):
    return native.launch("sync_cube", [], [m, n], [m * n * 4], mode=native.AIC_ONLY, **kwargs)


def test_rows_are_right_and_clean():
    result = rows()
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0].view(np.float32), (X + 1) * 2)


# What the checker says when one call is gone: (rule, place, earlier place), among possibly others.
ROW_MUTANTS = {
    "preset_in": ("wait-without-set", "wait_free_in", ""),
    "preset_out": ("wait-without-set", "wait_free_out", ""),
    "wait_free_in": ("missing-sync", "load", "adds"),
    "set_loaded": ("missing-sync", "adds", "load"),
    "wait_loaded": ("missing-sync", "adds", "load"),
    "set_free_in": ("missing-sync", "load", "adds"),
    "barrier": ("missing-barrier", "muls", "adds"),
    "wait_free_out": ("missing-sync", "muls", "store"),
    "set_computed": ("missing-sync", "store", "muls"),
    "wait_computed": ("missing-sync", "store", "muls"),
    "set_free_out": ("missing-sync", "muls", "store"),
    "drain_in": ("flag-left-set", "set_free_in", ""),
    "drain_out": ("flag-left-set", "set_free_out", ""),
}


@pytest.mark.parametrize("mark", ROW_MUTANTS)
def test_each_flag_and_barrier_is_missed(mark):
    assert ROW_MUTANTS[mark] in PLACES.found(rows(mute=[PLACES.site(mark)]))


def test_every_synchronisation_is_listed_as_a_site():
    rows()
    sites = {s["line"]: s for s in native.twin_sync_sites("sync_rows")}
    assert {PLACES.line(mark) for mark in ROW_MUTANTS} <= set(sites)
    wait = sites[PLACES.line("wait_loaded")]
    assert wait["site"] == PLACES.site("wait_loaded") + ":WaitFlag<MTE2_V>"
    assert (wait["kind"], wait["file"], wait["executions"], wait["useless"]) == ("WaitFlag", PLACES.file, ROWS, 0)


def test_a_site_is_muted_by_its_own_name_and_by_a_shortened_path():
    for site in (PLACES.site("barrier") + ":PipeBarrier<PIPE_V>", f"sync.cpp:{PLACES.line('barrier')}"):
        assert ("missing-barrier", "muls", "adds") in PLACES.found(rows(mute=[site]))
    assert rows(mute=[PLACES.site("barrier") + ":PipeBarrier<PIPE_MTE2>"])["diagnostics"] == []


def test_the_first_wait_on_a_preset_flag_is_noted_when_nothing_follows():
    result = native.launch("sync_rows", [X[:64]], [1], [256])
    noted = {n["line"]: n["message"] for n in result["notes"] if n["kind"] == "redundant-sync"}
    assert "WaitFlag<V_MTE2>" in noted[PLACES.line("wait_free_in")]
    assert PLACES.line("wait_loaded") not in noted and PLACES.line("barrier") not in noted
    # Three rows need both.
    assert PLACES.line("wait_free_in") not in {n["line"] for n in rows()["notes"]}


def test_synchronisation_that_orders_nothing_is_noted():
    result = misuse(12)
    assert result["diagnostics"] == []
    noted = {n["line"]: n["message"] for n in result["notes"] if n["kind"] == "redundant-sync"}
    idle = {"first_barrier": "PipeBarrier<PIPE_V>", "all_barrier": "PipeBarrier<PIPE_ALL>", "idle_wait": "WaitFlag<V_MTE3>"}
    assert noted == {PLACES.line(mark): f"{what} orders nothing that was not ordered already (1 times)"
                     for mark, what in idle.items()}
    assert result["notes"][0]["file"] == PLACES.file


@pytest.mark.parametrize("mark, rule, here, earlier, kind", [
    ("barrier_mte2", "missing-barrier", "load_second", "load_first", "write after write"),
    ("barrier_v", "missing-barrier", "write_second", "write_first", "write after write"),
    ("barrier_mte3", "missing-barrier", "store_second", "store_first", "write after write"),
])
def test_overlapping_writes_of_one_pipe(mark, rule, here, earlier, kind):
    x = np.arange(128, dtype=np.float32)
    clean = native.launch("sync_same_pipe", [x], [], [768])
    assert clean["diagnostics"] == []
    y = np.concatenate([x[:64], x])
    y[128:] = 3 * x[:64]
    np.testing.assert_array_equal(clean["outputs"][0].view(np.float32), y)
    result = native.launch("sync_same_pipe", [x], [], [768], mute=[PLACES.site(mark)])
    assert PLACES.found(result) == {(rule, here, earlier)}
    assert kind in messages(result)


@pytest.mark.parametrize("mark", ["set_spilled", "wait_spilled"])
def test_a_load_of_what_the_same_core_stored(mark):
    x = np.arange(64, dtype=np.float32)
    run = lambda **kwargs: native.launch("sync_through_gm", [x], [], [256], workspace=256, **kwargs)
    clean = run()
    assert clean["diagnostics"] == []
    np.testing.assert_array_equal(clean["outputs"][0].view(np.float32), x)
    result = run(mute=[PLACES.site(mark)])
    assert ("missing-sync", "reload", "spill") in PLACES.found(result)
    assert "HardEvent::MTE3_MTE2" in messages(result)


@pytest.mark.parametrize("mark, found", [
    ("wait_v_s", ("missing-sync", "get", "fill")),
    ("set_v_s", ("missing-sync", "get", "fill")),
    ("wait_s_v", ("missing-sync", "use", "put")),
    ("set_s_v", ("missing-sync", "use", "put")),
])
def test_the_scalar_unit_and_the_vector_unit(mark, found):
    clean = native.launch("sync_scalar", [], [], [256])
    assert clean["diagnostics"] == []
    y = np.full(64, 2, np.float32)
    y[5] = 42
    np.testing.assert_array_equal(clean["outputs"][0].view(np.float32), y)
    assert found in PLACES.found(native.launch("sync_scalar", [], [], [256], mute=[PLACES.site(mark)]))


CUBE_MUTANTS = {
    "set_l1": ("missing-sync", "load_a", "fill_l1"),
    "wait_l1": ("missing-sync", "load_a", "fill_l1"),
    "preset_l0": ("wait-without-set", "wait_l0_free", ""),
    "wait_l0_free": ("missing-sync", "load_a", "mmad"),
    "set_l0": ("missing-sync", "mmad", "load_a"),
    "wait_l0": ("missing-sync", "mmad", "load_a"),
    "set_l0_free": ("missing-sync", "load_a", "mmad"),
    "drain_l0": ("flag-left-set", "set_l0_free", ""),
    "set_c": ("missing-sync", "fixpipe", "mmad_again"),
    "wait_c": ("missing-sync", "fixpipe", "mmad_again"),
}


@pytest.mark.parametrize("mark", CUBE_MUTANTS)
def test_each_flag_of_the_cube_pipes_is_missed(mark):
    assert CUBE_MUTANTS[mark] in PLACES.found(cube(64, 64, mute=[PLACES.site(mark)]))


@pytest.mark.parametrize("m, n, needed", [(16, 16, True), (48, 48, True), (16, 144, True), (160, 16, False),
                                          (64, 48, False), (128, 128, False)])
def test_accumulating_products_need_a_barrier_below_ten_fractals(m, n, needed):
    clean = cube(m, n)
    assert clean["diagnostics"] == []
    np.testing.assert_array_equal(clean["outputs"][0].view(np.float32), np.full(m * n, 48.0, np.float32))
    bare = PLACES.found(cube(m, n, mute=[PLACES.site("barrier_m")]))
    assert bare == ({("missing-barrier", "mmad_again", "mmad")} if needed else set())


def unit(mmad_flag, fixpipe_flag, rows=16, more=0, **kwargs):
    return native.launch("sync_unit", [], [mmad_flag, fixpipe_flag, rows, more], [1024 * (1 + more)],
                         mode=native.AIC_ONLY, **kwargs)


@pytest.mark.parametrize("more", [0, 1, 3])
def test_unit_flags_order_product_and_fixpipe(more):
    result = unit(3, 3, more=more)
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0].view(np.float32), np.full(256 * (1 + more), 16.0, np.float32))


def test_unit_flags_that_do_not_match():
    assert ("missing-sync", "unit_fixpipe", "unit_mmad") in PLACES.found(unit(0, 0))
    assert ("unit-flag", "unit_fixpipe", "") in PLACES.found(unit(0, 3))
    assert ("unit-flag", "unit_mmad", "") in PLACES.found(unit(3, 0))
    assert ("unit-flag", "unit_fixpipe", "unit_mmad") in PLACES.found(unit(3, 3, rows=8))
    assert ("unit-flag", "unit_mmad", "") in PLACES.found(unit(1, 3))


def misuse(case):
    return native.launch("sync_misuse", [], [case])


@pytest.mark.parametrize("case", [0, 10])
def test_flags_used_as_they_should_be(case):
    assert misuse(case)["diagnostics"] == []


@pytest.mark.parametrize("case, found, text", [
    (1, {("double-set", "second_set", "first_set")}, "already set"),
    (2, {("flag-left-set", "left_set", "")}, "corrupt the next"),
    (3, {("wait-without-set", "lonely_wait", "")}, "wait for ever"),
    (4, {("event-id", "reserved_id", ""), ("event-id", "reserved_wait", "")}, "6 and 7 are reserved"),
    (5, {("event-id", "id_too_large", "")}, "0..7"),
    (6, {("wrong-core", "cube_event", "")}, "does not have both pipes"),
    (7, {("event-leak", "leaked_id", "")}, "never released"),
    (8, {("event-id", "not_allocated", "")}, "not allocated"),
    (9, {("wrong-core", "cube_barrier", "")}, "does not have this pipe"),
    (11, {("event-id", "ninth_id", "ninth_id")}, "8 are in use"),
])
def test_misuse_of_flags(case, found, text):
    result = misuse(case)
    assert PLACES.found(result) == found
    assert text in messages(result)


@pytest.mark.parametrize("event", range(6))
def test_flags_that_tpipe_keeps_on_a_cube_core(event):
    """Of M_MTE1 the first three; the pool gives out others."""
    run = lambda *args: native.launch("sync_cube_ids", [], list(args), mode=native.AIC_ONLY)
    kept = {("event-id", "kept_set", ""), ("event-id", "kept_wait", "")}
    assert PLACES.found(run(event, 0)) == (kept if event < 3 else set())
    assert run(0, 1)["diagnostics"] == []


def test_kernels_without_tpipe():
    static = lambda case: native.launch("sync_static", [], [case], [256])
    clean = static(0)
    assert clean["diagnostics"] == []
    np.testing.assert_array_equal(clean["outputs"][0].view(np.float32), np.full(64, 7.0, np.float32))
    assert PLACES.found(static(1)) == {("init-state", "static_use", "")}
    assert PLACES.found(static(2)) == {("missing-barrier", "static", "")}
    assert PLACES.found(static(3)) == {("mixed-static", "late_pipe", "static")}
