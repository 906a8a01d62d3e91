"""Instructions that move or make data inside UB, against their definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from tests.twin import _vector as vec
from tests.twin._native_module import launch, rules
from tests.twin._vector import BITS, COUNT, LANES, Call

ROOM = 4096
F16, F32 = np.dtype(np.float16), np.dtype(np.float32)
KERNEL = {F16: "move_half", F32: "move_float"}
DTYPES = pytest.mark.parametrize("dtype", [F16, F32], ids=str)
(DUPLICATE, BRCB, INDEX, GATHER, GATHER_MASK, COPY, TRANS_DATA, TRANSPOSE, GATHERB, COMPOSED) = range(10)


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("move")


def random_image(rng) -> np.ndarray:
    return rng.integers(0, 256, 3 * ROOM + 512).astype(np.uint8)


def element(image, at, dtype):
    return image[at:at + dtype.itemsize]


@DTYPES
@pytest.mark.parametrize("form", [COUNT, LANES, BITS], ids=["count", "lanes", "bits"])
def test_duplicate(dtype, form):
    rng = np.random.default_rng(form)
    for _ in range(4):
        image = random_image(rng)
        call = vec.random_call(rng, [dtype.itemsize], form, ROOM)
        call.scalar = int(rng.integers(0, 2**(8 * dtype.itemsize - 2)))
        value = np.array([call.scalar], np.uint32).view(np.uint8)[:dtype.itemsize].view(dtype)[0]
        expected = vec.lane_by_lane(image, call, [dtype], lambda d: value)
        np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, DUPLICATE, call), expected)


@DTYPES
@pytest.mark.parametrize("blk,rep,repeats", [(1, 8, 1), (1, 8, 3), (2, 20, 3), (3, 1, 1)])
def test_brcb(dtype, blk, rep, repeats):
    image = random_image(np.random.default_rng(0))
    call = Call(at=(0, ROOM, 0, 0), repeats=repeats, blk=(blk, 1, 1), rep=(rep, 8, 8))
    expected, size = image.copy(), dtype.itemsize
    for r in range(repeats):
        for i in range(8):
            to = 32 * (r * rep + i * blk)
            expected[to:to + 32] = np.tile(element(image, ROOM + (8 * r + i) * size, dtype), 32 // size)
    np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, BRCB, call), expected)


@DTYPES
@pytest.mark.parametrize("count", [1, 16, 100, 300])
def test_index(dtype, count):
    image = random_image(np.random.default_rng(count))
    call = Call(count=count, scalar=int(np.frombuffer(dtype.type(3).tobytes().ljust(4, b"\0"), np.uint32)[0]))
    expected = image.copy()
    expected[:count * dtype.itemsize] = np.arange(3, 3 + count).astype(dtype).view(np.uint8)
    np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, INDEX, call), expected)


@DTYPES
@pytest.mark.parametrize("form", [COUNT, LANES], ids=["count", "lanes"])
def test_gather(dtype, form):
    rng = np.random.default_rng(form)
    size = dtype.itemsize
    for _ in range(4):
        image, base = random_image(rng), 64
        offsets = rng.integers(0, 1000, ROOM // 4).astype(np.uint32) * size
        image[2 * ROOM:3 * ROOM] = offsets.view(np.uint8)
        call = vec.random_call(rng, [size], form, ROOM // 4)
        call.at, call.extra, call.blk = (0, ROOM, 2 * ROOM, 0), base, (1, 1, 1)
        if form == LANES:
            call.rep = (8 + int(rng.integers(0, 3)), 8, 8)
        expected = image.copy()
        for r, lane in call.active():
            source = ROOM + base + int(offsets[r * call.lanes + lane])
            to = call.offset(0, size, r, lane)
            expected[to:to + size] = element(image, source, dtype)
        np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, GATHER, call), expected)


@DTYPES
@pytest.mark.parametrize("blk,rep,repeats", [(1, 8, 2), (2, 16, 2), (1, 9, 3)])
def test_gather_blocks(dtype, blk, rep, repeats):
    rng = np.random.default_rng(rep)
    image = random_image(rng)
    offsets = rng.integers(0, ROOM // 32, 8 * repeats).astype(np.uint32) * 32
    image[2 * ROOM:2 * ROOM + offsets.nbytes] = offsets.view(np.uint8)
    call = Call(at=(0, ROOM, 2 * ROOM, 0), repeats=repeats, blk=(blk, 1, 1), rep=(rep, 8, 8))
    expected = image.copy()
    for r in range(repeats):
        for i in range(8):
            to, source = 32 * (r * rep + i * blk), ROOM + int(offsets[8 * r + i])
            expected[to:to + 32] = image[source:source + 32]
    np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, GATHERB, call), expected)


@DTYPES
@pytest.mark.parametrize("pattern", range(1, 8))
@pytest.mark.parametrize("counted", [False, True], ids=["whole-repeats", "counted"])
def test_gather_mask(dtype, pattern, counted):
    # Bits of the pattern from lane 0 on, as the documentation draws them.
    lanes_taken = {1: (1, 0, 1, 0), 2: (0, 1, 0, 1), 3: (1, 0, 0, 0), 4: (0, 1, 0, 0), 5: (0, 0, 1, 0),
                   6: (0, 0, 0, 1), 7: (1, 1, 1, 1)}[pattern]
    image, size = random_image(np.random.default_rng(pattern)), dtype.itemsize
    repeats, blk, rep, count = 3, 2, 17, 37
    call = Call(at=(0, ROOM, 0, 3 * ROOM), form=LANES if counted else COUNT, count=count if counted else 0,
                repeats=repeats, blk=(1, blk, 1), rep=(8, rep, 8), extra=pattern)
    packed = b""
    for r in range(repeats):
        for lane in range(count if counted else 256 // size):
            if lanes_taken[lane % 4]:
                block, rest = divmod(lane, 32 // size)
                packed += element(image, ROOM + 32 * (r * rep + block * blk) + rest * size, dtype).tobytes()
    expected = image.copy()
    expected[:len(packed)] = np.frombuffer(packed, np.uint8)
    expected[3 * ROOM:3 * ROOM + 32] = np.full(8, len(packed) // size, np.uint32).view(np.uint8)
    np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, GATHER_MASK, call), expected)


@DTYPES
@pytest.mark.parametrize("form", [LANES, BITS], ids=["lanes", "bits"])
def test_copy(dtype, form):
    rng = np.random.default_rng(form)
    integer = np.dtype(f"u{dtype.itemsize}")  # bits, whatever they mean
    for _ in range(6):
        image = random_image(rng)
        call = vec.random_call(rng, [dtype.itemsize] * 2, form, ROOM)
        expected = vec.lane_by_lane(image, call, [integer] * 2, lambda _, a: a)
        np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, COPY, call), expected)


@DTYPES
@pytest.mark.parametrize("by_address", [0, 1], ids=["tensors", "addresses"])
@pytest.mark.parametrize("repeats,blk", [(1, 1), (2, 2), (3, 4)])
def test_transposed_blocks(dtype, repeats, blk, by_address):
    # With `blk` blocks from row to row, repeat r takes block r of each row.
    image, size = random_image(np.random.default_rng(repeats)), dtype.itemsize
    step = 0 if repeats == 1 else 1
    call = Call(at=(0, ROOM, 0, 0), repeats=repeats, blk=(blk, blk, 1), rep=(step, step, 8), extra=by_address)
    columns, expected = 32 // size, image.copy()
    for r in range(repeats):
        rows = [image[ROOM + 32 * (i * blk + r):][:32].reshape(columns, size) for i in range(16)]
        turned = np.stack(rows, axis=1).reshape(-1)  # column after column, 16 elements each
        for i in range(16):
            to = 32 * (i * blk + r)
            expected[to:to + 32] = turned[32 * i:32 * (i + 1)]
    np.testing.assert_array_equal(vec.run(KERNEL[dtype], image, TRANS_DATA, call), expected)


@pytest.mark.parametrize("at", [0, ROOM], ids=["in-place", "apart"])
def test_transpose(at):
    image = random_image(np.random.default_rng(0))
    expected = image.copy()
    expected[at:at + 512] = image[:512].view(np.uint16).reshape(16, 16).T.reshape(-1).view(np.uint8)
    np.testing.assert_array_equal(vec.run("move_half", image, TRANSPOSE, Call(at=(at, 0, 0, 0))), expected)


@DTYPES
@pytest.mark.parametrize("function", [0, 1], ids=["Erf", "Tanh"])
@pytest.mark.parametrize("count", [1, 100, 128])
def test_composed_functions(dtype, function, count):
    image = np.zeros(3 * ROOM, np.uint8)
    source = np.random.default_rng(count).uniform(-4, 4, count).astype(dtype)
    image[ROOM // 4:ROOM // 4 + source.nbytes] = source.view(np.uint8)
    call = Call(at=(0, ROOM // 4, 0, ROOM // 2), count=count, extra=function)
    got = vec.run(KERNEL[dtype], image, COMPOSED, call)
    exact = (special.erf if function == 0 else np.tanh)(source.astype(np.float64))
    np.testing.assert_allclose(got[:source.nbytes].view(dtype), exact, atol=float(np.finfo(dtype).eps))
    np.testing.assert_array_equal(got[source.nbytes:ROOM // 2], image[source.nbytes:ROOM // 2])


@pytest.mark.parametrize("api,change,rule", [
    (TRANS_DATA, {"repeats": 1, "rep": (1, 1, 8)}, "stride"),
    (TRANS_DATA, {"at": (ROOM, ROOM, 0, 0), "rep": (0, 0, 8)}, "overlap"),
    (GATHER_MASK, {"extra": 9}, "parameter"),
    (COMPOSED, {"count": 64, "at": (0, 512, 0, 3 * ROOM + 256)}, "temp"),
    (GATHER, {"count": 8, "extra": 1 << 20}, "bounds"),
])
def test_rules(api, change, rule):
    image = np.zeros(3 * ROOM + 512, np.uint8)
    call = Call(**({"at": (0, ROOM, 2 * ROOM, 3 * ROOM)} | change))
    result = launch("move_half", [image], call.params(image, api), [image.nbytes], strict=True)
    assert any(rule in r for r in rules(result)), result["diagnostics"]
