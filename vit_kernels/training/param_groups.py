"""Which parameters decay, and how much slower the early layers learn.

Weight decay is for matrices only: biases, gains, class token, registers and position embeddings have none (MAE, timm).
Layer-wise learning-rate decay (arXiv:2003.10555; BEiT, MAE) multiplies the rate of layer i by decay^(depth + 1 - i):
the embeddings are layer 0, block i is layer i + 1, what follows the blocks is layer depth + 1.
"""

from __future__ import annotations

import re

from mindspore import nn

_EMBEDDINGS = ("cls_token", "reg_token", "mask_token", "pos_embed")
_BLOCK = re.compile(r"(?:^|\.)blocks\.(\d+)\.")


def has_weight_decay(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a parameter with timm's name decays."""
    return len(shape) > 1 and name.rsplit(".", 1)[-1] not in _EMBEDDINGS


def layer_of(name: str, depth: int) -> int:
    """The layer that a parameter with timm's name belongs to: 0 .. depth + 1."""
    block = _BLOCK.search(name)
    if block:
        return int(block[1]) + 1
    if "patch_embed" in name.split(".") or name.rsplit(".", 1)[-1] in _EMBEDDINGS:
        return 0
    return depth + 1


def parameter_groups(model: nn.Cell, weight_decay: float, layer_decay: float = 1.0, depth: int | None = None) -> list[dict]:
    """Groups for `AdamW`.

    Args:
        model: its trainable parameters carry timm's names.
        weight_decay: of those that decay.
        layer_decay: factor per layer, counted from the head; 1 for none.
        depth: number of blocks; default: what the names show.

    Returns:
        {'name', 'params', 'weight_decay', 'lr_scale'} by ascending layer, empty groups left out.

    Raises:
        ValueError: layer_decay is not in (0, 1].
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay={layer_decay}, expected 0 < layer_decay <= 1 (1 for none)")
    parameters = model.trainable_params()
    if depth is None:
        depth = 1 + max((int(m[1]) for m in (_BLOCK.search(p.name) for p in parameters) if m), default=-1)
    groups: dict[tuple[int, bool], dict] = {}
    for parameter in parameters:
        layer = layer_of(parameter.name, depth) if layer_decay < 1 else 0
        decays = has_weight_decay(parameter.name, tuple(parameter.shape))
        group = groups.setdefault((layer, not decays), {
            "name": f"layer_{layer}_{'decay' if decays else 'no_decay'}" if layer_decay < 1
            else ("decay" if decays else "no_decay"),
            "params": [],
            "weight_decay": weight_decay if decays else 0.0,
            "lr_scale": layer_decay ** (depth + 1 - layer) if layer_decay < 1 else 1.0,
        })
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]
