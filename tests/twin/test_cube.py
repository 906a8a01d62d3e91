"""Loads into L0, Mmad and Fixpipe against the plain matrix product of small integers, which every order sums exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.twin._native_module import AIC_ONLY, launch, poisoned, rules

TWO_D, TWO_D_TRANSPOSED, THREE_D, THREE_D_TRANSPOSED, WITH_TRANSPOSE = range(5)
ROWS, FRACTALS, TO_L1 = range(3)
FLOAT, HALF, BF16 = range(3)
STORED = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.uint16))


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("cube")


def up(n: int) -> int:
    return -(-n // 16) * 16


def bf16(x: np.ndarray) -> np.ndarray:
    """The bits of the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def element(x: np.ndarray, out: int) -> np.ndarray:
    return bf16(x) if out == BF16 else x.astype(STORED[out])


def fractal_columns(matrix: np.ndarray) -> np.ndarray:
    """Columns of 16 x 16 fractals, element (r, c) at (c // 16 * rows + r) * 16 + c % 16."""
    rows, columns = matrix.shape
    return np.concatenate([matrix[:, c:c + 16].reshape(-1) for c in range(0, columns, 16)]) if rows else matrix


def product(a, b, *, dtype="half", m, n, k, load_a=TWO_D, load_b=TWO_D, bias=None, bias_half=False, times=1,
            store=ROWS, out=FLOAT, relu=False, pitch=0, n_out=None, m_out=None, a_k=0, a_m=0, b_k=0, rules_only=False):
    """The result's bytes; `a` and `b` are the matrices as L1 holds them, their sides multiples of 16."""
    as_bits = bf16 if dtype == "bf16" else lambda x: x.astype(np.float16)
    n_out, m_out = n_out or n, m_out or m
    size = STORED[out].itemsize
    if store == ROWS:
        pitch = pitch or n_out
        room = (m_out - 1) * pitch * size + n_out * size
    else:
        pitch = pitch or up(m) * (32 if size == 2 else 64) // 32
        room = (n_out // 16 - 1) * pitch * 32 + m_out * 16 * size
    table = np.zeros(up(n), np.float16 if bias_half else np.float32)
    if bias is not None:
        table[:len(bias)] = bias
    params = [m, n, k, a.shape[0], b.shape[0], load_a, load_b, 0 if bias is None else 1 + bias_half, times, store, out,
              int(relu), pitch, n_out, m_out, a_k, a_m, b_k, a.shape[1], b.shape[1], room]
    result = launch(f"product_{dtype}", [as_bits(fractal_columns(a)), as_bits(fractal_columns(b)), table], params, [room],
                    mode=AIC_ONLY)
    if rules_only:
        return rules(result)
    assert rules(result) <= {"output-unwritten"}, result["diagnostics"]
    return np.asarray(result["outputs"][0], np.uint8)


def integers(rng, rows, columns):
    return rng.integers(-3, 4, (rows, columns)).astype(np.float64)


def padded(matrix):
    """Zeros up to multiples of 16, as ND2NZ and Fill leave them."""
    out = np.zeros((up(matrix.shape[0]), up(matrix.shape[1])))
    out[:matrix.shape[0], :matrix.shape[1]] = matrix
    return out


SHAPES = [(16, 16, 16), (32, 48, 64), (5, 7, 9), (100, 33, 17), (2, 1, 1)]


@pytest.mark.parametrize("m,n,k", SHAPES)
@pytest.mark.parametrize("load_a,load_b", itertools.product(range(5), (TWO_D, TWO_D_TRANSPOSED, THREE_D, WITH_TRANSPOSE)))
def test_loads(load_a, load_b, m, n, k):
    rng = np.random.default_rng(m + n + k)
    a, b = integers(rng, m, k), integers(rng, k, n)
    a_there = a.T if load_a in (TWO_D_TRANSPOSED, THREE_D_TRANSPOSED, WITH_TRANSPOSE) else a
    b_there = b.T if load_b == TWO_D else b
    got = product(padded(a_there), padded(b_there), m=m, n=n, k=k, load_a=load_a, load_b=load_b)
    np.testing.assert_array_equal(got.view(np.float32).reshape(m, n), a @ b)


@pytest.mark.parametrize("dtype", ["half", "bf16"])
@pytest.mark.parametrize("load_a,load_b", [(THREE_D, THREE_D), (THREE_D_TRANSPOSED, THREE_D)])
def test_part_of_what_is_in_l1(load_a, load_b, dtype):
    rng = np.random.default_rng(load_a)
    m, n, k, first_m, first_k, b_first_k = 32, 48, 32, 16, 48, 16
    a, b = integers(rng, 64, 96), integers(rng, 64, 48)
    got = product(a if load_a == THREE_D else a.T.copy(), b, dtype=dtype, m=m, n=n, k=k, load_a=load_a, load_b=load_b,
                  a_k=first_k, a_m=first_m, b_k=b_first_k)
    expected = a[first_m:first_m + m, first_k:first_k + k] @ b[b_first_k:b_first_k + k]
    np.testing.assert_array_equal(got.view(np.float32).reshape(m, n), expected)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("bias_half", [False, True, None], ids=["float", "half", "none"])
def test_bias_and_accumulation(bias_half, times):
    rng = np.random.default_rng(times)
    m, n, k = 20, 30, 40
    a, b = integers(rng, m, k), integers(rng, k, n)
    bias = None if bias_half is None else rng.integers(-9, 9, n).astype(np.float64)
    got = product(padded(a), padded(b), m=m, n=n, k=k, load_b=THREE_D, bias=bias, bias_half=bool(bias_half), times=times)
    expected = times * (a @ b) + (0 if bias is None else bias)
    np.testing.assert_array_equal(got.view(np.float32).reshape(m, n), expected)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("out,store,n_out,m_out,pitch", [
    *[(out, *shape) for out in (FLOAT, HALF, BF16) for shape in (
        (ROWS, 48, 40, 48), (ROWS, 37, 33, 50), (ROWS, 1, 1, 3), (FRACTALS, 48, 40, 0), (FRACTALS, 32, 7, 0))],
    (HALF, TO_L1, 48, 48, 0), (BF16, TO_L1, 48, 48, 0)])  # floats have no way to L1
def test_stores(out, store, n_out, m_out, pitch, relu):
    rng = np.random.default_rng(n_out)
    m, n, k = 48, 48, 64
    # Large enough for results that a bfloat16 has to round.
    a, b = rng.integers(-40, 40, (m, k)).astype(np.float64), rng.integers(-40, 40, (k, n)).astype(np.float64)
    got = product(a, b, m=m, n=n, k=k, load_b=THREE_D, store=store, out=out, relu=relu, pitch=pitch, n_out=n_out,
                  m_out=m_out)
    exact = np.maximum(a @ b, 0) if relu else a @ b
    values, size = element(exact, out), STORED[out].itemsize
    expected = poisoned(len(got)).view(STORED[out]).copy()
    if store == ROWS:
        for r in range(m_out):
            expected[r * pitch:r * pitch + n_out] = values[r, :n_out]
    else:
        step = up(m) * (32 if size == 2 else 64) // size
        for c in range(n_out // 16):
            expected[c * step:c * step + m_out * 16] = values[:m_out, 16 * c:16 * c + 16].reshape(-1)
    np.testing.assert_array_equal(got.view(STORED[out]), expected)


@pytest.mark.parametrize("changes,rule", [
    ({"m": 1}, "gemv"),
    ({"store": FRACTALS, "n_out": 31}, "parameter"),
    ({"load_a": THREE_D, "a_k": 8}, "parameter"),
    ({"load_a": THREE_D, "k": 64}, "parameter"),
])
def test_what_the_cube_cannot_do(changes, rule):
    a, b = np.ones((32, 48)), np.ones((48, 32))
    found = product(a, b, **({"m": 32, "n": 32, "k": 48, "load_b": THREE_D} | changes), rules_only=True)
    assert any(rule in r for r in found), found


@pytest.mark.parametrize("repeats,blocks,gap", [(1, 4, 0), (3, 2, 1), (5, 1, 3)])
def test_fill(repeats, blocks, gap):
    source = np.random.default_rng(gap).integers(0, 1000, 1024).astype(np.float16)
    result = launch("fill_l1", [source], [repeats, blocks, gap, source.nbytes], [source.nbytes], mode=AIC_ONLY)
    assert not rules(result), result["diagnostics"]
    expected = source.copy()
    for i in range(repeats):
        at = 16 * i * (blocks + gap)
        expected[at:at + 16 * blocks] = 1.5
    np.testing.assert_array_equal(np.asarray(result["outputs"][0], np.uint8).view(np.float16), expected)
