"""Argument checks shared by the operators.

They run in Python while an operator is being compiled or dispatched, before any kernel sees a pointer, in PyNative
and in graph mode alike. Every message names the operator, the argument, its value and what was expected.
"""

from __future__ import annotations

from typing import Sequence

from mindspore.ops import constexpr

from vit_kernels.ops import _library

FLOATS = ("Float32", "Float16", "BFloat16")


@constexpr
def check_inputs(op: str, names: tuple, dtypes: tuple) -> bool:
    """Check that every tensor is of a floating type that the kernels take (and the process may run kernels).

    Raises:
        TypeError: a tensor is of another type.
        RuntimeError: the process is a fork.
    """
    _library.check_process()
    for name, dtype in zip(names, dtypes):
        if not str(dtype).endswith(FLOATS):
            raise TypeError(f"{op}: {name} has dtype {dtype}, expected float32, float16 or bfloat16; "
                            f"cast it with {name}.astype(mindspore.float32)")
    return True


def require_rank(op: str, name: str, shape: Sequence[int], minimum: int) -> None:
    """Raise ValueError unless `shape` has at least `minimum` dimensions."""
    if len(shape) < minimum:
        raise ValueError(f"{op}: {name} has shape {tuple(shape)}, expected at least {minimum} dimensions")


def require_shape(op: str, name: str, shape: Sequence[int], expected: Sequence[int], because: str) -> None:
    """Raise ValueError unless `shape` equals `expected`; `because` says where the expectation comes from."""
    if list(shape) != list(expected):
        raise ValueError(f"{op}: {name} has shape {tuple(shape)}, expected {tuple(expected)} ({because})")


def require_positive(op: str, name: str, shape: Sequence[int]) -> None:
    """Raise ValueError when a dimension is zero: MindSpore has no zero-sized outputs on CPU."""
    if any(d == 0 for d in shape):
        raise ValueError(f"{op}: {name} has shape {tuple(shape)}, which is empty; skip the call for an empty batch")
