"""TPipe, TQue, TBuf: the life of a buffer, its events, budgets, and everything that misuses them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _native_module as native
from tests.twin._places import Places, messages

PLACES = Places("queue")
X = np.arange(6 * 64, dtype=np.float32)


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("queue")


@pytest.mark.parametrize("buffers", [1, 2])
@pytest.mark.parametrize("rows", [1, 2, 6])
@pytest.mark.parametrize("run_mode", ["eager", "late", "random"])
def test_a_stream_through_queues_is_right_and_clean(rows, buffers, run_mode):
    x = X[: rows * 64]
    result = native.launch("queue_stream", [x], [rows, buffers], [x.nbytes], run_mode=run_mode)
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0].view(np.float32), x + 1)


def test_two_buffers_overlap_what_one_cannot():
    times = [native.launch("queue_stream", [X], [6, n], [X.nbytes], run_mode="cost")["estimate"]["schedule_us"]
             for n in (1, 2)]
    assert times[1] < 0.8 * times[0]


def test_depth_two_holds_two():
    x = X[:128]
    result = native.launch("queue_preload", [x], [], [x.nbytes])
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0].view(np.float32), 2 * x)


@pytest.mark.parametrize("mark, found", [
    ("alloc_in", ("missing-sync", "load", "adds")),
    ("free_in", ("missing-sync", "load", "adds")),
    ("enque_in", ("missing-sync", "adds", "load")),
    ("deque_in", ("missing-sync", "adds", "load")),
    ("alloc_out", ("missing-sync", "adds", "store")),
    ("free_out", ("missing-sync", "adds", "store")),
    ("enque_out", ("missing-sync", "store", "adds")),
    ("deque_out", ("missing-sync", "store", "adds")),
])
def test_each_event_of_a_queue_is_missed(mark, found):
    run = lambda **kwargs: native.launch("queue_marked", [X], [6], [X.nbytes], **kwargs)
    assert run()["diagnostics"] == []
    assert found in PLACES.found(run(mute=[PLACES.site(mark)]))


@pytest.mark.parametrize("mark, found", [
    ("init_in", ("out-of-bounds", "load", "init_in")),
    ("init_out", ("out-of-bounds", "adds", "init_out")),
])
def test_each_halved_buffer_is_missed(mark, found):
    result = native.launch("queue_marked", [X], [2], [512], mute=[PLACES.site(mark) + ":InitBuffer"])
    assert found in PLACES.found(result)


def test_the_buffers_are_sites():
    native.launch("queue_marked", [X], [2], [512])
    sites = {s["line"]: s["kind"] for s in native.twin_sync_sites("queue_marked")}
    assert sites[PLACES.line("init_in")] == sites[PLACES.line("init_out")] == "InitBuffer"
    assert sites[PLACES.line("alloc_in")] == "AllocTensor" and sites[PLACES.line("deque_out")] == "DeQue"


def test_the_correct_variant_of_the_misused_queue():
    assert native.launch("queue_misuse", [X], [0])["diagnostics"] == []


@pytest.mark.parametrize("case, found, text", [
    (1, ("queue-misuse", "alloc_before_init", ""), "before InitBuffer"),
    (2, ("queue-misuse", "free_again", "free"), "already freed"),
    (3, ("use-after-free", "dead_use", "early_free"), "freed"),
    (4, ("queue-misuse", "foreign_free", ""), "not this queue's"),
    (5, ("queue-misuse", "empty_deque", ""), "nothing enqueued"),
    (6, ("queue-leak", "alloc", ""), "allocated, never freed"),
    (7, ("queue-leak", "left_enqueued", ""), "enqueued, never dequeued"),
    (8, ("queue-leak", "left_dequeued", ""), "dequeued, never freed"),
    (9, ("queue-misuse", "alloc_third", "alloc"), "all 2 buffers are in use"),
    (10, ("queue-misuse", "enque_second", "enque_first"), "depth 1"),
    (11, ("queue-misuse", "enque_twice", "enque_twice"), "already enqueued"),
    (12, ("queue-misuse", "init_again", "init"), "has buffers"),
    (13, ("queue-misuse", "second_pipe", ""), "second TPipe"),
])
def test_misuse_of_queues(case, found, text):
    result = native.launch("queue_misuse", [X], [case])
    assert found in PLACES.found(result)
    assert text in messages(result)


def test_a_queue_outlives_its_pipe():
    assert ("queue-misuse", "orphan", "") in PLACES.found(native.launch("queue_without_pipe", [], []))


UB, L1 = 184 * 1024, 512 * 1024 - 256


@pytest.mark.parametrize("what, fits, too_much, mode, found", [
    (0, UB, UB + 1, native.AIV_ONLY, ("capacity", "ub", "")),
    (1, L1, L1 + 32, native.AIC_ONLY, ("capacity", "l1", "")),
    (2, 64, 65, native.AIV_ONLY, ("buffer-count", "many", "")),
    (3, 8, 9, native.AIV_ONLY, ("live-tensors", "live", "")),
])
def test_budgets(what, fits, too_much, mode, found):
    assert native.launch("queue_budget", [], [what, fits], mode=mode)["diagnostics"] == []
    assert found in PLACES.found(native.launch("queue_budget", [], [what, too_much], mode=mode))


def test_memory_a_core_does_not_have():
    assert PLACES.found(native.launch("queue_budget", [], [0, 64], mode=native.AIC_ONLY)) == {("wrong-core", "ub", "")}
    assert PLACES.found(native.launch("queue_budget", [], [1, 64], mode=native.AIV_ONLY)) == {("wrong-core", "l1", "")}
    assert PLACES.found(native.launch("queue_budget", [], [4, 0])) == {("position", "gm", "")}


@pytest.mark.parametrize("run_mode", ["eager", "late", "random"])
def test_reset_gives_the_memory_back(run_mode):
    result = native.launch("queue_reset", [], [0], [512], run_mode=run_mode)
    assert result["diagnostics"] == []
    np.testing.assert_array_equal(result["outputs"][0].view(np.float32), np.repeat(np.float32([3, 4]), 64))


def test_a_tensor_from_before_reset():
    assert {(rule, here) for rule, here, _ in PLACES.found(native.launch("queue_reset", [], [1], [512]))} >= {
        ("use-after-free", "after_reset")}


@pytest.mark.parametrize("run_mode", ["eager", "late", "random"])
def test_pending_events_at_the_end(run_mode):
    x = X[:128]
    run = lambda by_hand: native.launch("queue_end", [x], [by_hand], [512], run_mode=run_mode)
    assert run(0)["diagnostics"] == []
    assert PLACES.found(run(1)) == {("flag-left-set", "by_hand", "")}


@pytest.mark.parametrize("case, found", [
    (0, set()),
    (1, {("event-id", "enque", "raised_by_hand")}),
    (2, {("double-set", "raised_over_queue", "enque")}),
    (3, {("double-set", "fetched_again", "fetched")}),
    (4, set()),
])
def test_flags_of_the_kernel_beside_those_of_its_queues(case, found):
    assert PLACES.found(native.launch("queue_clash", [X], [case])) == found
