"""Finds, loads and checks libvit_cpu.so, the shared library of SIMD kernels built from csrc/cpu."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from vit_kernels._version import __version__

_LIBRARY = Path(__file__).resolve().parent.parent / "_lib" / "libvit_cpu.so"
_REBUILD = "Reinstall the package (`pip install .` in the checkout) to build it."


class NativeLibraryError(RuntimeError):
    """The native kernels are missing, of another version, or cannot be loaded on this machine."""


class _Fork:
    """Whether this process is a fork of the one that loaded the library: libgomp does not survive a fork."""

    child = False

    @classmethod
    def mark(cls) -> None:
        cls.child = True


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """The loaded library, its ABI checked.

    Raises:
        NativeLibraryError: the file is missing, cannot be loaded, is of another version than the package, or
            `VIT_KERNELS_ISA` names an instruction set that this machine or build does not have.
    """
    if not _LIBRARY.exists():
        raise NativeLibraryError(f"the CPU kernels are not built: {_LIBRARY.name} is missing from {_LIBRARY.parent}. {_REBUILD}")
    try:
        lib = ctypes.CDLL(str(_LIBRARY))
        for name in ("vit_cpu_version", "vit_cpu_isa", "vit_cpu_isa_list", "vit_cpu_error"):
            getattr(lib, name).restype = ctypes.c_char_p
    except (OSError, AttributeError) as error:
        raise NativeLibraryError(f"cannot load the CPU kernels: {error}. {_REBUILD}") from error
    found = lib.vit_cpu_version().decode()
    if found != __version__:
        raise NativeLibraryError(
            f"the CPU kernels are of version {found}, the Python package is {__version__}. {_REBUILD}")
    problem = lib.vit_cpu_error().decode()
    if problem:
        raise NativeLibraryError(problem)
    os.register_at_fork(after_in_child=_Fork.mark)
    return lib


def kernel(symbol: str) -> str:
    """The `path:symbol` form by which `ops.Custom(func_type="aot")` finds one kernel."""
    library()
    return f"{_LIBRARY}:{symbol}"


def check_process() -> None:
    """Refuse to run kernels in a forked child.

    Raises:
        RuntimeError: the process is a fork of the one that loaded the kernels.
    """
    if _Fork.child:
        raise RuntimeError(
            "vit_kernels: the fused CPU kernels cannot run in a forked process (OpenMP's threads do not survive a "
            "fork). Start the process with the 'spawn' method, or set VIT_KERNELS_BACKEND=reference in it.")


def isa() -> str:
    """The instruction set that the kernels run on: baseline, avx2, avx512 or neon."""
    return library().vit_cpu_isa().decode()


def isa_list() -> list[str]:
    """The instruction sets that both this build and this machine have, the best last."""
    return library().vit_cpu_isa_list().decode().split(",")


def threads() -> int:
    """How many OpenMP threads a kernel uses."""
    return int(library().vit_cpu_threads())
