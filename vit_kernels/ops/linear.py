"""linear: y = residual + scale * (x w^T + b), one product with everything a transformer block adds around it.

Bias, LayerScale (Touvron et al. 2021, arXiv:2103.17239) and the residual sum are applied while the product's tile is
still in registers. The backward pass saves nothing but x: with G = dy^T x, dw = scale * G row by row, and LayerScale's
own gradient is the row-wise dot product of w and G plus b * sum(dy).
"""

from __future__ import annotations

import functools

import mindspore as ms
from mindspore import Tensor, ops

from vit_kernels.ops import _checks, _library
from vit_kernels.ops._backend import resolve_backend
from vit_kernels.ops._serial import SerialCell


def _check_linear(x, w, b, residual, scale) -> list[int]:
    """Check the shapes (None for an absent tensor) and return the output's."""
    _checks.require_rank("linear", "x", x, 1)
    _checks.require_positive("linear", "x", x)
    _checks.require_rank("linear", "w", w, 2)
    _checks.require_shape("linear", "w", w, [w[0], x[-1]], "(out, the last dimension of x)")
    y = x[:-1] + w[:1]
    _checks.require_shape("linear", "b", b, w[:1], "the first dimension of w")
    if residual is not None:
        _checks.require_shape("linear", "residual", residual, y, "the shape of the output")
    if scale is not None:
        _checks.require_shape("linear", "scale", scale, w[:1], "the first dimension of w")
    return y


def _cpu_linear() -> dict[str, ops.Custom]:
    """One primitive per combination of optional operands; graph mode wants each bprop's arguments spelled out.

    The gradients of x and of the parameters are operators of their own: graph mode drops the one that nobody uses, as for
    the patches of an image or a frozen layer.
    """
    input_gradient = ops.Custom(_library.kernel("VitLinearInputGradient"), lambda dy, w: dy[:-1] + w[1:],
                                lambda dy, w: dy, func_type="aot")
    weight_gradient = ops.Custom(_library.kernel("VitLinearWeightGradient"),
                                 lambda dy, x: (dy[-1:] + x[-1:], dy[-1:]), lambda dy, x: (dy, dy), func_type="aot")
    backward_scaled = ops.Custom(_library.kernel("VitLinearBackwardBS"), lambda dy, x, w, b, s: (x, w, b, s),
                                 lambda dy, x, w, b, s: (x, x, x, x), func_type="aot")

    def bprop(x, w, b, out, dout):
        dw, db = weight_gradient(dout, x)
        return input_gradient(dout, w), dw, db

    def bprop_residual(x, w, b, residual, out, dout):
        dw, db = weight_gradient(dout, x)
        return input_gradient(dout, w), dw, db, dout

    def bprop_scale(x, w, b, scale, out, dout):
        return backward_scaled(dout, x, w, b, scale)

    def bprop_residual_scale(x, w, b, residual, scale, out, dout):
        dx, dw, db, dscale = backward_scaled(dout, x, w, b, scale)
        return dx, dw, db, dout, dscale

    return {
        "B": ops.Custom(_library.kernel("VitLinearForwardB"),
                        lambda x, w, b: _check_linear(x, w, b, None, None),
                        lambda x, w, b: x, func_type="aot", bprop=bprop),
        "BR": ops.Custom(_library.kernel("VitLinearForwardBR"),
                         lambda x, w, b, residual: _check_linear(x, w, b, residual, None),
                         lambda x, w, b, residual: x, func_type="aot", bprop=bprop_residual),
        "BS": ops.Custom(_library.kernel("VitLinearForwardBS"),
                         lambda x, w, b, scale: _check_linear(x, w, b, None, scale),
                         lambda x, w, b, scale: x, func_type="aot", bprop=bprop_scale),
        "BRS": ops.Custom(_library.kernel("VitLinearForwardBRS"),
                          lambda x, w, b, residual, scale: _check_linear(x, w, b, residual, scale),
                          lambda x, w, b, residual, scale: x, func_type="aot", bprop=bprop_residual_scale),
    }


