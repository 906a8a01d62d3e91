"""Compare and Select against their definition."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from tests.twin import _vector as vec
from tests.twin._native_module import launch, rules
from tests.twin._vector import COUNT, LANES, Call

ROOM = 2560
F16, F32, I32 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.int32)
MODES = [operator.lt, operator.gt, operator.eq, operator.le, operator.ge, operator.ne]
SAME_BITS, TENSOR_SCALAR, TENSOR_TENSOR = range(3)


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("vector_other")


def few_values(rng, dtype, count):
    """So few that many are equal."""
    return rng.integers(-3, 4, count).astype(dtype)


def bits_of(scalar) -> int:
    return int(np.frombuffer(scalar.tobytes().ljust(4, b"\0"), np.uint32)[0])


@pytest.mark.parametrize("scalar", [False, True], ids=["tensor", "scalar"])
@pytest.mark.parametrize("dtype,mode", [(t, m) for t in (F16, F32) for m in range(6)] + [(I32, 2)])
def test_compare(dtype, mode, scalar):
    rng = np.random.default_rng(mode)
    kernel = f"compare_{ {F16: 'half', F32: 'float', I32: 'int32'}[dtype]}"
    for form in (COUNT, LANES):
        image = few_values(rng, dtype, 3 * ROOM // dtype.itemsize).view(np.uint8).copy()
        call = vec.random_call(rng, [dtype.itemsize] * 3, form, ROOM)
        call.count = call.lanes * (2 if form == COUNT else 1)
        call.extra, value = mode, few_values(rng, dtype, 1)[0]
        call.scalar = bits_of(value)
        expected, raw = image.copy(), image.tobytes()
        for r, lane in call.active():
            a = np.frombuffer(raw, dtype, 1, call.offset(1, dtype.itemsize, r, lane))[0]
            b = value if scalar else np.frombuffer(raw, dtype, 1, call.offset(2, dtype.itemsize, r, lane))[0]
            i = r * call.lanes + lane
            expected[i // 8] = expected[i // 8] & ~(1 << i % 8) | int(MODES[mode](a, b)) << i % 8
        np.testing.assert_array_equal(vec.run(kernel, image, int(scalar), call), expected)


@pytest.mark.parametrize("mode", [SAME_BITS, TENSOR_SCALAR, TENSOR_TENSOR])
@pytest.mark.parametrize("dtype", [F16, F32], ids=str)
def test_select(dtype, mode):
    rng = np.random.default_rng(mode)
    for form in (COUNT, LANES):
        image = rng.integers(0, 256, 3 * ROOM + 256).astype(np.uint8)
        image[:3 * ROOM] = rng.standard_normal(3 * ROOM // dtype.itemsize).astype(dtype).view(np.uint8)
        call = vec.random_call(rng, [dtype.itemsize] * 3, form, ROOM)
        call.at = (0, ROOM, 2 * ROOM, 3 * ROOM)
        value = dtype.type(-2.5)
        call.scalar, call.extra = bits_of(value), mode
        expected, raw = image.copy(), image.tobytes()
        for r, lane in call.active():
            i = lane if mode == SAME_BITS else r * call.lanes + lane
            chosen = 1 if image[3 * ROOM + i // 8] >> i % 8 & 1 else 2
            element = value if chosen == 2 and mode == TENSOR_SCALAR else np.frombuffer(
                raw, dtype, 1, call.offset(chosen, dtype.itemsize, r, lane))[0]
            vec.put(expected, call.offset(0, dtype.itemsize, r, lane), element)
        np.testing.assert_array_equal(
            vec.run("select_half" if dtype == F16 else "select_float", image, 0, call), expected)


@pytest.mark.parametrize("kernel,changes,rule", [
    ("compare_float", {"count": 65}, "parameter"),
    ("compare_int32", {"count": 64, "extra": 0}, "dtype"),
    ("compare_float", {"form": LANES, "count": 5}, "mask"),
])
def test_what_compare_cannot_do(kernel, changes, rule):
    image = np.zeros(3 * ROOM, np.uint8)
    call = Call(**({"at": (0, ROOM, 2 * ROOM, 0)} | changes))
    result = launch(kernel, [image], call.params(image, 0), [image.nbytes], strict=True)
    assert any(rule in r for r in rules(result)), result["diagnostics"]
