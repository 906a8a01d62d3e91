"""The operators on Ascend C kernels, for the ascend and twin backends: shapes, gradients, and what is saved for them.

One cell per operator, with the calling form of its public counterpart, which checks the arguments.
"""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from vit_kernels.ops import _checks
from vit_kernels.ops._ascend import Operator, half, notice_half
from vit_kernels.ops.gelu_mlp import _check_mlp
from vit_kernels.ops.layer_norm import _check_norm, _rows
from vit_kernels.ops.linear import _check_linear


def _no_gradient(attribute: Any) -> Any:
    """What a bprop returns for an attribute."""
    return ops.zeros_like(attribute) if isinstance(attribute, Tensor) else attribute


class _Attention(nn.Cell):
    """qkv -> out."""

    def __init__(self, backend: str, scale: float):
        super().__init__()
        forward = Operator(backend, "vit_attention", scale=scale)
        # Atomic sums of dQ would depend on the order in which cores finish; training should repeat itself.
        backward = Operator(backend, "vit_attention_grad", scale=scale, deterministic=True)
        grad, extra = backward.primitive(lambda dout, qkv, *_: qkv, lambda dout, qkv, *_: qkv), backward.extra

        def shapes(qkv):
            batch, tokens, _, heads, head_dim = qkv
            return [batch, tokens, heads * head_dim], [batch, heads, tokens], [batch, heads, tokens]

        def bprop(qkv, attribute, out, dout):
            return grad(dout[0], qkv, out[0], out[1], out[2], *extra), _no_gradient(attribute)

        self.forward = forward.primitive(shapes, lambda qkv: (qkv, ms.float32, ms.float32), bprop)
        self.extra = forward.extra

    def construct(self, qkv: Tensor) -> Tensor:
        notice_half("attention", qkv.dtype)
        out, _, _ = self.forward(half(qkv), *self.extra)
        return ops.cast(out, qkv.dtype)


def attention(backend: str, scale: float) -> nn.Cell:
    """See `vit_kernels.ops.attention.AttentionOp`, which checks the arguments."""
    return _Attention(backend, scale)


class _LayerNorm(nn.Cell):
    """x, gamma, beta -> y. Takes float32 as it is."""

    def __init__(self, backend: str, eps: float):
        super().__init__()
        forward, backward = Operator(backend, "vit_layer_norm", eps=eps), Operator(backend, "vit_layer_norm_grad")
        grad, extra = backward.primitive(lambda dy, x, gamma, mean, rstd: (x, gamma, gamma),
                                         lambda dy, x, gamma, mean, rstd: (x, ms.float32, ms.float32)), backward.extra

        def bprop(x, gamma, beta, attribute, out, dout):
            dx, dgamma, dbeta = grad(dout[0], x, gamma, out[1], out[2], *extra)
            return dx, dgamma, dbeta, _no_gradient(attribute)

        def shapes(x, gamma, beta):
            _check_norm("layer_norm", x, gamma, beta)
            return x, _rows(x), _rows(x)

        self.forward = forward.primitive(shapes, lambda x, gamma, beta: (x, ms.float32, ms.float32), bprop)
        self.extra = forward.extra

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        y, _, _ = self.forward(x, ops.cast(gamma, ms.float32), ops.cast(beta, ms.float32), *self.extra)
        return y


