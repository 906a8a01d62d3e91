"""layer_norm and add_layer_norm: normalisation over the last axis, alone or fused with the residual sum before it.

    y = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta            Ba, Kiros, Hinton 2016, arXiv:1607.06450

Row statistics are computed and saved in fp32 whatever the type of x; `add_layer_norm` reads both summands once and
writes sum and normalised sum in one pass.
"""

from __future__ import annotations

import functools

import mindspore as ms
from mindspore import Tensor, ops

from vit_kernels.ops import _checks, _kernels, _library
from vit_kernels.ops._backend import notice, resolve_backend
from vit_kernels.ops._serial import SerialCell


def _rows(shape: list[int]) -> list[int]:
    return list(shape[:-1]) if len(shape) > 1 else [1]


def _check_norm(op: str, x: list[int], gamma: list[int], beta: list[int]) -> None:
    _checks.require_rank(op, "x", x, 1)
    _checks.require_positive(op, "x", x)
    _checks.require_shape(op, "gamma", gamma, x[-1:], "the last dimension of x")
    _checks.require_shape(op, "beta", beta, x[-1:], "the last dimension of x")


def _cpu_layer_norm() -> ops.Custom:
    backward = ops.Custom(
        _library.kernel("VitLayerNormBackward"),
        lambda dy, x, gamma, mean, rstd: (x, gamma, gamma),
        lambda dy, x, gamma, mean, rstd: (x, x, x), func_type="aot")

    def infer(x, gamma, beta, eps):
        _check_norm("layer_norm", x, gamma, beta)
        return x, _rows(x), _rows(x)

    def bprop(x, gamma, beta, eps, out, dout):
        dx, dgamma, dbeta = backward(dout[0], x, gamma, out[1], out[2])
        return dx, dgamma, dbeta, ops.zeros_like(eps)

    return ops.Custom(_library.kernel("VitLayerNormForward"), infer, lambda x, gamma, beta, eps: (x, x, x),
                      func_type="aot", bprop=bprop)


def _cpu_add_layer_norm() -> ops.Custom:
    backward = ops.Custom(
        _library.kernel("VitAddLayerNormBackward"),
        lambda dsum, dy, total, gamma, mean, rstd: (total, gamma, gamma),
        lambda dsum, dy, total, gamma, mean, rstd: (total, total, total), func_type="aot")

    def infer(x, residual, gamma, beta, eps):
        _check_norm("add_layer_norm", x, gamma, beta)
        _checks.require_shape("add_layer_norm", "residual", residual, x, "the shape of x")
        return x, x, _rows(x), _rows(x)

    def bprop(x, residual, gamma, beta, eps, out, dout):
        dx, dgamma, dbeta = backward(dout[0], dout[1], out[0], gamma, out[2], out[3])
        return dx, dx, dgamma, dbeta, ops.zeros_like(eps)

    return ops.Custom(_library.kernel("VitAddLayerNormForward"), infer,
                      lambda x, residual, gamma, beta, eps: (x, x, x, x), func_type="aot", bprop=bprop)


@ops.constexpr
def _covered(op: str, width: int, backend: str) -> bool:
    """Whether the fused kernels take rows of this width; says so once when they do not."""
    if backend == "cpu" or width <= _kernels.MAX_NORM_WIDTH:
        return True
    notice(op, f"width {width} is over the Ascend C kernels' limit of {_kernels.MAX_NORM_WIDTH}")
    return False


class LayerNormOp(SerialCell):
    """`layer_norm` with its epsilon and backend fixed, to be kept by the layer that calls it.

    Args:
        eps: added to the variance.
        backend: see `vit_kernels.ops.resolve_backend`.
    """

    def __init__(self, eps: float = 1e-6, backend: str | None = None):
        super().__init__()
        self.backend = resolve_backend(backend)
        self.fused = self.backend != "reference"
        if self.backend == "cpu":
            self.eps = Tensor([eps], ms.float32)
            self.forward = _cpu_layer_norm()
        elif self.fused:
            from vit_kernels.ops import _npu

            self.forward = _npu.layer_norm(self.backend, eps)
        self.stock = ops.LayerNorm(begin_norm_axis=-1, begin_params_axis=-1, epsilon=eps)

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """x (..., C); gamma, beta (C,) -> y, the shape and dtype of x."""
        if not (self.fused and _covered("layer_norm", x.shape[-1], self.backend)):
            y, _, _ = self.stock(x, ops.cast(gamma, x.dtype), ops.cast(beta, x.dtype))
            return y
        _checks.check_inputs("layer_norm", ("x", "gamma", "beta"), (x.dtype, gamma.dtype, beta.dtype))
        if self.backend != "cpu":
            return self.forward(x, gamma, beta)
        y, _, _ = self.forward(ops.cast(x, ms.float32), ops.cast(gamma, ms.float32), ops.cast(beta, ms.float32),
                               self.eps)
        return ops.cast(y, x.dtype)


