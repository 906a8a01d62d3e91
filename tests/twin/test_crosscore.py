"""Between cores: flags, their counters and modes, barriers over the launch, who is who."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _native_module as native
from tests.twin._places import Places, messages

PLACES = Places("crosscore")
TILE = 256
MODES = ["eager", "late", "random"]


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("crosscore")


def ring(tiles=5, blocks=2, wrong_pipe=0, **kwargs):
    return native.launch("cross_ring", [], [tiles, wrong_pipe], [blocks * tiles * TILE * 4], blocks=blocks,
                         mode=native.MIX_AIC_1_2, workspace=blocks * 2 * TILE * 4, **kwargs)


@pytest.mark.parametrize("run_mode", MODES)
@pytest.mark.parametrize("tiles", [1, 2, 3, 7])
def test_a_ring_of_hand_offs_is_right_and_clean(tiles, run_mode):
    result = ring(tiles, run_mode=run_mode)
    assert result["diagnostics"] == []
    halves = result["outputs"][0].view(np.float32).reshape(2, tiles, 2, TILE // 2)
    assert (halves == np.arange(tiles)[None, :, None, None] + np.arange(2)[None, None, :, None]).all()


@pytest.mark.parametrize("mark, found", [
    ("set_ready", ("deadlock", "wait_ready", "")),
    ("wait_ready", ("cross-core-race", "consume", "produce")),
    ("set_free", ("deadlock", "wait_free", "")),
    ("wait_free", ("cross-core-race", "consume", "produce")),
])
def test_each_flag_is_missed(mark, found):
    assert found in PLACES.found(ring(mute=[PLACES.site(mark)]))


def test_sets_nobody_waited_for():
    assert ("cross-core-unread", "set_ready", "") in PLACES.found(ring(2, mute=[PLACES.site("wait_ready")]))


def test_the_set_must_be_on_the_pipe_that_wrote():
    assert ("cross-core-race", "consume", "produce") in PLACES.found(ring(wrong_pipe=1))


def test_a_deadlock_says_who_waits_for_whom():
    result = ring(mute=[PLACES.site("set_ready")], blocks=1)
    texts = [d["message"] for d in result["diagnostics"] if d["rule"] == "deadlock"]
    assert len(texts) == 2  # one place each for the cube core and for its two vector cores
    aiv = next(t for t in texts if t.startswith("AIV 0"))
    assert "waits for ever for cross-core flag 0, which nobody has set" in aiv
    assert f"AIC 0 waits at {PLACES.site('wait_free')}" in aiv


@pytest.mark.parametrize("sets, waits, rules", [(15, 15, set()), (16, 16, {"cross-core-overflow"}),
                                                (3, 2, {"cross-core-unread"}), (2, 3, {"deadlock"})])
def test_the_counter_of_a_flag(sets, waits, rules):
    result = native.launch("cross_counter", [], [sets, waits], mode=native.MIX_AIC_1_2)
    assert native.rules(result) == rules
    if "cross-core-overflow" in rules:
        assert ("cross-core-overflow", "count", "count") in PLACES.found(result)
        assert "15" in messages(result)


def test_the_cube_core_needs_both_vector_cores():
    run = lambda setters: native.launch("cross_both", [], [setters], mode=native.MIX_AIC_1_2)
    assert run(2)["diagnostics"] == []
    result = run(1)
    assert {("deadlock", "wait_both", ""), ("cross-core-unread", "", "")} >= PLACES.found(result) != set()
    assert "AIV 0 set it, missing AIV 1 (ended)" in messages(result)


@pytest.mark.parametrize("run_mode", MODES)
@pytest.mark.parametrize("everyone, blocks", [(0, 1), (1, 1), (1, 3)])
def test_vector_cores_tell_each_other(everyone, blocks, run_mode):
    run = lambda **kwargs: native.launch("cross_peers", [], [everyone], [blocks * 64], blocks=blocks,
                                         mode=native.MIX_AIC_1_2, workspace=blocks * 64, **kwargs)
    result = run(run_mode=run_mode)
    assert result["diagnostics"] == []
    got = result["outputs"][0].view(np.float32).reshape(-1, 8)
    assert (got == np.roll(np.arange(2 * blocks), -1)[:, None]).all()
    if run_mode == "eager":
        assert ("cross-core-race", "own", "next") in PLACES.found(run(mute=[PLACES.site("wait_peers")]))


@pytest.mark.parametrize("run_mode", MODES)
def test_order_is_handed_on_from_core_to_core(run_mode):
    run = lambda **kwargs: native.launch("cross_chain", [], [], [64], mode=native.MIX_AIC_1_2, workspace=64, **kwargs)
    result = run(run_mode=run_mode)
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0].view(np.float32).reshape(2, 8)[:, 0], [1, 0])
    for mark in ("wait_written", "wait_told"):  # each link of the chain is needed
        assert "cross-core-race" in native.rules(run(mute=[PLACES.site(mark)]))


def test_a_flag_within_an_ai_core_does_not_reach_the_others():
    result = native.launch("cross_peers", [], [0], [128], blocks=2, mode=native.MIX_AIC_1_2, workspace=128)
    assert "cross-core-race" in native.rules(result)


@pytest.mark.parametrize("case, found, text", [
    (1, ("cross-core-id", "reserved_flag", ""), "use 0..10"),
    (2, ("cross-core-id", "no_flag", ""), "0..15"),
    (3, ("cross-core-pipe", "vector_pipe", ""), "does not have"),
    (4, ("cross-core-unread", "never_read", ""), "never waited for"),
    (5, ("deadlock", "never_set", ""), "nobody has set; AIV 0 ended, AIV 1 ended"),
    (6, ("cross-core-id", "no_mode", ""), "does not exist on 2201"),
])
def test_misuse_of_cross_core_flags(case, found, text):
    result = native.launch("cross_misuse", [], [case], mode=native.MIX_AIC_1_2)
    assert found in PLACES.found(result)
    assert text in messages(result)


def vector_barrier(cores=4, early=0, mode=native.MIX_AIV_1_0, **kwargs):
    total = cores * (2 if mode == native.MIX_AIC_1_2 else 1)
    return native.launch("sync_all_vector", [], [early], [total * 32], blocks=cores, mode=mode, workspace=total * 32,
                         **kwargs)


@pytest.mark.parametrize("run_mode", MODES)
@pytest.mark.parametrize("mode, cores", [(native.MIX_AIV_1_0, 1), (native.MIX_AIV_1_0, 48), (native.MIX_AIC_1_2, 3)])
def test_all_vector_cores_meet(mode, cores, run_mode):
    result = vector_barrier(cores, mode=mode, run_mode=run_mode)
    assert result["diagnostics"] == []
    got = result["outputs"][0].view(np.float32).reshape(-1, 8)
    assert (got == np.roll(np.arange(len(got)), -1)[:, None]).all()


def test_a_missing_barrier_over_the_cores():
    found = PLACES.found(vector_barrier(mute=[PLACES.site("meet")]))
    assert {("cross-core-race", "own", "next"), ("cross-core-race", "next", "own")} & found


def test_a_core_that_leaves_early_deadlocks_the_barrier():
    result = vector_barrier(early=1)
    assert ("deadlock", "meet", "") in PLACES.found(result)
    assert "SyncAll: 3 of 4 cores have arrived, missing AIV 3 (ended)" in messages(result)


def test_the_barrier_needs_a_mix_launch():
    assert ("kernel-type", "meet", "") in PLACES.found(vector_barrier(mode=native.AIV_ONLY))


@pytest.mark.parametrize("run_mode", MODES)
def test_cube_and_vector_cores_meet(run_mode):
    run = lambda away, **kwargs: native.launch("sync_all_mix", [], [away], [128], blocks=2, mode=native.MIX_AIC_1_2,
                                               workspace=128, run_mode=run_mode, **kwargs)
    result = run(0)
    assert result["diagnostics"] == []
    assert (result["outputs"][0].view(np.float32) == 9).all()
    missing = run(1)
    assert ("deadlock", "meet_vector", "") in PLACES.found(missing)
    assert "4 of 6 cores have arrived, missing AIC 0 (ended), AIC 1 (ended)" in messages(missing)


def test_cube_and_vector_cores_do_not_meet():
    mute = [PLACES.site("meet_cube"), PLACES.site("meet_vector")]
    result = native.launch("sync_all_mix", [], [0], [128], blocks=2, mode=native.MIX_AIC_1_2, workspace=128, mute=mute)
    assert ("cross-core-race", "vector_read", "cube_write") in PLACES.found(result)


def soft(ub, dirty=0):
    zeros = np.zeros(128, np.uint8)
    return native.launch("sync_all_soft", [zeros], [ub, dirty], [128], blocks=4, mode=native.AIV_ONLY, workspace=256)


def test_the_software_barrier():
    result = soft(128)
    assert result["diagnostics"] == []
    got = result["outputs"][0].view(np.float32).reshape(4, 8)
    assert (got == np.roll(np.arange(4), -1)[:, None]).all()
    assert ("temp-size", "meet_soft", "") in PLACES.found(soft(64))
    assert ("uninitialised-read", "meet_soft", "") in PLACES.found(soft(128, dirty=1))


@pytest.mark.parametrize("mode, cubes, vectors, ratio", [
    (native.AIV_ONLY, 0, 3, 1), (native.MIX_AIV_1_0, 0, 3, 1), (native.AIC_ONLY, 3, 0, 1),
    (native.MIX_AIC_1_1, 3, 3, 1), (native.MIX_AIC_1_2, 3, 6, 2)])
def test_who_is_who(mode, cubes, vectors, ratio):
    result = native.launch("cross_identity", [], [vectors], [(cubes + vectors) * 64], blocks=3, mode=mode)
    assert result["diagnostics"] == []
    got = result["outputs"][0].view(np.int64).reshape(-1, 8)[:, :5]
    vector = [[i, 3, i % ratio, ratio, ratio] for i in range(vectors)]
    cube = [[i, 3, 0, 1, 1] for i in range(cubes)]
    np.testing.assert_array_equal(got, vector + cube)
