"""libvit_cpu through ctypes: NumPy arrays in, NumPy arrays out, and what the kernel tests share."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_REPOSITORY = Path(__file__).resolve().parents[2]

OK, ERROR_COUNT, ERROR_DTYPE, ERROR_SHAPE, ERROR_FORKED, ERROR_MEMORY, ERROR_ISA = range(7)


def _library_path() -> Path:
    """The library in the checkout, else the one of the installed package."""
    built = _REPOSITORY / "vit_kernels" / "_lib" / "libvit_cpu.so"
    if built.exists():
        return built
    import vit_kernels

    return Path(vit_kernels.__file__).parent / "_lib" / "libvit_cpu.so"


LIBRARY = Path(os.environ.get("VIT_KERNELS_TEST_LIBRARY") or _library_path())
lib = ctypes.CDLL(str(LIBRARY))
for _name in ("version", "isa", "isa_list", "error"):
    getattr(lib, f"vit_cpu_{_name}").restype = ctypes.c_char_p
lib.vit_cpu_scratch_bytes.restype = ctypes.c_size_t

ISAS: list[str] = lib.vit_cpu_isa_list().decode().split(",")


@contextlib.contextmanager
def running_on(isa: str | None = None, threads: int | None = None) -> Iterator[None]:
    """Selects an instruction set and a number of threads, and restores what was there."""
    before_isa, before_threads = lib.vit_cpu_isa(), lib.vit_cpu_threads()
    try:
        if isa is not None:
            assert lib.vit_cpu_set_isa(isa.encode()) == OK
        if threads is not None:
            lib.vit_cpu_set_threads(threads)
        yield
    finally:
        lib.vit_cpu_set_isa(before_isa)
        lib.vit_cpu_set_threads(before_threads)


def misaligned(array: np.ndarray) -> np.ndarray:
    """A float32 copy whose address is 4 modulo 64, the worst the interface allows."""
    array = np.asarray(array, np.float32)
    raw = np.empty(array.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + 4
    view = raw[start : start + array.nbytes].view(np.float32).reshape(array.shape)
    view[...] = array
    return view


def empty(*shape: int) -> np.ndarray:
    """An output array: misaligned and full of NaN, so that what a kernel does not write shows."""
    return misaligned(np.full(shape, np.nan, np.float32))


def _pass(argument):
    if argument is None:
        return None
    if isinstance(argument, np.ndarray):
        assert argument.dtype == np.float32 and argument.flags.c_contiguous
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, (float, np.floating)):
        return ctypes.c_float(argument)
    if isinstance(argument, bool):
        return ctypes.c_int(argument)
    return ctypes.c_int64(argument)


def call(name: str, *arguments) -> int:
    """Calls vit_<name>; arrays as pointers, float as float, int as int64, bool as int. Returns its code."""
    return getattr(lib, f"vit_{name}")(*(_pass(a) for a in arguments))


def check(name: str, *arguments) -> None:
    """`call` for arguments that must be accepted."""
    code = call(name, *arguments)
    assert code == OK, f"vit_{name} returned {code}"


def rows_of(x: np.ndarray) -> tuple[int, int]:
    """(product of the leading dimensions, last dimension)."""
    return int(np.prod(x.shape[:-1])), x.shape[-1]


def layer_norm(x, gamma, beta, epsilon):
    """Returns y, mean, rstd."""
    rows, width = rows_of(x)
    y, mean, rstd = empty(*x.shape), empty(rows), empty(rows)
    check("layer_norm_forward", x, gamma, beta, float(epsilon), y, mean, rstd, rows, width)
    return y, mean, rstd


def layer_norm_backward(dy, x, gamma, mean, rstd):
    """Returns dx, dgamma, dbeta."""
    rows, width = rows_of(x)
    dx, dgamma, dbeta = empty(*x.shape), empty(width), empty(width)
    check("layer_norm_backward", dy, x, gamma, mean, rstd, dx, dgamma, dbeta, rows, width)
    return dx, dgamma, dbeta


def add_layer_norm(x, residual, gamma, beta, epsilon):
    """Returns sum, y, mean, rstd."""
    rows, width = rows_of(x)
    total, y, mean, rstd = empty(*x.shape), empty(*x.shape), empty(rows), empty(rows)
    check(
        "add_layer_norm_forward", x, residual, gamma, beta, float(epsilon), total, y, mean, rstd, rows, width
    )
    return total, y, mean, rstd


def add_layer_norm_backward(dsum, dy, total, gamma, mean, rstd):
    """Returns dx, dgamma, dbeta."""
    rows, width = rows_of(total)
    dx, dgamma, dbeta = empty(*total.shape), empty(width), empty(width)
    check("add_layer_norm_backward", dsum, dy, total, gamma, mean, rstd, dx, dgamma, dbeta, rows, width)
    return dx, dgamma, dbeta


def attention(qkv, scale):
    """qkv (batch, tokens, 3, heads, head_dim); returns out, lse."""
    batch, tokens, _, heads, head_dim = qkv.shape
    out, lse = empty(batch, tokens, heads * head_dim), empty(batch, heads, tokens)
    check("attention_forward", qkv, float(scale), out, lse, batch, tokens, heads, head_dim)
    return out, lse


def attention_backward(dout, qkv, out, lse, scale):
    """Returns dqkv."""
    batch, tokens, _, heads, head_dim = qkv.shape
    dqkv = empty(*qkv.shape)
    check("attention_backward", dout, qkv, out, lse, float(scale), dqkv, batch, tokens, heads, head_dim)
    return dqkv


def linear(x, w, bias=None, residual=None, scale=None):
    """Returns y."""
    rows, width = rows_of(x)
    y = empty(*x.shape[:-1], w.shape[0])
    check("linear_forward", x, w, bias, residual, scale, y, rows, width, w.shape[0])
    return y


def linear_backward(dy, x, w, bias=None, scale=None):
    """Returns dx, dw, dbias, dscale; the last is None without scale."""
    rows, width = rows_of(x)
    out = w.shape[0]
    dx, dw, dbias = empty(*x.shape), empty(*w.shape), empty(out)
    dscale = None if scale is None else empty(out)
    check("linear_backward", dy, x, w, bias, scale, dx, dw, dbias, dscale, rows, width, out)
    return dx, dw, dbias, dscale


def gelu_mlp(x, w1, b1, w2, b2, tanh=False, keep=True):
    """Returns y, h; h is None unless `keep`."""
    rows, width = rows_of(x)
    hidden, out = w1.shape[0], w2.shape[0]
    y = empty(*x.shape[:-1], out)
    h = empty(*x.shape[:-1], hidden) if keep else None
    check("gelu_mlp_forward", x, w1, b1, w2, b2, y, h, rows, width, hidden, out, bool(tanh))
    return y, h


def gelu_mlp_backward(dy, x, h, w1, w2, tanh=False):
    """Returns dx, dw1, db1, dw2, db2."""
    rows, width = rows_of(x)
    hidden, out = w1.shape[0], w2.shape[0]
    grads = empty(*x.shape), empty(*w1.shape), empty(hidden), empty(*w2.shape), empty(out)
    check("gelu_mlp_backward", dy, x, h, w1, w2, *grads, rows, width, hidden, out, bool(tanh))
    return grads