class AddLayerNormOp(SerialCell):
    """`add_layer_norm` with its epsilon and backend fixed.

    Args:
        eps: added to the variance.
        backend: see `vit_kernels.ops.resolve_backend`.
    """

    def __init__(self, eps: float = 1e-6, backend: str | None = None):
        super().__init__()
        self.backend = resolve_backend(backend)
        self.fused = self.backend != "reference"
        if self.backend == "cpu":
            self.eps = Tensor([eps], ms.float32)
            self.forward = _cpu_add_layer_norm()
        elif self.fused:
            from vit_kernels.ops import _npu

            self.forward = _npu.add_layer_norm(self.backend, eps)
        self.stock = ops.LayerNorm(begin_norm_axis=-1, begin_params_axis=-1, epsilon=eps)

    def construct(self, x: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        """x, residual (..., C); gamma, beta (C,) -> (x + residual, its layer norm), both like x."""
        if not (self.fused and _covered("add_layer_norm", x.shape[-1], self.backend)):
            total = x + residual
            y, _, _ = self.stock(total, ops.cast(gamma, x.dtype), ops.cast(beta, x.dtype))
            return total, y
        _checks.check_inputs("add_layer_norm", ("x", "residual", "gamma", "beta"),
                             (x.dtype, residual.dtype, gamma.dtype, beta.dtype))
        if self.backend != "cpu":
            return self.forward(x, residual, gamma, beta)
        total, y, _, _ = self.forward(ops.cast(x, ms.float32), ops.cast(residual, ms.float32),
                                      ops.cast(gamma, ms.float32), ops.cast(beta, ms.float32), self.eps)
        return ops.cast(total, x.dtype), ops.cast(y, x.dtype)


@functools.lru_cache(maxsize=None)
def _layer_norm_op(eps: float, backend: str | None) -> LayerNormOp:
    return LayerNormOp(eps, backend)


@functools.lru_cache(maxsize=None)
def _add_layer_norm_op(eps: float, backend: str | None) -> AddLayerNormOp:
    return AddLayerNormOp(eps, backend)


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-6, backend: str | None = None) -> Tensor:
    """Layer normalisation over the last axis (arXiv:1607.06450, equation 4).

    Args:
        x: (..., C); float32, float16 or bfloat16.
        gamma: (C,) gain.
        beta: (C,) bias.
        eps: added to the variance. timm and MAE use 1e-6; MindSpore's own default is 1e-7.
        backend: overrides the process's choice for this call, see `resolve_backend`.

    Returns:
        (..., C) of x's dtype; statistics are taken in fp32.

    Raises:
        TypeError: a tensor is not floating point.
        ValueError: gamma or beta does not match the last dimension of x, or x is empty.
    """
    return _layer_norm_op(eps, backend)(x, gamma, beta)


def add_layer_norm(x: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-6,
                   backend: str | None = None) -> tuple[Tensor, Tensor]:
    """The residual sum and its layer normalisation in one pass.

    Args:
        x: (..., C); float32, float16 or bfloat16.
        residual: the shape of x.
        gamma: (C,) gain.
        beta: (C,) bias.
        eps: added to the variance.
        backend: overrides the process's choice for this call, see `resolve_backend`.

    Returns:
        (x + residual, layer_norm(x + residual)), both (..., C) of x's dtype.

    Raises:
        TypeError: a tensor is not floating point.
        ValueError: the shapes do not fit each other, or x is empty.
    """
    return _add_layer_norm_op(eps, backend)(x, residual, gamma, beta)
