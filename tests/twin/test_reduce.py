"""Reductions against their definition: trees of neighbours, per repeat, block or pair, or over everything."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin import _vector as vec
from tests.twin._native_module import POISON, launch, rules
from tests.twin._vector import BITS, COUNT, LANES, Call

ROOM = 2560
F16, F32 = np.dtype(np.float16), np.dtype(np.float32)
KERNEL = {F16: "reduce_half", F32: "reduce_float"}
VALUE_INDEX, INDEX_VALUE, ONLY_VALUE, ONLY_INDEX = range(4)
SUM, MAX, MIN = range(3)


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("vector_other")


def tree(values: list, dtype) -> np.generic:
    """Neighbours are added until one is left, each sum rounded to the type."""
    while len(values) > 1:
        pairs = [dtype.type(np.float32(values[i]) + np.float32(values[i + 1])) for i in range(0, len(values) - 1, 2)]
        values = pairs + ([values[-1]] if len(values) % 2 else [])
    return values[0]


def index_bits(i: int, dtype) -> np.generic:
    return np.array([i], f"u{dtype.itemsize}").view(dtype)[0]


def repeats(image, call, dtype):
    """For each repeat: the value of each lane, None where it does not take part."""
    raw = image.tobytes()
    rows = [[None] * call.lanes for _ in range(1 + max((r for r, _ in call.active()), default=0))]
    for r, lane in call.active():
        rows[r][lane] = np.frombuffer(raw, dtype, 1, call.offset(1, dtype.itemsize, r, lane))[0]
    return rows


def reduced(kind, lanes, dtype):
    """(value, lane) of one group; None when no lane takes part."""
    present = [(v, i) for i, v in enumerate(lanes) if v is not None]
    if not present:
        return None
    if kind == SUM:
        return tree([dtype.type(0) if v is None else v for v in lanes], dtype), 0
    pick = max if kind == MAX else min
    best = pick(v for v, _ in present)
    return best, next(i for v, i in present if v == best)


def random_source(rng, dtype):
    image = np.zeros(3 * ROOM, np.uint8)
    image.view(dtype)[:] = rng.integers(-40, 40, image.nbytes // dtype.itemsize).astype(dtype) / dtype.type(8)
    return image


def source_call(rng, dtype, form):
    call = vec.random_call(rng, [dtype.itemsize, dtype.itemsize], form, ROOM)
    call.at = (0, ROOM, 2 * ROOM, 0)
    return call


@pytest.mark.parametrize("form", [LANES, BITS], ids=["lanes", "bits"])
@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
@pytest.mark.parametrize("api,kind,order", [
    (0, SUM, ONLY_VALUE), *[(api, kind, order) for api, kind in ((1, MAX), (2, MIN)) for order in range(4)]])
def test_whole_repeat(api, kind, order, dtype, form):
    rng = np.random.default_rng(10 * api + order)
    for _ in range(4):
        image = random_source(rng, dtype)
        call = source_call(rng, dtype, form)
        call.extra = order
        results = 2 if order in (VALUE_INDEX, INDEX_VALUE) else 1
        step = int(rng.integers(1, 4))
        call.rep = (step, *call.rep[1:])
        expected = image.copy()
        for r, lanes in enumerate(repeats(image, call, dtype)):
            value, lane = reduced(kind, lanes, dtype)
            index = index_bits(lane, dtype)
            written = {VALUE_INDEX: (value, index), INDEX_VALUE: (index, value), ONLY_VALUE: (value,),
                       ONLY_INDEX: (index,)}[order]
            for i, v in enumerate(written):
                vec.put(expected, (r * step * results + i) * dtype.itemsize, v)
        np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, api, call), expected)


@pytest.mark.parametrize("form", [LANES, BITS], ids=["lanes", "bits"])
@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
@pytest.mark.parametrize("api,kind", [(3, SUM), (4, MAX), (5, MIN), (6, SUM)],
                         ids=["BlockReduceSum", "BlockReduceMax", "BlockReduceMin", "PairReduceSum"])
def test_blocks_and_pairs(api, kind, dtype, form):
    rng = np.random.default_rng(api)
    group = 2 if api == 6 else 32 // dtype.itemsize
    for _ in range(4):
        image = random_source(rng, dtype)
        call = source_call(rng, dtype, form)
        step = int(rng.integers(1, 3))
        call.rep = (step, *call.rep[1:])
        unit = call.lanes // group  # results of a repeat
        expected, undefined = image.copy(), np.zeros(image.nbytes, bool)
        for r, lanes in enumerate(repeats(image, call, dtype)):
            for g in range(unit):
                at = (r * step * unit + g) * dtype.itemsize
                found = reduced(kind, lanes[g * group:(g + 1) * group], dtype)
                if found is None:  # no lane at all: the hardware's result is not specified
                    undefined[at:at + dtype.itemsize] = True
                else:
                    vec.put(expected, at, found[0])
        got = vec.run(KERNEL[dtype], image, api, call)
        np.testing.assert_array_equal(got[~undefined], expected[~undefined])
        assert np.all(got[undefined].view(np.uint16) == POISON)


@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
@pytest.mark.parametrize("form", [COUNT, LANES], ids=["count", "repeats"])
def test_sum_of_everything(dtype, form):
    rng = np.random.default_rng(form)
    for _ in range(6):
        image = random_source(rng, dtype)
        call = source_call(rng, dtype, form)
        call.blk = (1, 1, 1)
        call.rep = (8, max(8, call.rep[1]) if form == LANES and call.repeats < 3 else 8, 8)
        partial = [reduced(SUM, lanes, dtype)[0] for lanes in repeats(image, call, dtype)]
        if form == COUNT:  # one repeat after the other
            total = partial[0]
            for p in partial[1:]:
                total = dtype.type(np.float32(total) + np.float32(p))
        else:
            total = tree(partial, dtype)
        got = vec.run(KERNEL[dtype], image, 7, call).view(dtype)
        assert got[0] == total
        outside = slice(1, 2 * ROOM // dtype.itemsize)  # behind it is the temporary space
        np.testing.assert_array_equal(got[outside], image.view(dtype)[outside])


@pytest.mark.parametrize("index", [0, 1], ids=["value", "index"])
@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
@pytest.mark.parametrize("api,kind", [(8, MAX), (9, MIN)], ids=["ReduceMax", "ReduceMin"])
def test_extreme_of_everything(api, kind, dtype, index):
    rng = np.random.default_rng(api + index)
    for count in (1, 7, ROOM // dtype.itemsize):
        image = random_source(rng, dtype)
        call = Call(at=(0, ROOM, 2 * ROOM, 0), count=count, extra=index)
        source = image.view(dtype)[ROOM // dtype.itemsize:][:count]
        at = int(source.argmax() if kind == MAX else source.argmin())
        got = vec.run(KERNEL[dtype], image, api, call).view(dtype)
        assert got[0] == source[at]
        if index:
            assert got[1:2].view(f"u{dtype.itemsize}")[0] == at
        np.testing.assert_array_equal(got[2:ROOM // dtype.itemsize], image.view(dtype)[2:ROOM // dtype.itemsize])


def test_temporary_space_is_measured():
    image = random_source(np.random.default_rng(0), F32)
    call = Call(at=(0, ROOM, 3 * ROOM - 32, 0), count=ROOM // 4)  # 20 pairs need 160 bytes
    result = launch("reduce_float", [image], call.params(image, 8), [image.nbytes], strict=True)
    assert any("temp" in r for r in rules(result)), result["diagnostics"]


def test_nan_is_reported():
    image = random_source(np.random.default_rng(0), F32)
    image[ROOM:].view(np.float32)[3] = np.nan
    call = Call(at=(0, ROOM, 2 * ROOM, 0), form=LANES, count=64, repeats=1, rep=(1, 8, 8), extra=ONLY_VALUE)
    result = launch("reduce_float", [image], call.params(image, 1), [image.nbytes], strict=True)
    assert any("nan" in r for r in rules(result)), result["diagnostics"]
