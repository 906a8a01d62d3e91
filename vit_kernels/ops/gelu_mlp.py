"""gelu_mlp: fc2(GELU(fc1(x))), the transformer block's MLP, as one operator.

GELU is x * Phi(x) (Hendrycks & Gimpel 2016, arXiv:1606.08415), exact through erf by default as in timm and MAE, or by
the tanh approximation on request. In training the forward pass saves the pre-activation, the one hidden-sized tensor
that the backward pass needs; in inference the hidden activations never leave the cache.
"""

from __future__ import annotations

import functools

import mindspore as ms
from mindspore import Tensor, ops

from vit_kernels.ops import _checks, _kernels, _library
from vit_kernels.ops._backend import notice, resolve_backend
from vit_kernels.ops._serial import SerialCell

_SUFFIX = {"none": "Erf", "tanh": "Tanh"}


def _check_mlp(x: list[int], w1: list[int], b1: list[int], w2: list[int], b2: list[int]) -> None:
    _checks.require_rank("gelu_mlp", "x", x, 1)
    _checks.require_positive("gelu_mlp", "x", x)
    _checks.require_rank("gelu_mlp", "w1", w1, 2)
    _checks.require_rank("gelu_mlp", "w2", w2, 2)
    _checks.require_shape("gelu_mlp", "w1", w1, [w1[0], x[-1]], "(hidden, the last dimension of x)")
    _checks.require_shape("gelu_mlp", "b1", b1, w1[:1], "the first dimension of w1")
    _checks.require_shape("gelu_mlp", "w2", w2, [w2[0], w1[0]], "(out, the first dimension of w1)")
    _checks.require_shape("gelu_mlp", "b2", b2, w2[:1], "the first dimension of w2")


def _cpu_gelu_mlp(approximate: str) -> tuple[ops.Custom, ops.Custom]:
    """The training form, which also returns the pre-activation, and the inference form, which recomputes it if asked."""
    suffix = _SUFFIX[approximate]
    backward = ops.Custom(_library.kernel("VitGeluMlpBackward" + suffix),
                          lambda dy, x, h, w1, w2: (x, w1, [w1[0]], w2, [w2[0]]),
                          lambda dy, x, h, w1, w2: (x, x, x, x, x), func_type="aot")

    def infer_training(x, w1, b1, w2, b2):
        _check_mlp(x, w1, b1, w2, b2)
        return x[:-1] + w2[:1], x[:-1] + w1[:1]

    def infer_inference(x, w1, b1, w2, b2):
        _check_mlp(x, w1, b1, w2, b2)
        return x[:-1] + w2[:1]

    def bprop(x, w1, b1, w2, b2, out, dout):
        return backward(dout[0], x, out[1], w1, w2)

    training = ops.Custom(_library.kernel("VitGeluMlpForward" + suffix), infer_training,
                          lambda x, w1, b1, w2, b2: (x, x), func_type="aot", bprop=bprop)

    def bprop_recompute(x, w1, b1, w2, b2, out, dout):
        _, h = training(x, w1, b1, w2, b2)
        return backward(dout, x, h, w1, w2)

    inference = ops.Custom(_library.kernel("VitGeluMlpInference" + suffix), infer_inference,
                           lambda x, w1, b1, w2, b2: x, func_type="aot", bprop=bprop_recompute)
    return training, inference


@ops.constexpr
def _covered(x: tuple, w1: tuple, w2: tuple, backend: str) -> bool:
    """Whether the fused kernels take these widths; says so once when they do not."""
    if backend == "cpu" or len(w1) != 2 or len(w2) != 2:  # wrong ranks are refused with the other shapes
        return True
    odd = [width for width in (x[-1], w1[0], w2[0]) if width % _kernels.MLP_UNIT]
    if not odd:
        return True
    notice("gelu_mlp", f"width {odd[0]} is no multiple of {_kernels.MLP_UNIT}, which the Ascend C kernels want")
    return False


class GeluMlpOp(SerialCell):
    """`gelu_mlp` with its GELU form and backend fixed.

    In training mode (`set_train`) the pre-activation is saved for the backward pass. In inference mode it is not, and a
    gradient, if one is asked for all the same, recomputes it.

    Args:
        approximate: 'none' for the exact erf form, 'tanh' for the approximation.
        backend: see `vit_kernels.ops.resolve_backend`.
    """

    def __init__(self, approximate: str = "none", backend: str | None = None):
        super().__init__()
        if approximate not in _SUFFIX:
            raise ValueError(f"gelu_mlp: approximate={approximate!r}, expected 'none' (exact, erf) or 'tanh'")
        self.approximate = approximate
        self.backend = resolve_backend(backend)
        self.fused = self.backend != "reference"
        if self.backend == "cpu":
            self.training_forward, self.inference_forward = _cpu_gelu_mlp(approximate)
        elif self.fused:
            from vit_kernels.ops import _npu

            self.forward = _npu.gelu_mlp(self.backend, approximate)
        self.matmul = ops.MatMul(transpose_b=True)

    def construct(self, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        """x (..., C); w1 (F, C); b1 (F,); w2 (O, F); b2 (O,) -> (..., O), the dtype of x."""
        if not (self.fused and _covered(x.shape, w1.shape, w2.shape, self.backend)):
            return self.reference(x, w1, b1, w2, b2)
        _checks.check_inputs("gelu_mlp", ("x", "w1", "b1", "w2", "b2"),
                             (x.dtype, w1.dtype, b1.dtype, w2.dtype, b2.dtype))
        if self.backend != "cpu":
            return self.forward(x, w1, b1, w2, b2)
        args = (ops.cast(x, ms.float32), ops.cast(w1, ms.float32), ops.cast(b1, ms.float32),
                ops.cast(w2, ms.float32), ops.cast(b2, ms.float32))
        if self.training:
            y, _ = self.training_forward(*args)
        else:
            y = self.inference_forward(*args)
        return ops.cast(y, x.dtype)

    def reference(self, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        """The same with stock operators."""
        rows = ops.reshape(x, (-1, x.shape[-1]))
        hidden = self.matmul(rows, ops.cast(w1, x.dtype)) + ops.cast(b1, x.dtype)
        hidden = ops.gelu(hidden, approximate=self.approximate)
        y = self.matmul(hidden, ops.cast(w2, x.dtype)) + ops.cast(b2, x.dtype)
        return ops.reshape(y, x.shape[:-1] + (w2.shape[0],))


@functools.lru_cache(maxsize=None)
def _gelu_mlp_op(approximate: str, training: bool, backend: str | None) -> GeluMlpOp:
    return GeluMlpOp(approximate, backend).set_train(training)


def gelu_mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, approximate: str = "none",
             save_for_backward: bool = True, backend: str | None = None) -> Tensor:
    """Two linear layers with a GELU between them (arXiv:1606.08415).

    Args:
        x: (..., C); float32, float16 or bfloat16.
        w1: (F, C) weight of the first layer, (out, in).
        b1: (F,)
        w2: (O, F)
        b2: (O,)
        approximate: 'none' for x * Phi(x) by erf, 'tanh' for 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
        save_for_backward: keep the pre-activation for the backward pass; without it a gradient recomputes it.
        backend: overrides the process's choice for this call, see `resolve_backend`.

    Returns:
        (..., O) of x's dtype.

    Raises:
        TypeError: a tensor is not floating point.
        ValueError: shapes do not fit each other, x is empty, or approximate is unknown.
    """
    return _gelu_mlp_op(approximate, save_for_backward, backend)(x, w1, b1, w2, b2)
