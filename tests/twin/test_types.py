"""What architecture 2201 lacks does not compile: the twin refuses it as early as the real compiler could."""

from __future__ import annotations

import subprocess

import pytest

from tests.twin.conftest import compiler_command

KERNEL = """
#include "kernel_operator.h"
using namespace AscendC;
template <typename T> LocalTensor<T> At(TPosition pos = TPosition::VECCALC) { return LocalTensor<T>(pos, 0, 64); }
void Kernel() { %s }
"""


def complaint(body, tmp_path):
    source = tmp_path / "kernel.cpp"
    source.write_text(KERNEL % body)
    command = [*compiler_command(), "-fsyntax-only", str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def test_what_exists_compiles(tmp_path):
    assert complaint("""
        Add(At<half>(), At<half>(), At<half>(), 16);
        Exp(At<float>(), At<float>(), 16);
        Duplicate(At<bfloat16_t>(), bfloat16_t(1.0f), 16);
        Cast(At<float>(), At<bfloat16_t>(), RoundMode::CAST_NONE, 16);
        Mmad(At<float>(TPosition::CO1), At<bfloat16_t>(TPosition::A2), At<bfloat16_t>(TPosition::B2), MmadParams());
        PipeBarrier<PIPE_V>();""", tmp_path) == ""


@pytest.mark.parametrize("body, text", [
    ("Add(At<bfloat16_t>(), At<bfloat16_t>(), At<bfloat16_t>(), 16);", "Add does not exist for this type on 2201"),
    ("Exp(At<bfloat16_t>(), At<bfloat16_t>(), 16);", "Exp does not exist for this type on 2201"),
    ("Muls(At<bfloat16_t>(), At<bfloat16_t>(), bfloat16_t(2.0f), 16);", "Muls does not exist for this type on 2201"),
    ("Div(At<int32_t>(), At<int32_t>(), At<int32_t>(), 16);", "Div does not exist for this type on 2201"),
    ("Add(At<int8_t>(), At<int8_t>(), At<int8_t>(), 16);", "Add does not exist for this type on 2201"),
    ("Max(At<uint32_t>(), At<uint32_t>(), At<uint32_t>(), 16);", "Max does not exist for this type on 2201"),
    ("Cast(At<half>(), At<bfloat16_t>(), RoundMode::CAST_NONE, 16);", "static assertion failed"),
    ("Mmad(At<half>(TPosition::CO1), At<half>(TPosition::A2), At<half>(TPosition::B2), MmadParams());",
     "Mmad does not exist for these types on 2201"),
    ("PipeBarrier<PIPE_S>();", "PipeBarrier does not exist for the scalar pipe"),
])
def test_what_does_not_exist_does_not(body, text, tmp_path):
    assert text in complaint(body, tmp_path)
