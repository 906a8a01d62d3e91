"""Data movement between memories against its definition, byte for byte, over random shapes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.twin._native_module import AIC_ONLY, MIX_AIV_1_0, launch, poisoned, rules


@pytest.fixture(autouse=True)
def _kernels(load_kernels):
    load_kernels("datacopy")


def run(op, source, params, out_bytes, **kwargs):
    result = launch(op, [source], params, [out_bytes], **kwargs)
    # Bytes that no block covers are part of what is compared.
    assert rules(result) <= {"output-unwritten"}, result["diagnostics"]
    return np.asarray(result["outputs"][0], np.uint8)


def random_bytes(rng, n):
    return rng.integers(0, 256, n).astype(np.uint8)


def copied(dst, src, blocks, length, src_gap, dst_gap, dst_at=0):
    """`blocks` pieces of `length` bytes with gaps from end to start."""
    for i in range(blocks):
        s, d = i * (length + src_gap), dst_at + i * (length + dst_gap)
        dst[d:d + length] = src[s:s + length]
    return dst


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("op", ["copy_in", "copy_out", "copy_ub"])
def test_strided_blocks(op, seed):
    rng = np.random.default_rng(seed)
    blocks, length, src_gap, dst_gap = (int(rng.integers(lo, hi)) for lo, hi in ((1, 9), (1, 7), (0, 4), (0, 4)))
    room = 32 * 9 * 12
    source, offset = random_bytes(rng, room), 32 * int(rng.integers(0, 3)) if op == "copy_in" else 0
    params = [blocks, length, src_gap, dst_gap, room] + ([offset] if op == "copy_in" else [])
    expected = copied(poisoned(room), source, blocks, 32 * length, 32 * src_gap, 32 * dst_gap, offset)
    np.testing.assert_array_equal(run(op, source, params, room), expected)


@pytest.mark.parametrize("count", [32, 64, 1024, 4064])
def test_counts(count):
    source = random_bytes(np.random.default_rng(count), count)
    np.testing.assert_array_equal(run("copy_count", source, [count, 2], count), source)


def test_count_is_rounded_down_and_reported():
    source = random_bytes(np.random.default_rng(0), 128)
    result = launch("copy_count", [source], [100, 2], [128])
    assert rules(result), "100 bytes are not whole blocks"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size", [1, 2, 4])
def test_padded_in(size, seed):
    rng = np.random.default_rng(seed)
    blocks, length = int(rng.integers(1, 6)), size * int(rng.integers(1, 50))
    src_gap, dst_gap = size * int(rng.integers(0, 9)), int(rng.integers(0, 3))
    pad, value, room = seed % 2, int(rng.integers(1, 100)), 4096
    per_block = 32 // size
    left = int(rng.integers(0, per_block // 2)) if pad else 0
    rest = -(left * size + length) % 32 // size
    right = int(rng.integers(0, rest + 1)) if pad else 0
    source, at = random_bytes(rng, 4096), size * int(rng.integers(0, 9))
    filler = value.to_bytes(size, "little")
    expected, to = poisoned(room), 32
    for i in range(blocks):
        piece = source[at + i * (length + src_gap):][:length].tobytes()
        # What fills the block up is the value, or without padding the piece's first element.
        row = filler * left + piece + filler * right
        row += (filler if pad else piece[:size]) * (-len(row) % 32 // size)
        expected[to:to + len(row)] = np.frombuffer(row, np.uint8)
        to += len(row) + 32 * dst_gap
    params = [blocks, length, src_gap, dst_gap, room, pad, left, right, value, 32, at // size, size]
    np.testing.assert_array_equal(run("pad_in", source, params, room), expected)


@pytest.mark.parametrize("seed", range(8))
def test_padded_out(seed):
    rng = np.random.default_rng(seed)
    blocks, length = int(rng.integers(1, 6)), int(rng.integers(1, 100))
    src_gap, dst_gap, at, room = int(rng.integers(0, 3)), int(rng.integers(0, 50)), int(rng.integers(0, 40)), 4096
    source, expected = random_bytes(rng, room), poisoned(room)
    step = -(-length // 32) * 32 + 32 * src_gap
    for i in range(blocks):
        to = at + i * (length + dst_gap)
        expected[to:to + length] = source[i * step:i * step + length]
    np.testing.assert_array_equal(run("pad_out", source, [blocks, length, src_gap, dst_gap, room, at], room), expected)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("matrices,rows,columns,pitch", [
    (1, 16, 16, 16), (1, 5, 7, 9), (1, 33, 40, 64), (1, 1, 100, 100), (2, 10, 24, 30), (3, 16, 3, 5)])
def test_fractals(size, matrices, rows, columns, pitch):
    rng = np.random.default_rng(rows)
    dtype = np.dtype(f"u{size}")
    c0, rows_up, at = 32 // size, -(-rows // 16) * 16, 3
    column_blocks = -(-columns // c0)
    matrix_pitch, out_pitch = rows * pitch + 2, column_blocks * rows_up * c0
    # Small numbers, so that a pattern of bits is never a NaN.
    source = rng.integers(1, 1000, at + matrices * matrix_pitch + pitch).astype(dtype)
    room = matrices * out_pitch * size
    expected = poisoned(room).view(dtype).copy()
    for m in range(matrices):
        for r in range(rows):
            for c in range(column_blocks * c0):
                value = source[at + m * matrix_pitch + r * pitch + c] if c < columns else 0
                expected[m * out_pitch + (c // c0 * rows_up + r) * c0 + c % c0] = value
    params = [matrices, rows, columns, matrix_pitch, pitch, rows_up, 1, out_pitch if matrices > 1 else 0, room,
              int(size == 4), at]
    got = run("nd2nz", source, params, room, mode=AIC_ONLY)
    np.testing.assert_array_equal(got.view(dtype), expected)


@pytest.mark.parametrize("mode,f", [(1, np.add), (2, np.maximum), (3, np.minimum)], ids=["add", "max", "min"])
def test_atomics(mode, f):
    n, first = 64, 0.5
    source = np.random.default_rng(mode).integers(-8, 8, 2 * n).astype(np.float32)
    got = run("atomic_out", source, [n, first, mode], 2 * n * 4, blocks=2, mode=MIX_AIV_1_0,
              workspace=1 << 14).view(np.float32)
    # Both cores put their numbers on both halves.
    start = np.float32(int(first))
    expected = f(f(start, source[:n]), source[n:])
    np.testing.assert_array_equal(got, np.concatenate([expected, expected]))
