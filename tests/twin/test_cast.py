"""Cast: every pair of types and every rounding mode that exists, against exact rounding of rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.twin import _vector as vec
from tests.twin._native_module import launch, rules
from tests.twin._vector import BITS, COUNT, LANES, Call

ROOM = 2560  # bytes per operand
NONE, RINT, FLOOR, CEIL, ROUND, TRUNC, ODD = range(7)
INTEGRAL = (RINT, FLOOR, CEIL, ROUND, TRUNC)
F32, F16, I32, I16, I8, U8 = "f4", "f2", "i4", "i2", "i1", "u1"
BF16 = "bf16"
# In the order of the test kernel: destination, source, modes
PAIRS = [
    (F32, F16, (NONE,)), (F32, BF16, (NONE,)), (F16, F32, (NONE, *INTEGRAL, ODD)), (BF16, F32, INTEGRAL),
    (F32, F32, INTEGRAL), (F32, I32, (NONE, *INTEGRAL)), (I32, F32, INTEGRAL), (I32, F16, INTEGRAL),
    (I32, BF16, INTEGRAL), (F16, I32, (NONE,)), (I16, F16, INTEGRAL), (F16, I16, (NONE, *INTEGRAL)),
    (I16, F32, INTEGRAL), (F32, I16, (NONE,)), (I8, F16, (NONE, *INTEGRAL)), (U8, F16, (NONE, *INTEGRAL)),
    (F16, I8, (NONE,)), (F16, U8, (NONE,)), (I16, I32, (NONE,)),
]
FORMATS = {F16: (11, -14, Fraction(65504)), BF16: (8, -126, Fraction(255 * 2**120)),
           F32: (24, -126, Fraction((2**24 - 1) * 2**104))}  # significant bits, smallest exponent, largest value


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("vector_other")


def storage(kind: str) -> np.dtype:
    return np.dtype(np.uint16 if kind == BF16 else kind)


def to_fraction(element, kind: str) -> Fraction:
    if kind == BF16:
        element = np.array([int(element) << 16], np.uint32).view(np.float32)[0]
    return Fraction(float(element)) if kind in FORMATS else Fraction(int(element))


def round_integer(x: Fraction, mode: int) -> int:
    below = x.numerator // x.denominator
    if x == below or mode == FLOOR:
        return below
    if mode == CEIL:
        return below + 1
    if mode == TRUNC:
        return below if x > 0 else below + 1
    if mode == ODD:  # of the two neighbours the odd one
        return below if below % 2 else below + 1
    rest = x - below
    if rest != Fraction(1, 2):
        return below + (rest > Fraction(1, 2))
    if mode == ROUND:  # away from zero
        return below + (x > 0)
    return below + below % 2


def round_float(x: Fraction, kind: str, mode: int) -> Fraction:
    digits, lowest, _ = FORMATS[kind]
    if x == 0:
        return x
    exponent = lowest
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - digits + 1)
    return round_integer(x / unit, mode) * unit


def convert(x: Fraction, dst: str, src: str, mode: int):
    if dst == F32 and src == F32:
        return np.float32(round_integer(x, mode))
    if dst == F16 and src == I32:  # scaled by the register, the mode is ignored
        return np.float16(np.float32(float(x)) * np.float32(0.25))
    if dst in FORMATS:
        value = float(round_float(x, dst, mode if mode != NONE else RINT))
        if dst == BF16:
            return np.uint16(np.array([value], np.float32).view(np.uint32)[0] >> 16)
        return storage(dst).type(value)
    info = np.iinfo(storage(dst))
    return storage(dst).type(min(max(round_integer(x, mode if mode != NONE else RINT), info.min), info.max))


def sources(rng, src: str, dst: str, count: int) -> np.ndarray:
    """Values whose conversion is interesting: ties, fractions, both signs, out of an integer's range."""
    if src in (F32, F16, BF16):
        limit = {I8: 200, U8: 300, I16: 40000, I32: 60000}.get(dst, 60000 if dst == F16 else 1e6)
        v = rng.uniform(-limit, limit, count) * 10.0 ** rng.integers(-5, 1, count)
        ties = rng.integers(-100, 100, count) + 0.5
        v = np.where(rng.random(count) < 0.3, ties, v)
        if src == F16:
            return np.clip(v, -60000, 60000).astype(np.float16)
        if src == BF16:
            return (v.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return v.astype(np.float32)
    info = np.iinfo(storage(src))
    if dst == I16:
        return rng.integers(-32768, 32768, count).astype(storage(src))
    if dst == F16:
        top = min(info.max, 200000)
        return rng.integers(max(info.min, -top), top, count).astype(storage(src))
    return rng.integers(info.min, info.max, count, endpoint=True).astype(storage(src))


CASES = [(i, mode) for i, (_, _, modes) in enumerate(PAIRS) for mode in modes]


@pytest.mark.parametrize("api,mode", CASES, ids=[f"{PAIRS[i][1]}-{PAIRS[i][0]}-{m}" for i, m in CASES])
def test_by_definition(api, mode):
    dst, src, _ = PAIRS[api]
    d, s = storage(dst), storage(src)
    rng = np.random.default_rng(100 * api + mode)
    for form in (COUNT, LANES, BITS):
        call = vec.random_call(rng, [d.itemsize, s.itemsize], form, ROOM)
        call.extra = mode
        image = np.zeros(2 * ROOM, np.uint8)
        image[ROOM:] = sources(rng, src, dst, ROOM // s.itemsize).view(np.uint8)
        expected = vec.lane_by_lane(image, call, [d, s],
                                    lambda _, x: convert(to_fraction(x, src), dst, src, mode))
        got = vec.run("convert", image, api, call)
        np.testing.assert_array_equal(got[:ROOM].view(d), expected[:ROOM].view(d))
        np.testing.assert_array_equal(got[ROOM:], expected[ROOM:])


@pytest.mark.parametrize("value,mode,expected", [
    (65519.0, RINT, 65504.0), (65520.0, RINT, np.inf), (1e6, TRUNC, 65504.0), (-1e6, FLOOR, -np.inf),
    (-1e6, CEIL, -65504.0), (2.0**-25, RINT, 0.0), (2.0**-25 * 1.0001, RINT, 2.0**-24), (np.inf, RINT, np.inf),
    (np.nan, RINT, np.nan), (3e-8, CEIL, 2.0**-24),
])
def test_edges_of_half(value, mode, expected):
    image = np.zeros(2 * ROOM, np.uint8)
    image[ROOM:].view(np.float32)[:] = value
    call = Call(at=(0, ROOM, 0, 0), count=8, rep=(4, 8, 8), extra=mode)
    got = vec.run("convert", image, 2, call)[:16].view(np.float16)
    np.testing.assert_array_equal(got, np.full(8, expected, np.float16))


@pytest.mark.parametrize("first", range(0, 1024, 512))
def test_every_subnormal_half_whatever_the_callers_arithmetic(odd_arithmetic, first):
    bits = np.arange(first, first + 512, dtype=np.uint16)
    bits[1::2] |= 0x8000
    exact = (bits & 0x3FF) * 2.0**-24 * np.where(bits & 0x8000, -1, 1)
    image = np.zeros(2 * ROOM, np.uint8)
    image[ROOM:ROOM + 1024] = bits.view(np.uint8)
    call = Call(at=(0, ROOM, 0, 0), count=512, rep=(8, 4, 8), extra=NONE)
    with odd_arithmetic():
        got = vec.run("convert", image, 0, call)
    assert [float(v).hex() for v in got[:2048].view(np.float32)] == [v.hex() for v in exact.tolist()]

    image[ROOM:ROOM + 2048] = got[:2048]
    call = Call(at=(0, ROOM, 0, 0), count=512, rep=(4, 8, 8), extra=RINT)
    with odd_arithmetic():
        got = vec.run("convert", image, 2, call)
    np.testing.assert_array_equal(got[:1024].view(np.uint16), bits)


def test_subnormal_floats_whatever_the_callers_arithmetic(odd_arithmetic):
    image = np.zeros(2 * ROOM, np.uint8)
    image[ROOM:ROOM + 256].view(np.uint32)[:] = np.arange(1, 65)  # float32's own subnormals, the smallest
    for mode, expected in ((RINT, 0), (CEIL, 1)):
        call = Call(at=(0, ROOM, 0, 0), count=64, extra=mode)
        with odd_arithmetic():
            got = vec.run("convert", image, 4, call)
        np.testing.assert_array_equal(got[:256].view(np.uint32), np.float32(expected).view(np.uint32))


def test_mode_that_does_not_exist():
    image = np.zeros(2 * ROOM, np.uint8)
    call = Call(at=(0, ROOM, 0, 0), count=64, extra=NONE)
    result = launch("convert", [image], call.params(image, 3), [image.nbytes], strict=True)
    assert any("dtype" in r for r in rules(result)), result["diagnostics"]
