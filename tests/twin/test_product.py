"""The twin's matrix product for every register width: the same bits as one rounded product and sum after the other."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.twin.conftest import REPOSITORY, compiler_command

TILE = 16
# Lanes, rows and panels as csrc/twin/CMakeLists.txt builds them.
FORMS = {"baseline": (4, 2, 1), "avx2": (8, 4, 1), "avx512": (16, 8, 2)}
INSTRUCTIONS = {"avx2": ("-mavx2", "-mfma", "-mf16c"), "avx512": ("-mavx512f", "-mf16c")}


def machine_has(instructions: tuple[str, ...]) -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return all(i.removeprefix("-m") in flags for i in instructions)


@pytest.fixture(scope="module", params=[(name, set_) for name in FORMS for set_ in ("portable", *INSTRUCTIONS) if set_ in
                                        ("portable", name)], ids="-".join)
def library(request, tmp_path_factory):
    """Compiled without the instruction set, where the compiler takes wide registers in parts, on any machine; and with it."""
    name, instructions = request.param[0], INSTRUCTIONS.get(request.param[1], ())
    if not machine_has(instructions):
        pytest.skip(f"this processor has no {name}")
    lanes, rows, panels = FORMS[name]
    out = tmp_path_factory.mktemp("product") / f"{name}.so"
    subprocess.run([*compiler_command(), "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-Wno-psabi", *instructions,
                    f"-I{REPOSITORY / 'csrc/twin/src'}", f"-DVIT_TWIN_ISA={name}", f"-DVIT_TWIN_LANES={lanes}",
                    f"-DVIT_TWIN_ROWS={rows}", f"-DVIT_TWIN_PANELS={panels}", str(REPOSITORY / "tests/twin/product_shim.cpp"),
                    "-o", str(out)], check=True)
    return ctypes.CDLL(str(out))


def pointer(array: np.ndarray):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def summed(a: np.ndarray, b: np.ndarray, c: np.ndarray, order: str) -> np.ndarray:
    """c + a b in float32, every product rounded before it is added."""
    terms = a[:, :, None] * b[None]  # (m, k, n)
    if order == "tree":
        for first in range(0, a.shape[1], TILE):
            part = list(np.moveaxis(terms[:, first:first + TILE], 1, 0))
            part += [np.zeros_like(c)] * (TILE - len(part))
            while len(part) > 1:
                part = [x + y for x, y in zip(part[::2], part[1::2])]
            c = c + part[0]
        return c
    for p in (range(a.shape[1]) if order == "sequential" else reversed(range(a.shape[1]))):
        c = c + terms[:, p]
    return c


@pytest.mark.parametrize("order", ["sequential", "tree", "reversed"])
@pytest.mark.parametrize("values", ["float16", "tiny float16", "bfloat16", "float32"])
@pytest.mark.parametrize("m, n, k", [(16, 16, 16), (35, 50, 40), (2, 33, 5), (24, 80, 72)])
def test_by_definition(library, m, n, k, values, order):
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n)))
    a_cols = 8 if values == "float32" else 16  # 16 says that the values are 16-bit numbers'
    if values in ("float16", "tiny float16"):
        scale = 2.0**-12 if values.startswith("tiny") else 1  # down to subnormal halves
        a, b = ((x * scale * scale).astype(np.float16).astype(np.float32) for x in (a, b))
        c *= scale**3
    elif values == "bfloat16":
        a, b = ((x.view(np.uint32) & 0xffff0000).view(np.float32) for x in (a, b))
    rows, depth, cols = -(-m // TILE) * TILE, -(-k // a_cols) * a_cols, -(-n // TILE) * TILE
    left, right, result = np.full((rows, depth), np.nan, np.float32), np.full((depth, cols), np.nan, np.float32), \
        np.full((rows, cols), 7, np.float32)
    left[:m, :k], right[:k, :n], result[:m, :n] = a, b, c
    right[:k, n:] = 0
    left = np.ascontiguousarray(left.reshape(rows // TILE, TILE, depth // a_cols, a_cols).swapaxes(1, 2))
    right = np.ascontiguousarray(right.reshape(depth, cols // TILE, TILE).swapaxes(0, 1))
    panels = np.ascontiguousarray(result.reshape(rows, cols // TILE, TILE).swapaxes(0, 1))
    library.multiply(m, n, k, a_cols, depth, rows, pointer(left), pointer(right), pointer(panels),
                     ["sequential", "tree", "reversed"].index(order))
    got = panels.swapaxes(0, 1).reshape(rows, cols)
    np.testing.assert_array_equal(got[:m, :n], summed(a, b, c, order))
    np.testing.assert_array_equal(got[m:], 7)


def test_transposition(library):
    blocks = np.arange(3 * TILE * TILE, dtype=np.float32).reshape(3, TILE, TILE)
    out = np.zeros((3, 2 * TILE, TILE), np.float32)
    library.transpose(pointer(blocks), pointer(out), 3, 2 * TILE * TILE)
    np.testing.assert_array_equal(out[:, :TILE], blocks.swapaxes(1, 2))
    np.testing.assert_array_equal(out[:, TILE:], 0)


def test_every_half(library):
    bits = np.arange(1 << 16, dtype=np.uint16)
    out = np.zeros(bits.size, np.float32)
    library.from_half(bits.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)), bits.size, pointer(out))
    np.testing.assert_array_equal(out, bits.view(np.float16).astype(np.float32))
    np.testing.assert_array_equal(np.signbit(out), bits >= 0x8000)
