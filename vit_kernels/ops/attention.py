"""attention: softmax(Q K^T * scale) V per head, without ever storing the N x N matrix.

Vaswani et al. 2017 (arXiv:1706.03762, section 3.2), evaluated tile by tile with a running maximum as in FlashAttention
(Dao et al. 2022, arXiv:2205.14135). The forward pass saves one log-sum-exp per row; the backward pass recomputes the
probabilities from it. Q, K and V come as the one tensor that a qkv linear layer produces.
"""

from __future__ import annotations

import functools
import math

import mindspore as ms
from mindspore import Tensor, ops

from vit_kernels.ops import _checks, _kernels, _library
from vit_kernels.ops._backend import notice, resolve_backend
from vit_kernels.ops._serial import SerialCell

_MAX_HEAD_DIM = 128  # of the fused kernels; their register tiles are laid out for it


def _check_qkv(qkv: list[int]) -> None:
    if len(qkv) != 5 or qkv[2] != 3:
        raise ValueError(f"attention: qkv has shape {tuple(qkv)}, expected (batch, tokens, 3, heads, head_dim); "
                         "reshape the qkv projection's output to it")
    _checks.require_positive("attention", "qkv", qkv)


def _cpu_attention() -> ops.Custom:
    backward = ops.Custom(_library.kernel("VitAttentionBackward"),
                          lambda dout, qkv, out, lse, scale: qkv,
                          lambda dout, qkv, out, lse, scale: qkv, func_type="aot")

    def infer(qkv, scale):
        _check_qkv(qkv)
        batch, tokens, _, heads, head_dim = qkv
        return [batch, tokens, heads * head_dim], [batch, heads, tokens]

    def bprop(qkv, scale, out, dout):
        return backward(dout[0], qkv, out[0], out[1], scale), ops.zeros_like(scale)

    return ops.Custom(_library.kernel("VitAttentionForward"), infer, lambda qkv, scale: (qkv, qkv),
                      func_type="aot", bprop=bprop)


@ops.constexpr
def _covered(shape: tuple, backend: str) -> bool:
    """Whether the fused kernels take this shape; says so once when they do not."""
    _check_qkv(list(shape))
    tokens, head_dim = shape[1], shape[-1]
    if backend == "cpu":
        if head_dim <= _MAX_HEAD_DIM:
            return True
        notice("attention", f"head_dim {head_dim} is over the fused kernels' limit of {_MAX_HEAD_DIM}")
    elif head_dim not in _kernels.HEAD_DIMS:
        notice("attention", f"head_dim {head_dim} is none of the Ascend C kernels' {_kernels.HEAD_DIMS}")
    elif tokens > _kernels.MAX_TOKENS:
        notice("attention", f"{tokens} tokens are over the Ascend C kernels' limit of {_kernels.MAX_TOKENS}")
    else:
        return True
    return False


class AttentionOp(SerialCell):
    """`attention` with its scale and backend fixed.

    Args:
        head_dim: width of a head.
        scale: factor on Q K^T; None for 1/sqrt(head_dim).
        backend: see `vit_kernels.ops.resolve_backend`.
    """

    def __init__(self, head_dim: int, scale: float | None = None, backend: str | None = None):
        super().__init__()
        self.backend = resolve_backend(backend)
        self.fused = self.backend != "reference"
        self.head_dim = head_dim
        self.scale = float(1.0 / math.sqrt(head_dim) if scale is None else scale)
        if self.backend == "cpu":
            self.scale_tensor = Tensor([self.scale], ms.float32)
            self.forward = _cpu_attention()
        elif self.fused:
            from vit_kernels.ops import _npu

            self.forward = _npu.attention(self.backend, self.scale)
        self.scores = ops.BatchMatMul(transpose_b=True)
        self.weigh = ops.BatchMatMul()
        self.softmax = ops.Softmax(-1)

    def construct(self, qkv: Tensor) -> Tensor:
        """qkv (batch, tokens, 3, heads, head_dim), or packed (batch, tokens, 3 * width) -> (batch, tokens, width) like qkv."""
        if len(qkv.shape) == 3:
            batch, tokens, packed = qkv.shape
            qkv = ops.reshape(qkv, (batch, tokens, 3, packed // (3 * self.head_dim), self.head_dim))
        if not (self.fused and _covered(qkv.shape, self.backend)):
            return self.reference(qkv)
        _checks.check_inputs("attention", ("qkv",), (qkv.dtype,))
        if self.backend != "cpu":
            return self.forward(qkv)
        out, _ = self.forward(ops.cast(qkv, ms.float32), self.scale_tensor)
        return ops.cast(out, qkv.dtype)

    def reference(self, qkv: Tensor) -> Tensor:
        """The same with stock operators: what "right" means, and what an export writes."""
        batch, tokens, _, heads, head_dim = qkv.shape
        q, k, v = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 0)
        weights = self.softmax(self.scores(q * self.scale, k))
        return ops.reshape(ops.transpose(self.weigh(weights, v), (0, 2, 1, 3)), (batch, tokens, heads * head_dim))


@functools.lru_cache(maxsize=None)
def _attention_op(head_dim: int, scale: float | None, backend: str | None) -> AttentionOp:
    return AttentionOp(head_dim, scale, backend)


def attention(qkv: Tensor, num_heads: int, scale: float | None = None, backend: str | None = None) -> Tensor:
    """Multi-head self-attention on a packed qkv tensor (arXiv:1706.03762; tiling after arXiv:2205.14135).

    Args:
        qkv: (batch, tokens, 3, heads, head_dim), or the qkv projection's own (batch, tokens, 3 * width);
            float32, float16 or bfloat16.
        num_heads: number of heads; must divide the width.
        scale: factor on Q K^T; None for 1/sqrt(head_dim).
        backend: overrides the process's choice for this call, see `resolve_backend`.

    Returns:
        (batch, tokens, heads * head_dim) of qkv's dtype.

    Raises:
        TypeError: qkv is not floating point.
        ValueError: qkv has another shape, num_heads does not fit it, or it is empty.
    """
    shape = qkv.shape
    head_dim = shape[-1]
    if len(shape) == 3:
        if head_dim % (3 * num_heads) != 0:
            raise ValueError(f"attention: num_heads={num_heads} does not divide qkv's width {head_dim} / 3")
        head_dim = head_dim // (3 * num_heads)
    elif len(shape) == 5 and shape[3] != num_heads:
        raise ValueError(f"attention: num_heads={num_heads}, but qkv of shape {shape} has {shape[3]} heads")
    return _attention_op(head_dim, scale, backend)(qkv)
