"""Test kernels for the twin: C++ files under tests/twin/kernels, compiled on first use and loaded into _native."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.twin import _native_module as native

REPOSITORY = Path(__file__).resolve().parents[2]
KERNELS = Path(__file__).parent / "kernels"
_loaded: set[str] = set()


def compiler_command() -> list[str]:
    """The compiler and the flags of every translation unit of a kernel on the twin."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or "c++"
    return [
        compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off",
        f"-fmacro-prefix-map={REPOSITORY}/=", "-DASCENDC_TWIN=1", "-DASCENDC_CPU_DEBUG=1", "-D__NPU_ARCH__=2201",
        f"-I{REPOSITORY / 'csrc/twin/include'}", f"-I{REPOSITORY / 'csrc/ascend'}", f"-I{KERNELS}",
    ]


def compile_kernels(source: Path, out: Path) -> Path:
    """Compiles one file of test kernels into a library that `twin_load` accepts."""
    command = [*compiler_command(), "-O1", "-fPIC", "-shared", str(source), "-o", str(out), str(native.LIBRARY),
               f"-Wl,-rpath,{native.LIBRARY.parent}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def load_kernels(tmp_path_factory):
    """load_kernels("datacopy") makes the operators of kernels/datacopy.cpp available."""

    def load(name: str) -> None:
        if name not in _loaded:
            out = tmp_path_factory.mktemp("twin") / f"{name}.so"
            native.twin_load(str(compile_kernels(KERNELS / f"{name}.cpp", out)))
            _loaded.add(name)

    return load
