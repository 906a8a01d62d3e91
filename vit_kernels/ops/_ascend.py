"""One Ascend C kernel as a MindSpore primitive: on an NPU through its aclnn interface, on a CPU through the twin.

Both are `ops.Custom(func_type="aot")` and share shape rules and gradients. They differ in how attributes travel: an
aclnn interface takes them as trailing Python numbers, the twin as one tensor of text that also names the kernel.

The kernels compute in float16 or bfloat16 (layer norms in any type). float32 activations are rounded to float16 at an
operator's door and its results widened again; sums, statistics and weight gradients are float32 throughout.

Nothing here was ever run on an NPU: that half is checked against a stand-in toolkit.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from pathlib import Path
from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops
from mindspore.ops import CustomRegOp, DataType

from vit_kernels._version import __version__
from vit_kernels.ops._kernels import KERNELS
from vit_kernels.ops._library import NativeLibraryError

_VENDOR = Path(__file__).resolve().parent.parent / "vendors" / "vit_kernels"
STRICT = "VIT_KERNELS_TWIN_STRICT"  # 0: the twin computes without checking, several times faster


# ---- are the kernels there?

def require_package() -> None:
    """Check that the op package is installed with this package and fits it.

    Raises:
        NativeLibraryError: it is missing, of another version, or not on ASCEND_CUSTOM_OPP_PATH.
    """
    described = _VENDOR / "vit_kernels.json"
    rebuild = "install vit_kernels on this machine with VIT_KERNELS_ASCEND=ON and CANN's set_env.sh sourced"
    if not described.exists():
        raise NativeLibraryError(f"the Ascend C op package is not part of this installation (no {described.name} in "
                                 f"vendors/{_VENDOR.name}): {rebuild}")
    try:
        version = json.loads(described.read_text(encoding="utf-8"))["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise NativeLibraryError(f"vendors/{_VENDOR.name}/{described.name} cannot be read ({error}): {rebuild}") from error
    if version != __version__:
        raise NativeLibraryError(f"the Ascend C op package is of version {version}, the Python package is {__version__}: "
                                 f"{rebuild}")
    if str(_VENDOR) not in os.environ.get("ASCEND_CUSTOM_OPP_PATH", "").split(":"):
        raise NativeLibraryError("ASCEND_CUSTOM_OPP_PATH no longer names the Ascend C op package: it is set when "
                                 "vit_kernels is imported and must be left alone")


@functools.lru_cache(maxsize=None)
def require_twin() -> str:
    """The library that holds the twin, as `ops.Custom` wants it.

    Raises:
        NativeLibraryError: it is not built.
    """
    try:
        from vit_kernels import _native
    except ImportError as error:
        raise NativeLibraryError(f"the twin is not built: {error}. Reinstall the package (`pip install .` in the "
                                 "checkout) to build it") from error
    return f"{_native.__file__}:VitTwin"


# ---- one operator

class Operator:
    """How to make and call the primitive of one kernel.

    Attributes:
        extra: what follows the tensors in a call.
    """

    def __init__(self, backend: str, name: str, **attrs: Any):
        self.kernel, self.backend, self.attrs = KERNELS[name], backend, attrs
        if [key for key, _ in self.kernel.attrs] != list(attrs):
            raise TypeError(f"{name} takes the attributes {self.kernel.attrs}, got {attrs}")
        if backend == "ascend":
            self.extra = tuple(attrs.values())
        else:
            text = ";".join([name, *(f"{key}={float(value)!r}" for key, value in attrs.items()),
                             f"strict={os.environ.get(STRICT, '1')}"])
            self.extra = (Tensor(np.frombuffer(text.encode(), np.uint8)),)

    def primitive(self, shapes: Callable, dtypes: Callable, bprop: Callable | None = None) -> ops.Custom:
        """The primitive. `shapes` and `dtypes` take those of the tensors and return the outputs'."""
        count = len(self.kernel.inputs)

        def infer_shapes(*args):
            return shapes(*args[:count])

        def infer_dtypes(*args):
            return dtypes(*args[:count])

        if self.backend == "twin":
            made = ops.Custom(require_twin(), infer_shapes, infer_dtypes, func_type="aot", bprop=bprop)
        else:
            made = ops.Custom(f"aclnn{self.kernel.type}", infer_shapes, infer_dtypes, func_type="aot", bprop=bprop,
                              reg_info=self._reg_info())
        # MindSpore looks gradients up by a primitive's attributes: two that differ in nothing else would share one.
        made.add_prim_attr("vit_kernels_call", f"{self.kernel.name} {self.attrs}")
        return made

    def _reg_info(self) -> dict:
        info = CustomRegOp(self.kernel.type)
        for index, name in enumerate(self.kernel.inputs):
            info = info.input(index, name)
        for index, name in enumerate(self.kernel.outputs):
            info = info.output(index, name)
        for name, kind in self.kernel.attrs:
            info = info.attr(name, "required", kind)
        width = len(self.kernel.inputs) + len(self.kernel.outputs)
        return info.dtype_format(*[DataType.None_None] * width).target("Ascend").get_op_info()


def half(x: Tensor) -> Tensor:
    """x as a type that the cube multiplies."""
    return ops.cast(x, ms.float16) if x.dtype == ms.float32 else x


@ops.constexpr
def notice_half(op: str, dtype: ms.Type) -> None:
    if dtype == ms.float32:
        _log_half(op)


@functools.lru_cache(maxsize=None)
def _log_half(op: str) -> None:
    logging.getLogger("vit_kernels").warning(
        "vit_kernels: %s: float32 activations are computed in float16, as the cube does not multiply float32", op)
