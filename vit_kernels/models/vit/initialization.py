"""Starting weights, as the MAE fine-tuning recipe and MindFormers draw them.

Truncated normal for linear weights and tokens, Xavier-uniform for the patch projection, a nearly zero classifier, and
the two projections that write to the residual stream of block i (from 1) divided by sqrt(2 i).
"""

from __future__ import annotations

import math
import re

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

_HEAD_STD = 2e-5
_RESIDUAL_WRITER = re.compile(r"blocks\.(\d+)\.(attn\.proj|mlp\.fc2)\.weight")


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """fp32 samples of N(0, std^2), redrawn where they lie beyond two standard deviations."""
    x = rng.standard_normal(shape, dtype=np.float32)
    outside = np.abs(x) > 2
    while outside.any():
        x[outside] = rng.standard_normal(int(outside.sum()), dtype=np.float32)
        outside = np.abs(x) > 2
    return x * np.float32(std)


def initialize(model: nn.Cell, seed: int | None = None, names: tuple[str, ...] | None = None) -> None:
    """Draw weights of a ViT in place; biases, gains and LayerScale keep the values they were made with.

    Args:
        model: a `ViTModel`.
        seed: None takes MindSpore's global seed, else 0.
        names: the parameters to draw; None for all.
    """
    rng = np.random.default_rng((ms.get_seed() or 0) if seed is None else seed)
    std = model.config.initializer_range
    for name, parameter in model.parameters_and_names():
        if names is not None and name not in names:
            continue
        shape = tuple(parameter.shape)
        if name == "patch_embed.proj.weight":
            bound = math.sqrt(6.0 / (shape[0] + math.prod(shape[1:])))
            value = rng.uniform(-bound, bound, shape).astype(np.float32)
        elif name == "head.weight":
            value = truncated_normal(rng, shape, _HEAD_STD)
        elif name in ("cls_token", "reg_token", "pos_embed") or name.endswith(".weight") and len(shape) == 2:
            value = truncated_normal(rng, shape, std)
            writer = _RESIDUAL_WRITER.fullmatch(name)
            if writer:
                value /= np.float32(math.sqrt(2.0 * (int(writer[1]) + 1)))
        else:
            continue
        parameter.set_data(Tensor(value))
