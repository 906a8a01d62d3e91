"""Memories: poison, bounds, alignment, places, narrow fields, modes left on; global memory between cores."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _native_module as native
from tests.twin._places import Places, messages

PLACES, GM = Places("memory"), Places("gm")
X = np.arange(64, dtype=np.float32)


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("memory")
    load_kernels("gm")


def bounds(case, **kwargs):
    return native.launch("memory_bounds", [X], [case], [X.nbytes], **kwargs)


def test_inside_the_bounds():
    result = bounds(0)
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0].view(np.float32), X + 1)


@pytest.mark.parametrize("case, found, text", [
    (1, ("out-of-bounds", "past_tensor", "buffer"), "UB"),
    (2, ("out-of-bounds", "past_input", ""), "input 0, which has 256"),
    (3, ("out-of-bounds", "past_output", ""), "output 0, which has 256"),
    (4, ("out-of-bounds", "scalar_past_input", ""), "input 0"),
    (5, ("out-of-bounds", "scalar_past_tensor", "buffer"), "UB"),
    (6, ("out-of-bounds", "past_global_buffer", ""), "SetGlobalBuffer (input 0)"),
    (7, ("out-of-bounds", "past_get", "buffer"), "UB"),
    (8, ("out-of-bounds", "get_past_buffer", "buffer"), "TBuf::Get"),
    (9, ("out-of-bounds", "no_workspace", ""), "belongs to no argument"),
    (10, ("input-written", "write_input", ""), "input 0"),
])
@pytest.mark.parametrize("run_mode", ["eager", "late"])
def test_outside_the_bounds(case, found, text, run_mode):
    result = bounds(case, run_mode=run_mode)
    assert found in PLACES.found(result)
    assert text in messages(result)


def test_an_access_outside_harms_nothing_without_the_checks():
    for case in range(1, 11):
        assert bounds(case, strict=False)["diagnostics"] == []


@pytest.mark.parametrize("case, found", [
    (0, set()),
    (1, {("uninitialised-read", "stale", "alloc_again")}),
    (2, {("uninitialised-read", "stale_scalar", "alloc_again")}),
    (3, {("output-unwritten", "", "")}),
    (4, {("output-unwritten", "", "")}),
])
def test_what_was_never_written(case, found):
    assert PLACES.found(native.launch("memory_poison", [], [case], [256])) == found


def test_never_written_memory_is_poison():
    result = native.launch("memory_poison", [], [3], [256])
    out = result["outputs"][0]
    np.testing.assert_array_equal(out[:224].view(np.float32), np.ones(56, np.float32))
    np.testing.assert_array_equal(out[224:], native.poisoned(32))
    # Poison is NaN in every floating type, so that it cannot be overlooked even where nothing checks.
    assert np.isnan(out[224:].view(np.float32)).all() and np.isnan(out[224:].view(np.float16)).all()
    assert "byte 224 of 256" in messages(result)


def test_never_written_global_memory():
    result = native.launch("memory_poison", [], [5], [256], workspace=256)
    assert {(rule, here) for rule, here, _ in PLACES.found(result)} == {("uninitialised-read", "stale_workspace")}


@pytest.mark.parametrize("case, found", [
    (0, set()),
    (1, {("misaligned", "vector_dst", "")}),
    (2, {("misaligned", "vector_src", "")}),
    (3, {("misaligned", "copy_dst", "")}),
    (4, set()),
    (5, set()),
])
def test_alignment_in_ub(case, found):
    assert PLACES.found(native.launch("memory_align_vector", [X], [case])) == found


@pytest.mark.parametrize("case, found", [
    (0, set()),
    (1, {("misaligned", "load_a", "")}),
    (2, {("misaligned", "load_b", "")}),
    (3, {("misaligned", "misaligned_c", "")}),
    (4, {("misaligned", "load_bias", "")}),
    (5, {("misaligned", "load_a", "")}),
    (6, {("gemv-trap", "gemv", "")}),
    (7, {("parameter", "long_k", "")}),
])
def test_alignment_and_shape_on_the_cube_core(case, found):
    result = native.launch("memory_align_cube", [], [case], mode=native.AIC_ONLY)
    got = PLACES.found(result)
    assert found <= got and bool(found) == bool(got)
    assert {rule for rule, _, _ in got} <= {rule for rule, _, _ in found} | {"uninitialised-read", "out-of-bounds"}


@pytest.mark.parametrize("case, mode, found", [
    (1, native.AIC_ONLY, {("wrong-core", "copy_ub_on_cube")}),
    (2, native.AIV_ONLY, {("wrong-core", "copy_l1_on_vector")}),
    (3, native.AIC_ONLY, {("position", "scalar_l1"), ("position", "scalar_l1_write")}),
    (4, native.AIV_ONLY, {("out-of-bounds", "past_ub")}),
    (5, native.AIV_ONLY, {("misaligned", "odd_address")}),
])
def test_memories_a_core_or_unit_does_not_have(case, mode, found):
    result = native.launch("memory_place", [X], [case], mode=mode)
    assert found <= {(rule, here) for rule, here, _ in PLACES.found(result)}


def test_memories_a_core_has():
    for mode in (native.AIC_ONLY, native.AIV_ONLY):
        assert native.launch("memory_place", [X], [0], mode=mode)["diagnostics"] == []


@pytest.mark.parametrize("case, fits, too_big, rule, mark", [
    (1, 8, 256, "field-range", "stride8"),
    (2, 8, 300, "field-range", "binary8"),
    (3, 100, 65536, "field-range", "copy16"),
    (3, 100, -1, "field-range", "copy16"),
    (4, 208, 197, "rounds-down", "count"),
    (5, 2000, 4096, "parameter", "blocks"),
    (6, 2000, 4096, "parameter", "pad_blocks"),
    (7, 7, 9, "parameter", "pad_right"),
    (8, 64, 65, "mask", "mask"),
    (9, 64, 0, "parameter", "zero_bytes"),
])
def test_fields_and_counts(case, fits, too_big, rule, mark):
    x = np.zeros(64 * 1024, np.uint8)
    run = lambda value: native.launch("memory_fields", [x], [case, value])
    assert run(fits)["diagnostics"] == []
    assert (rule, mark, "") in PLACES.found(run(too_big))


def test_a_rounded_count_says_how_much_is_lost():
    x = np.zeros(64 * 1024, np.uint8)
    assert "394 bytes copies only 384" in messages(native.launch("memory_fields", [x], [4, 197]))


@pytest.mark.parametrize("case, found", [
    (0, set()), (1, {("mask-left", "mask_count"), ("mask-left", "mask_counter")}), (2, {("mask-left", "mask_normal")}),
    (3, set()), (4, set()), (5, {("atomic-left", "atomic"), ("output-unwritten", "")}), (6, set()),
])
def test_modes_left_on(case, found):
    result = native.launch("memory_modes", [], [case], [256])
    got = {(rule, here) for rule, here, _ in PLACES.found(result)}
    if case == 1:  # counter mode was set by one call and its count by another
        assert {rule for rule, _ in got} == {"mask-left"} and got <= found
    else:
        assert got == found


def atomic(case, cores=3, **kwargs):
    return native.launch("gm_atomic", [], [case], [256], blocks=cores, mode=native.MIX_AIV_1_0, **kwargs)


@pytest.mark.parametrize("run_mode", ["eager", "late", "random"])
def test_atomic_adds_of_many_cores(run_mode):
    result = atomic(0, run_mode=run_mode)
    assert result["diagnostics"] == []
    assert (result["outputs"][0].view(np.float32) == 6).all()


@pytest.mark.parametrize("case, rule, here", [
    (1, "cross-core-race", "add"), (2, "uninitialised-read", "add"), (3, "cross-core-race", "add"), (4, "dtype", "add"),
])
def test_atomic_adds_gone_wrong(case, rule, here):
    assert (rule, here) in {(r, h) for r, h, _ in GM.found(atomic(case))}


@pytest.mark.parametrize("by_dma", [0, 1])
def test_the_scalar_unit_tells_another_core(by_dma):
    run = lambda **kwargs: native.launch("gm_scalar", [], [by_dma], [32], blocks=2, mode=native.MIX_AIV_1_0,
                                         workspace=64, **kwargs)
    take = "dma_take" if by_dma else "scalar_take"
    clean = run()
    assert clean["diagnostics"] == []
    assert (clean["outputs"][0].view(np.float32) == 5).all()
    assert ("dirty-line", take, "leave") in GM.found(run(mute=[GM.site("clean")]))
    assert ("cross-core-race", take, "leave") in GM.found(run(mute=[GM.site("meet")]))


@pytest.mark.parametrize("run_mode", ["eager", "late", "random"])
def test_a_scalar_read_after_a_store_by_dma(run_mode):
    run = lambda **kwargs: native.launch("gm_stale", [], [], [32], workspace=64, run_mode=run_mode, **kwargs)
    clean = run()
    assert clean["diagnostics"] == []
    assert (clean["outputs"][0].view(np.float32) == 2).all()
    assert ("stale-scalar-read", "refetch", "fetch") in GM.found(run(mute=[GM.site("invalidate")]))
    assert ("missing-sync", "refetch", "overwrite") in GM.found(run(mute=[GM.site("wait_mte3_s")]))


def neighbours(distance, how, cores=2):
    return native.launch("gm_neighbours", [], [distance, how], [(distance * (cores - 1) + 1) * 4], blocks=cores)


def test_cores_that_share_a_cache_line():
    shared = neighbours(1, 0)
    assert ("cross-core-race", "scalar_store", "scalar_store") in GM.found(shared)
    assert "64 B line" in messages(shared)
    assert ("cross-core-race", "scalar_store", "dma_store") in GM.found(neighbours(1, 2))
    # DMA writes exact bytes, and lines of one's own are one's own.
    assert "cross-core-race" not in native.rules(neighbours(1, 1))
    assert "cross-core-race" not in native.rules(neighbours(16, 0))


def test_two_cores_write_the_same_place():
    run = lambda **kwargs: native.launch("gm_same_place", [], [], [256], blocks=2, mode=native.MIX_AIV_1_0, **kwargs)
    clean = run()
    assert clean["diagnostics"] == []
    assert (clean["outputs"][0].view(np.float32) == 1).all()
    assert ("cross-core-race", "write", "write") in GM.found(run(mute=[GM.site("before"), GM.site("after")]))


def test_padding_of_the_inner_dimension():
    x = np.random.default_rng(0).standard_normal((20, 16)).astype(np.float16)
    run = lambda k, clear: native.launch("memory_pad_k", [x], [k, clear], [1024], mode=native.AIC_ONLY)
    expected = np.broadcast_to(x.astype(np.float32).sum(0), (16, 16))
    for k, clear in [(20, 0), (20, 1), (32, 1)]:
        result = run(k, clear)
        assert result["diagnostics"] == []
        got = result["outputs"][0].view(np.float32).reshape(16, 16)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    stale = run(32, 0)
    assert {("uninitialised-read", "mmad_k")} == {(rule, here) for rule, here, _ in PLACES.found(stale)}
    assert np.isnan(stale["outputs"][0].view(np.float32)).all()  # seen in the result, too


def test_stale_columns_beside_a_loaded_row():
    x = np.arange(200, dtype=np.float32)
    run = lambda columns: native.launch("memory_pad_columns", [x], [columns], [32])
    clean = run(50)
    assert clean["diagnostics"] == []
    np.testing.assert_array_equal(clean["outputs"][0].view(np.float32)[:4], [49, 99, 149, 199])
    assert ("uninitialised-read", "reduce_columns") in {(rule, here) for rule, here, _ in PLACES.found(run(64))}
