"""One small case per operator, for the tests that every operator has to pass alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

from tests.ops import _check
from vit_kernels import ops


@dataclass(frozen=True)
class Case:
    """An operator, its independent definition and arguments.

    Attributes:
        make: backend -> cell.
        reference: the same on torch tensors.
        shapes: of the arguments; the first `activations` of them are activations, the others parameters.
        activations: how many.
    """

    make: Callable
    reference: Callable
    shapes: tuple[tuple[int, ...], ...]
    activations: int = 1

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        """float64 arguments; weight matrices are scaled so that sums stay of order one."""
        rng = np.random.default_rng(seed)
        arrays = [rng.standard_normal(shape) for shape in self.shapes]
        return [a / a.shape[-1] ** 0.5 if i >= self.activations and a.ndim > 1 else a for i, a in enumerate(arrays)]


def _add_layer_norm(x, residual, gamma, beta):
    return x + residual, _check.layer_norm(x + residual, gamma, beta, 1e-6)


CASES = {
    "layer_norm": Case(lambda backend: ops.LayerNormOp(1e-6, backend),
                       lambda x, gamma, beta: _check.layer_norm(x, gamma, beta, 1e-6), ((3, 7, 37), (37,), (37,))),
    "add_layer_norm": Case(lambda backend: ops.AddLayerNormOp(1e-6, backend), _add_layer_norm,
                           ((3, 7, 37), (3, 7, 37), (37,), (37,)), 2),
    "attention": Case(lambda backend: ops.AttentionOp(20, None, backend),
                      lambda qkv: _check.attention(qkv, 20 ** -0.5), ((2, 19, 3, 2, 20),)),
    "gelu_mlp": Case(lambda backend: ops.GeluMlpOp("none", backend).set_train(True),
                     lambda *a: _check.gelu_mlp(*a, "none"), ((2, 13, 24), (65, 24), (65,), (10, 65), (10,))),
    "gelu_mlp_inference": Case(lambda backend: ops.GeluMlpOp("none", backend).set_train(False),
                               lambda *a: _check.gelu_mlp(*a, "none"), ((2, 13, 24), (65, 24), (65,), (10, 65), (10,))),
    "gelu_mlp_tanh": Case(lambda backend: ops.GeluMlpOp("tanh", backend).set_train(True),
                          lambda *a: _check.gelu_mlp(*a, "tanh"), ((2, 13, 24), (65, 24), (65,), (10, 65), (10,))),
    "linear": Case(lambda backend: ops.LinearOp(backend), _check.linear, ((2, 13, 24), (33, 24), (33,))),
    "linear_residual_scale": Case(lambda backend: ops.LinearOp(backend),
                                  lambda x, w, b, residual, scale: _check.linear(x, w, b, residual, scale),
                                  ((2, 13, 24), (33, 24), (33,), (2, 13, 33), (33,))),
}
