"""Which implementation runs an operator: chosen once per model, forced by argument or environment, never silent.

    auto       the fused kernels of the device (ascend on an NPU, cpu on a CPU); reference when they are not there
    fused      the same, but an error when they are not there
    reference  stock MindSpore operators
    cpu, ascend, twin   one particular implementation; twin runs the Ascend C source on the CPU, for tests
"""

from __future__ import annotations

import functools
import logging
import os

import mindspore as ms

from vit_kernels.ops import _library

ENVIRONMENT = "VIT_KERNELS_BACKEND"
CHOICES = ("auto", "fused", "reference", "cpu", "ascend", "twin")

logger = logging.getLogger("vit_kernels")


def resolve_backend(requested: str | None = None) -> str:
    """Turn a request into the implementation that will run: 'reference', 'cpu', 'ascend' or 'twin'.

    Args:
        requested: one of `CHOICES`; None and 'auto' leave the choice to `VIT_KERNELS_BACKEND`, else to the device.

    Raises:
        ValueError: the argument or the environment variable is none of `CHOICES`.
        NativeLibraryError: a fused backend was asked for by name and its kernels cannot be used.
    """
    source = "backend"
    if requested in (None, "auto") and os.environ.get(ENVIRONMENT):
        requested, source = os.environ[ENVIRONMENT], ENVIRONMENT
    requested = requested or "auto"
    if requested not in CHOICES:
        raise ValueError(f"{source}={requested!r} is not a backend: expected one of {', '.join(CHOICES)}")
    if requested == "reference":
        return "reference"
    device = ms.get_context("device_target")
    if requested == "twin":
        _load_twin()
        return "twin"
    fused = {"CPU": "cpu", "Ascend": "ascend"}.get(device)
    if requested in ("cpu", "ascend") and requested != fused:
        raise ValueError(f"{source}={requested!r} does not fit MindSpore's device target {device!r}: "
                         f"call mindspore.set_device({requested.upper() if requested == 'cpu' else 'Ascend'!r}) first")
    try:
        if fused == "cpu":
            _library.library()
        elif fused == "ascend":
            _load_ascend()
        else:
            raise _library.NativeLibraryError(f"there are no fused kernels for device target {device!r}")
    except _library.NativeLibraryError as problem:
        if requested != "auto":
            raise
        notice("all operators", str(problem))
        return "reference"
    return fused


@functools.lru_cache(maxsize=None)
def notice(op: str, reason: str) -> None:
    """Log, once per process, that `op` runs on stock MindSpore operators and why."""
    logger.warning("vit_kernels: %s: using the reference backend: %s", op, reason)


def _load_ascend() -> None:
    from vit_kernels.ops import _ascend

    _ascend.require_package()


def _load_twin() -> None:
    from vit_kernels.ops import _ascend

    _ascend.require_twin()
