"""Size and cost of a configuration, from arithmetic alone."""

from __future__ import annotations

from vit_kernels.models.vit.config import ViTConfig


def count_parameters(config: ViTConfig) -> int:
    """Number of parameters of `ViTForImageClassification(config)`."""
    width, hidden = config.embed_dim, config.intermediate_size
    embedding = (config.patch_size ** 2 * config.in_chans + 1) * width
    tokens = (1 + config.reg_tokens) * width + (1 + config.num_patches) * width
    qkv = 3 * width * (width + bool(config.qkv_bias))
    block = 4 * width + qkv + width * (width + 1) + hidden * (width + 1) + width * (hidden + 1)
    block += 2 * width if config.init_values is not None else 0
    head = (width + 1) * config.num_classes
    return embedding + tokens + config.depth * block + 2 * width + head


def count_macs(config: ViTConfig) -> int:
    """Multiply-accumulates of one image's forward pass: every matrix product, nothing else."""
    width, tokens = config.embed_dim, config.num_tokens
    embedding = config.num_patches * config.patch_size ** 2 * config.in_chans * width
    linear = tokens * width * (4 * width + 2 * config.intermediate_size)
    attention = 2 * tokens * tokens * width
    return embedding + config.depth * (linear + attention) + width * config.num_classes
