"""The twin's small vector against a Python list, inside its own memory, on the heap and on the way between them."""

from __future__ import annotations

import ctypes
import subprocess

import numpy as np
import pytest

from tests.twin.conftest import REPOSITORY, compiler_command

PUSH, POP, CLEAR, ASSIGN, MOVE, COPY_BACK, MOVE_BACK, SET_LAST = range(8)
OFTEN = [PUSH] * 8 + [POP] * 6 + [CLEAR, ASSIGN, MOVE, COPY_BACK, MOVE_BACK, SET_LAST, SET_LAST]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "small.so"
    subprocess.run([*compiler_command(), "-O1", "-fPIC", "-shared", str(REPOSITORY / "tests/twin/small_shim.cpp"), "-o", str(out)],
                   check=True)
    return ctypes.CDLL(str(out))


def script(rng: np.random.Generator) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Operations and values, and what both vectors hold afterwards."""
    steps, first, second = [], [], []
    for value in range(int(rng.integers(1, 60))):
        operation = int(rng.choice(OFTEN))
        if operation in (POP, SET_LAST) and not first:
            continue
        steps.append((operation, value))
        if operation == PUSH:
            first.append(value)
        elif operation == POP:
            first.pop()
        elif operation == CLEAR:
            first.clear()
        elif operation == ASSIGN:
            second = list(first)
        elif operation == MOVE:
            second, first = first, []
        elif operation == SET_LAST:
            first[-1] = value
        else:
            first = list(second)
    return steps, first, second


@pytest.mark.parametrize("seed", range(20))
def test_holds_what_a_list_would(library, seed):
    rng = np.random.default_rng(seed)
    for _ in range(50):
        steps, first, second = script(rng)
        operations, values = (np.array(column, np.intc) for column in (zip(*steps) if steps else ([], [])))
        out = np.full(200, -1, np.intc)
        size = library.play(operations.ctypes, values.ctypes, len(steps), out.ctypes)
        assert size == len(first)
        assert out[:len(first) + len(second) + 1].tolist() == first + second + [-1]
