"""AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2) with bias correction, equal to torch.optim.AdamW.

MindSpore's `nn.AdamWeightDecay` leaves the bias correction out, so recipes that were made with the corrected form do not
carry over to it. On a CPU the update is one fused kernel per parameter (`vit_kernels.ops.adamw`). On the reference backend it
is one stock kernel per parameter all the same: `ops.AdamWeightDecay` computes
    w -= a * (m / (sqrt(v) + e) + d * w)
and with c1 = 1 - beta1^t, c2 = sqrt(1 - beta2^t) the corrected update
    w -= lr * ((m / c1) / (sqrt(v) / c2 + eps) + decay * w)
is that with a = lr * c2 / c1, e = eps * c2, d = decay * c1 / c2.
"""

from __future__ import annotations

import math
from typing import Sequence

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.nn.learning_rate_schedule import LearningRateSchedule

from vit_kernels.ops._backend import resolve_backend

_apply_fused = ops.MultitypeFuncGraph("fused_adamw")
_apply = ops.MultitypeFuncGraph("adamw")


@_apply_fused.register("Function", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor")
def _apply_fused_adamw(kernel, step, group, parameter, m, v, gradient):
    return kernel(parameter, m, v, ops.cast(gradient, parameter.dtype), step, group)


@_apply.register("Function", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor", "Number", "Number", "Tensor", "Tensor",
                 "Tensor", "Tensor")
def _apply_adamw(kernel, rate, eps, decay, beta1, beta2, weight_decay, lr_scale, parameter, m, v, gradient):
    return kernel(parameter, m, v, rate * lr_scale, beta1, beta2, eps, decay * weight_decay,
                  ops.cast(gradient, parameter.dtype))


class _Table(LearningRateSchedule):
    """One rate per step. MindSpore's own table has no last rate that stays: it fails at the first step beyond its end."""

    def __init__(self, rates: np.ndarray):
        super().__init__()
        self.rates, self.last = Tensor(rates, ms.float32), len(rates) - 1

    def construct(self, global_step):
        return self.rates[ops.minimum(global_step, self.last)]


class AdamW(nn.Optimizer):
    """AdamW with decoupled weight decay, bias correction, and per-group decay and learning-rate factors.

    Args:
        params: parameters, or groups {'params': [...], 'weight_decay': float, 'lr_scale': float}; both numbers are
            optional, see `vit_kernels.training.param_groups`.
        learning_rate: a number, or one per step; after the last one it stays.
        beta1, beta2: decay of the moments' running means.
        eps: added to the root of the second moment.
        weight_decay: for groups that name none.
        backend: see `vit_kernels.ops.resolve_backend`; the model's. Parameters that are not all float32 take the stock kernel.

    Raises:
        ValueError: a value out of range, or a parameter in two groups.
    """

    def __init__(self, params: Sequence, learning_rate: float | Sequence[float] = 1e-3, beta1: float = 0.9,
                 beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.05,
                 backend: str | None = None):
        if not 0 < beta1 < 1 or not 0 < beta2 < 1 or eps <= 0 or weight_decay < 0:
            raise ValueError(f"AdamW: beta1={beta1}, beta2={beta2}, eps={eps}, weight_decay={weight_decay}: expected "
                             "betas between 0 and 1, eps > 0, weight_decay >= 0")
        parameters, decays, scales = _flatten(params, weight_decay)
        super().__init__(float(learning_rate) if np.ndim(learning_rate) == 0 else _Table(np.asarray(learning_rate)),
                         parameters)
        self.fused = resolve_backend(backend) == "cpu" and all(p.dtype == ms.float32 for p in self._parameters)
        if self.fused:
            from vit_kernels.ops.adamw import adamw_update

            made: dict[tuple[float, float], Tensor] = {}  # one tensor per group, not per parameter
            for key in zip(scales, decays):
                made.setdefault(key, Tensor([*key, 1 - beta1, 1 - beta2, eps], ms.float32))
            self.update = adamw_update()
            self.groups = tuple(made[key] for key in zip(scales, decays))
        self.decays, self.scales = tuple(decays), tuple(scales)
        self.exp_avg = self._parameters.clone("exp_avg", "zeros")
        self.exp_avg_sq = self._parameters.clone("exp_avg_sq", "zeros")
        self.beta1, self.beta2 = Tensor([beta1], ms.float32), Tensor([beta2], ms.float32)
        # 1 - beta^t = -expm1(t log beta) keeps its digits when beta^t is close to 1, in the first steps.
        self.log_beta1 = Tensor([math.log(beta1)], ms.float32)
        self.log_beta2 = Tensor([math.log(beta2)], ms.float32)
        # The stock kernel computes 1 - beta2 in fp32, which for 0.999 is off by 1e-5; v is too small by that factor.
        self.root_of_v = float(np.sqrt((np.float32(1) - np.float32(beta2)) / (1 - beta2)))
        self.epsilon = eps
        self.kernel = ops.AdamWeightDecay()
        self.map = ops.HyperMap()
        self.expm1 = ops.Expm1()

    def construct(self, gradients):
        """One update; returns one value per parameter, to depend on."""
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        step = ops.cast(self.global_step, ms.float32)
        c1 = -self.expm1(step * self.log_beta1)
        c2 = ops.sqrt(-self.expm1(step * self.log_beta2))
        if self.fused:
            now = ops.concat((ops.reshape(rate, (1,)), c1, c2))
            return self.map(ops.partial(_apply_fused, self.update, now), self.groups, self._parameters, self.exp_avg,
                            self.exp_avg_sq, gradients)
        c2 = c2 * self.root_of_v
        update = ops.partial(_apply, self.kernel, rate * c2 / c1, self.epsilon * c2, c1 / c2, self.beta1, self.beta2)
        return self.map(update, self.decays, self.scales, self._parameters, self.exp_avg, self.exp_avg_sq, gradients)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that a later run needs to go on exactly: moments and the number of steps taken."""
        # Copies: asnumpy() is a view of memory that the next step changes.
        return {p.name: p.asnumpy().copy() for p in [*self.exp_avg, *self.exp_avg_sq]} | \
            {"step": self.global_step.asnumpy().copy()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """The inverse of `state`.

        Raises:
            ValueError: missing, surplus or misshapen arrays.
        """
        targets: dict[str, Parameter] = {p.name: p for p in [*self.exp_avg, *self.exp_avg_sq]}
        targets["step"] = self.global_step
        odd = sorted(set(targets) ^ set(arrays))
        odd += [n for n in targets if n in arrays and tuple(targets[n].shape) != arrays[n].shape]
        if odd:
            raise ValueError(f"optimizer state does not fit the model: {', '.join(odd[:5])}; "
                             "was it saved with another model or other frozen parameters?")
        for name, parameter in targets.items():
            parameter.set_data(Tensor(arrays[name], parameter.dtype))


def _flatten(params: Sequence, weight_decay: float) -> tuple[list[Parameter], list[float], list[float]]:
    params = list(params)
    groups = params if params and isinstance(params[0], dict) else [{"params": params}]
    parameters, decays, scales = [], [], []
    for group in groups:
        unknown = set(group) - {"params", "weight_decay", "lr_scale", "name"}
        if unknown:
            raise ValueError(f"AdamW: unknown keys {sorted(unknown)} in a parameter group; expected params, weight_decay, "
                             "lr_scale, name")
        members = list(group["params"])
        parameters += members
        decays += [float(group.get("weight_decay", weight_decay))] * len(members)
        scales += [float(group.get("lr_scale", 1.0))] * len(members)
    if len({id(p) for p in parameters}) != len(parameters):
        raise ValueError("AdamW: a parameter is in two groups")
    return parameters, decays, scales