class LinearOp(SerialCell):
    """`linear` with its backend fixed.

    Args:
        backend: see `vit_kernels.ops.resolve_backend`.
    """

    def __init__(self, backend: str | None = None):
        super().__init__()
        self.backend = resolve_backend(backend)
        self.fused = self.backend != "reference"
        if self.backend == "cpu":
            forms = _cpu_linear()
            self.plain, self.add, self.scaled, self.scaled_add = forms["B"], forms["BR"], forms["BS"], forms["BRS"]
        elif self.fused:
            from vit_kernels.ops import _npu

            self.forward = _npu.linear(self.backend)
        self.matmul = ops.MatMul(transpose_b=True)

    def construct(self, x: Tensor, w: Tensor, b: Tensor | None = None, residual: Tensor | None = None,
                  scale: Tensor | None = None) -> Tensor:
        """x (..., K); w (N, K); b, scale (N,); residual (..., N) -> (..., N), the dtype of x."""
        if not self.fused:
            return self.reference(x, w, b, residual, scale)
        _checks.check_inputs("linear", ("x", "w"), (x.dtype, w.dtype))
        if b is not None:
            _checks.check_inputs("linear", ("b",), (b.dtype,))
        if residual is not None:
            _checks.check_inputs("linear", ("residual",), (residual.dtype,))
        if scale is not None:
            _checks.check_inputs("linear", ("scale",), (scale.dtype,))
        # A missing bias is a constant zero: it costs nothing in the epilogue and halves the number of forms.
        if b is None:
            b = ops.zeros((w.shape[0],), w.dtype)
        if self.backend != "cpu":
            return self.forward(x, w, b, residual, scale)
        x32, w32, b32 = ops.cast(x, ms.float32), ops.cast(w, ms.float32), ops.cast(b, ms.float32)
        if residual is None:
            if scale is None:
                y = self.plain(x32, w32, b32)
            else:
                y = self.scaled(x32, w32, b32, ops.cast(scale, ms.float32))
        elif scale is None:
            y = self.add(x32, w32, b32, ops.cast(residual, ms.float32))
        else:
            y = self.scaled_add(x32, w32, b32, ops.cast(residual, ms.float32), ops.cast(scale, ms.float32))
        return ops.cast(y, x.dtype)

    def reference(self, x: Tensor, w: Tensor, b: Tensor | None, residual: Tensor | None,
                  scale: Tensor | None) -> Tensor:
        """The same with stock operators."""
        y = self.matmul(ops.reshape(x, (-1, x.shape[-1])), ops.cast(w, x.dtype))
        if b is not None:
            y = y + ops.cast(b, x.dtype)
        if scale is not None:
            y = y * ops.cast(scale, x.dtype)
        y = ops.reshape(y, x.shape[:-1] + (w.shape[0],))
        if residual is not None:
            y = residual + y
        return y


@functools.lru_cache(maxsize=None)
def _linear_op(backend: str | None) -> LinearOp:
    return LinearOp(backend)


def linear(x: Tensor, w: Tensor, b: Tensor | None = None, residual: Tensor | None = None,
           scale: Tensor | None = None, backend: str | None = None) -> Tensor:
    """A linear layer with bias, LayerScale (arXiv:2103.17239) and residual sum in its epilogue.

    Args:
        x: (..., K); float32, float16 or bfloat16.
        w: (N, K), (out, in).
        b: (N,) or None.
        residual: (..., N) or None, added last.
        scale: (N,) or None, multiplies x w^T + b.
        backend: overrides the process's choice for this call, see `resolve_backend`.

    Returns:
        residual + scale * (x w^T + b): (..., N) of x's dtype.

    Raises:
        TypeError: a tensor is not floating point.
        ValueError: shapes do not fit each other, or x is empty.
    """
    return _linear_op(backend)(x, w, b, residual, scale)
