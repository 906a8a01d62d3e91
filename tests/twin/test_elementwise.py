"""Element-wise vector instructions against their definition over random strides, masks and repeats."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.twin import _vector as vec
from tests.twin._native_module import launch, rules
from tests.twin._vector import BITS, COUNT, LANES, Call

ROOM = 2560  # bytes per operand: three repeats, every second block
F16, F32, I16, I32, U16 = (np.dtype(t) for t in (np.float16, np.float32, np.int16, np.int32, np.uint16))
KERNEL = {F16: "elementwise_half", F32: "elementwise_float", I32: "elementwise_int32", I16: "elementwise_int16",
          U16: "elementwise_uint16"}


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("elementwise")


def exact(x):
    """The value an instruction computes with: halves in single precision, integers without bounds."""
    return np.float32(x) if np.issubdtype(x.dtype, np.floating) else int(x)


def wrap(value, dtype):
    """An integer as the register keeps it."""
    return np.array(value & (1 << 8 * dtype.itemsize) - 1, np.uint64).astype(f"u{dtype.itemsize}").view(dtype)[()]


def binary(f):
    return lambda dtype, scalar: lambda d, a, b: f(exact(a), exact(b))


def with_scalar(f):
    return lambda dtype, scalar: lambda d, a: f(exact(a), exact(scalar))


def unary(f):
    return lambda dtype, scalar: lambda d, a: f(exact(a))


def with_dst(f):
    return lambda dtype, scalar: lambda d, a, b: f(exact(d), exact(a), exact(b))


ALL, REAL, WORDS = (F16, F32, I32, I16), (F16, F32), (I16, U16)
# name: number in elementwise.cpp, types, operands, definition
APIS = {
    "Add": (0, ALL, 3, binary(lambda a, b: a + b)),
    "Sub": (1, ALL, 3, binary(lambda a, b: a - b)),
    "Mul": (2, ALL, 3, binary(lambda a, b: a * b)),
    "Max": (3, ALL, 3, binary(max)),
    "Min": (4, ALL, 3, binary(min)),
    "Adds": (5, ALL, 2, with_scalar(lambda a, s: a + s)),
    "Muls": (6, ALL, 2, with_scalar(lambda a, s: a * s)),
    "Maxs": (7, ALL, 2, with_scalar(max)),
    "Mins": (8, ALL, 2, with_scalar(min)),
    "Div": (10, REAL, 3, binary(lambda a, b: a / b)),
    "AddRelu": (11, (F16, F32), 3, binary(lambda a, b: max(a + b, 0))),
    "SubRelu": (12, (F16, F32), 3, binary(lambda a, b: max(a - b, 0))),
    "FusedMulAdd": (13, REAL, 3, with_dst(lambda d, a, b: a * d + b)),
    "FusedMulAddRelu": (14, REAL, 3, with_dst(lambda d, a, b: max(a * d + b, np.float32(0)))),
    "MulAddDst": (15, REAL, 3, with_dst(lambda d, a, b: d + a * b)),
    "LeakyRelu": (16, REAL, 2, with_scalar(lambda a, s: a if a > 0 else a * s)),
    "Axpy": (17, REAL, 2, lambda dtype, s: lambda d, a: exact(d) + exact(a) * exact(s)),
    "Exp": (18, REAL, 2, unary(lambda a: math.exp(a))),
    "Ln": (19, REAL, 2, unary(lambda a: math.log(a))),
    "Sqrt": (20, REAL, 2, unary(lambda a: np.sqrt(a))),
    "Rsqrt": (21, REAL, 2, unary(lambda a: 1 / math.sqrt(a))),
    "Reciprocal": (22, REAL, 2, unary(lambda a: 1 / a)),
    "Abs": (23, REAL, 2, unary(abs)),
    "Relu": (24, (F16, F32, I32), 2, unary(lambda a: max(a, 0))),
    "And": (30, WORDS, 3, binary(lambda a, b: a & b)),
    "Or": (31, WORDS, 3, binary(lambda a, b: a | b)),
    "Not": (32, WORDS, 2, unary(lambda a: ~a)),
    "ShiftLeft": (33, (I16, U16, I32), 2, with_scalar(lambda a, s: a << s)),
    "ShiftRight": (34, (I16, U16, I32), 2, with_scalar(lambda a, s: a >> s)),
}
POSITIVE = {"Ln", "Sqrt", "Rsqrt"}
APPROXIMATE = {"Rsqrt": 6e-4, "Reciprocal": 6e-4, "Exp": 3e-7, "Ln": 3e-7}  # relative, before the type's rounding
CASES = [(name, dtype) for name, (_, dtypes, _, _) in APIS.items() for dtype in dtypes]


def values(rng, dtype, count, positive=False):
    """Random elements; never 0, which not everything may divide by."""
    if np.issubdtype(dtype, np.floating):
        v = rng.uniform(0.25, 4, count)
        return (v if positive else v * rng.choice([-1, 1], count)).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)


def bits_of(scalar) -> int:
    return int(np.frombuffer(scalar.tobytes().ljust(4, b"\0"), np.uint32)[0])


def compare(image, got, expected, dtype, tolerance):
    """Bit for bit, or within `tolerance` and the type's rounding for the functions that are not exact."""
    if not tolerance:
        np.testing.assert_array_equal(got.view(dtype), expected.view(dtype))
        return
    touched = expected.view(dtype) != image.view(dtype)
    np.testing.assert_array_equal(got.view(dtype)[~touched & (got.view(dtype) == image.view(dtype))],
                                  image.view(dtype)[~touched & (got.view(dtype) == image.view(dtype))])
    ulp = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(got.view(dtype).astype(np.float64), expected.view(dtype).astype(np.float64),
                               rtol=tolerance + ulp, atol=ulp)