class _AddLayerNorm(nn.Cell):
    """x, residual, gamma, beta -> sum, y. Takes float32 as it is."""

    def __init__(self, backend: str, eps: float):
        super().__init__()
        forward = Operator(backend, "vit_add_layer_norm", eps=eps)
        backward = Operator(backend, "vit_add_layer_norm_grad")
        grad, extra = backward.primitive(lambda dsum, dy, total, gamma, mean, rstd: (total, gamma, gamma),
                                         lambda dsum, dy, total, gamma, mean, rstd: (total, ms.float32, ms.float32)), \
            backward.extra

        def bprop(x, residual, gamma, beta, attribute, out, dout):
            dx, dgamma, dbeta = grad(dout[0], dout[1], out[0], gamma, out[2], out[3], *extra)
            return dx, dx, dgamma, dbeta, _no_gradient(attribute)

        def shapes(x, residual, gamma, beta):
            _check_norm("add_layer_norm", x, gamma, beta)
            _checks.require_shape("add_layer_norm", "residual", residual, x, "the shape of x")
            return x, x, _rows(x), _rows(x)

        self.forward = forward.primitive(shapes, lambda x, residual, gamma, beta: (x, x, ms.float32, ms.float32), bprop)
        self.extra = forward.extra

    def construct(self, x: Tensor, residual: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        total, y, _, _ = self.forward(x, ops.cast(residual, x.dtype), ops.cast(gamma, ms.float32),
                                      ops.cast(beta, ms.float32), *self.extra)
        return total, y


class _GeluMlp(nn.Cell):
    """x, w1, b1, w2, b2 -> y; saves the pre-activation in training mode and recomputes it otherwise."""

    def __init__(self, backend: str, approximate: str):
        super().__init__()
        form = 1 if approximate == "tanh" else 0
        training = Operator(backend, "vit_gelu_mlp", approximate=form, save=True)
        inference = Operator(backend, "vit_gelu_mlp", approximate=form, save=False)
        backward = Operator(backend, "vit_gelu_mlp_grad", approximate=form)
        extra = backward.extra
        grad = backward.primitive(lambda dy, x, h, w1, w2: (x, w1, [w1[0]], w2, [w2[0]]),
                                  lambda dy, x, h, w1, w2: (x, ms.float32, ms.float32, ms.float32, ms.float32))

        def shapes(x, w1, b1, w2, b2):
            _check_mlp(x, w1, b1, w2, b2)
            return x[:-1] + w2[:1], x[:-1] + w1[:1]

        def shapes_without_h(x, w1, b1, w2, b2):
            _check_mlp(x, w1, b1, w2, b2)
            return x[:-1] + w2[:1], [1]

        def dtypes(x, w1, b1, w2, b2):
            return x, x

        if len(training.extra) == 1:
            def bprop(x, w1, b1, w2, b2, call, out, dout):
                return grad(dout[0], x, out[1], w1, w2, *extra) + (_no_gradient(call),)

            def bprop_recompute(x, w1, b1, w2, b2, call, out, dout):
                _, h = saving(x, w1, b1, w2, b2, *saving_extra)
                return grad(dout[0], x, h, w1, w2, *extra) + (_no_gradient(call),)
        else:
            def bprop(x, w1, b1, w2, b2, form, save, out, dout):
                return grad(dout[0], x, out[1], w1, w2, *extra) + (form, save)

            def bprop_recompute(x, w1, b1, w2, b2, form, save, out, dout):
                _, h = saving(x, w1, b1, w2, b2, *saving_extra)
                return grad(dout[0], x, h, w1, w2, *extra) + (form, save)

        saving, saving_extra = training.primitive(shapes, dtypes, bprop), training.extra
        self.saving, self.saving_extra = saving, saving_extra
        self.inference = inference.primitive(shapes_without_h, dtypes, bprop_recompute)
        self.inference_extra = inference.extra

    def construct(self, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        notice_half("gelu_mlp", x.dtype)
        narrow = half(x)
        args = (narrow, ops.cast(w1, narrow.dtype), ops.cast(b1, ms.float32), ops.cast(w2, narrow.dtype), ops.cast(b2, ms.float32))
        if self.training:
            y, _ = self.saving(*args, *self.saving_extra)
        else:
            y, _ = self.inference(*args, *self.inference_extra)
        return ops.cast(y, x.dtype)


class _Linear(nn.Cell):
    """x, w, b [, residual] [, scale] -> y. An operand that is not given travels as a tensor of one element."""

    def __init__(self, backend: str):
        super().__init__()
        forward, backward = Operator(backend, "vit_linear"), Operator(backend, "vit_linear_grad")
        extra = backward.extra
        grad = backward.primitive(lambda dy, x, w, b, scale: (x, w, b, scale),
                                  lambda dy, x, w, b, scale: (x, ms.float32, ms.float32, ms.float32))

        def shapes(x, w, b, residual, scale):
            return _check_linear(x, w, b, None if residual == [1] and w[0] > 1 else residual,
                                 None if scale == [1] and w[0] > 1 else scale)

        def gradients(x, w, b, residual, scale, dout):
            dx, dw, db, dscale = grad(dout, x, w, b, scale, *extra)
            if residual.shape == dout.shape:
                return dx, dw, db, dout, dscale
            return dx, dw, db, ops.zeros_like(residual), dscale

        if forward.extra:
            def bprop(x, w, b, residual, scale, call, out, dout):
                return gradients(x, w, b, residual, scale, dout) + (_no_gradient(call),)
        else:
            def bprop(x, w, b, residual, scale, out, dout):
                return gradients(x, w, b, residual, scale, dout)

        self.forward = forward.primitive(shapes, lambda x, w, b, residual, scale: x, bprop)
        self.extra = forward.extra
        self.absent = Tensor([0], ms.float32)

    def construct(self, x: Tensor, w: Tensor, b: Tensor, residual: Tensor | None = None,
                  scale: Tensor | None = None) -> Tensor:
        notice_half("linear", x.dtype)
        narrow = half(x)
        if w.shape[0] == 1:  # a tensor of one element could be an operand: spell the absent ones out
            residual = ops.zeros(x.shape[:-1] + (1,), narrow.dtype) if residual is None else residual
            scale = ops.ones((1,), ms.float32) if scale is None else scale
        residual = ops.cast(self.absent if residual is None else residual, narrow.dtype)
        scale = ops.cast(self.absent if scale is None else scale, ms.float32)
        y = self.forward(narrow, ops.cast(w, narrow.dtype), ops.cast(b, ms.float32), residual, scale, *self.extra)
        return ops.cast(y, x.dtype)


def layer_norm(backend: str, eps: float) -> nn.Cell:
    """See `vit_kernels.ops.layer_norm.LayerNormOp`."""
    return _LayerNorm(backend, eps)


def add_layer_norm(backend: str, eps: float) -> nn.Cell:
    """See `vit_kernels.ops.layer_norm.AddLayerNormOp`."""
    return _AddLayerNorm(backend, eps)


def gelu_mlp(backend: str, approximate: str) -> nn.Cell:
    """See `vit_kernels.ops.gelu_mlp.GeluMlpOp`."""
    return _GeluMlp(backend, approximate)


def linear(backend: str) -> nn.Cell:
    """See `vit_kernels.ops.linear.LinearOp`."""
    return _Linear(backend)
