"""adamw: one optimizer step of one parameter, in place, in one pass over memory."""

from __future__ import annotations

import functools

from mindspore import ops
from mindspore.ops import signature as sig

from vit_kernels.ops import _checks, _library


def _check(w, m, v, gradient, step, group) -> list[int]:
    for name, shape in (("m", m), ("v", v), ("gradient", gradient)):
        _checks.require_shape("adamw", name, shape, w, "the shape of the parameter")
    _checks.require_shape("adamw", "step", step, [3], "rate, 1 - beta1^t, sqrt(1 - beta2^t)")
    _checks.require_shape("adamw", "group", group, [5], "rate scale, weight decay, 1 - beta1, 1 - beta2, epsilon")
    return [1]


class AdamWUpdate(ops.Custom):
    """The CPU kernel as a primitive: (w, m, v, gradient, step, group) -> (1,), to depend on.

    w, m and v are float32 Parameters and change: m += (1 - beta1) (g - m), v += (1 - beta2) (g^2 - v),
    w -= rate decay w + rate m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) (arXiv:1711.05101, algorithm 2).
    step is [rate, 1 - beta1^t, sqrt(1 - beta2^t)] and group [factor of the rate, weight decay, 1 - beta1, 1 - beta2,
    epsilon], float32.

    Raises (when called):
        ValueError: shapes that do not fit.
        RuntimeError: in a forked process.
    """

    # Written parameters are passed as they are, not as a loaded value, and the graph keeps reads and writes in order.
    __mindspore_signature__ = (
        sig.make_sig("w", sig.sig_rw.RW_WRITE, dtype=sig.sig_dtype.T),
        sig.make_sig("m", sig.sig_rw.RW_WRITE, dtype=sig.sig_dtype.T),
        sig.make_sig("v", sig.sig_rw.RW_WRITE, dtype=sig.sig_dtype.T),
        sig.make_sig("gradient", dtype=sig.sig_dtype.T),
        sig.make_sig("step", dtype=sig.sig_dtype.T),
        sig.make_sig("group", dtype=sig.sig_dtype.T),
    )

    def __init__(self):
        super().__init__(_library.kernel("VitAdamW"), _check, lambda w, m, v, gradient, step, group: step, func_type="aot")
        self.add_prim_attr("side_effect_mem", True)


@functools.lru_cache(maxsize=None)
def adamw_update() -> AdamWUpdate:
    """The one instance of the primitive."""
    return AdamWUpdate()