@pytest.mark.parametrize("form", [COUNT, LANES, BITS], ids=["count", "lanes", "bits"])
@pytest.mark.parametrize("name,dtype", CASES, ids=[f"{n}-{d}" for n, d in CASES])
def test_by_definition(name, dtype, form):
    api, _, operands, make = APIS[name]
    rng = np.random.default_rng(sum(map(ord, name)) + 10 * form + dtype.num)
    for _ in range(4):
        call = vec.random_call(rng, [dtype.itemsize] * operands, form, ROOM)
        image = values(rng, dtype, 3 * ROOM // dtype.itemsize, name in POSITIVE).view(np.uint8).copy()
        scalar = dtype.type(rng.integers(1, 12)) if name.startswith("Shift") else values(rng, dtype, 1)[0]
        call.scalar = bits_of(scalar)
        f = make(dtype, scalar)
        if dtype.kind in "iu":
            g = f
            f = lambda *x, g=g: wrap(g(*x), dtype)  # noqa: E731
        expected = vec.lane_by_lane(image, call, [dtype] * operands, f)
        compare(image, vec.run(KERNEL[dtype], image, api, call), expected, dtype, APPROXIMATE.get(name, 0))


@pytest.mark.parametrize("name", ["AddRelu", "SubRelu"])
def test_integer_relu(name):
    # Small numbers: what the unit does with a sum that overflows before the comparison is not specified.
    rng = np.random.default_rng(3)
    image = rng.integers(-1000, 1000, 3 * ROOM // 2).astype(np.int16).view(np.uint8).copy()
    call = vec.random_call(rng, [2, 2, 2], LANES, ROOM)
    sign = 1 if name == "AddRelu" else -1
    expected = vec.lane_by_lane(image, call, [I16] * 3, lambda d, a, b: max(int(a) + sign * int(b), 0))
    np.testing.assert_array_equal(vec.run("elementwise_int16", image, APIS[name][0], call), expected)


@pytest.mark.parametrize("form", [COUNT, LANES, BITS], ids=["count", "lanes", "bits"])
@pytest.mark.parametrize("api", [0, 1], ids=["MulAddDst", "Axpy"])
def test_halves_added_to_floats(api, form):
    rng = np.random.default_rng(form)
    for _ in range(4):
        sizes = [4, 2, 2] if api == 0 else [4, 2]
        call = vec.random_call(rng, sizes, form, ROOM)
        image = np.concatenate([values(rng, F32, ROOM // 4).view(np.uint8), values(rng, F16, ROOM).view(np.uint8)])
        scalar = values(rng, F16, 1)[0]
        call.scalar = bits_of(scalar)
        if api == 0:
            expected = vec.lane_by_lane(image, call, [F32, F16, F16],
                                        lambda d, a, b: d + np.float32(a) * np.float32(b))
        else:
            expected = vec.lane_by_lane(image, call, [F32, F16], lambda d, a: d + np.float32(a) * np.float32(scalar))
        np.testing.assert_array_equal(vec.run("accumulate_halves", image, api, call), expected)


@pytest.mark.parametrize("api", [0, 1], ids=["And", "Or"])
def test_bits_of_32(api):
    rng = np.random.default_rng(api)
    image = rng.integers(0, 256, 3 * ROOM).astype(np.uint8)
    call = vec.random_call(rng, [4, 4, 4], COUNT, ROOM)
    u32 = np.dtype(np.uint32)
    expected = vec.lane_by_lane(image, call, [u32] * 3, lambda d, a, b: a & b if api == 0 else a | b)
    np.testing.assert_array_equal(vec.run("bits_32", image, api, call), expected)


def test_shift_that_rounds():
    rng = np.random.default_rng(0)
    image = values(rng, I32, 3 * ROOM // 4).view(np.uint8).copy()
    call = vec.random_call(rng, [4, 4], LANES, ROOM)
    call.scalar = 5
    expected = vec.lane_by_lane(image, call, [I32] * 2, lambda d, a: math.floor(int(a) / 32 + 0.5))
    np.testing.assert_array_equal(vec.run("shift_round", image, 0, call), expected)


@pytest.mark.parametrize("count", [1, 64, 65, 200])
def test_counter_mode(count):
    rng = np.random.default_rng(count)
    image = values(rng, F32, 3 * ROOM // 4).view(np.uint8).copy()
    call = Call(at=(0, ROOM, 2 * ROOM, 0), count=count)
    expected = vec.lane_by_lane(image, call, [F32] * 3, lambda d, a, b: a + b)
    np.testing.assert_array_equal(vec.run("counter_mode", image, 0, call), expected)


@pytest.mark.parametrize("form,count,repeats", [(COUNT, 0, 1), (LANES, 0, 2), (LANES, 64, 0)])
def test_nothing_to_do(form, count, repeats):
    image = values(np.random.default_rng(0), F32, 3 * ROOM // 4).view(np.uint8).copy()
    call = Call(at=(0, ROOM, 2 * ROOM, 0), form=form, count=count, repeats=repeats)
    np.testing.assert_array_equal(vec.run("elementwise_float", image, 0, call), image)


def test_sum_over_repeats_in_place():
    # The one overlap between repeats that the hardware allows: dst is src1, and both stay where they are.
    image = values(np.random.default_rng(0), F32, 3 * ROOM // 4).view(np.uint8).copy()
    call = Call(at=(0, ROOM, 0, 0), form=LANES, count=64, repeats=5, rep=(0, 8, 0))
    expected = image.copy()
    rows = image.view(np.float32)[ROOM // 4:ROOM // 4 + 5 * 64].reshape(5, 64)
    total = image.view(np.float32)[:64]
    for row in rows:
        total = row + total
    expected.view(np.float32)[:64] = total
    np.testing.assert_array_equal(vec.run("elementwise_float", image, 0, call), expected)


@pytest.mark.parametrize("change,rule", [
    ({"at": (0, 4, 2 * ROOM, 0)}, "align"),
    ({"blk": (0, 1, 1)}, "stride"),
    ({"at": (32, 0, 2 * ROOM, 0)}, "overlap"),
    ({"repeats": 255}, "bounds"),
])
def test_rules_of_all_vector_instructions(change, rule):
    image = values(np.random.default_rng(0), F32, 3 * ROOM // 4).view(np.uint8).copy()
    call = Call(**({"at": (0, ROOM, 2 * ROOM, 0), "form": LANES, "count": 64, "repeats": 2} | change))
    result = launch("elementwise_float", [image], call.params(image, 2), [image.nbytes], strict=True)
    assert any(rule in r for r in rules(result)), result["diagnostics"]
