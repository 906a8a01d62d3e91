"""The same Vision Transformer in plain PyTorch, with its fused attention: the peer from the other framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:  # importing it would load MindSpore into torch's process
    from vit_kernels.models import ViTConfig


class _Block(nn.Module):
    def __init__(self, config: ViTConfig):
        super().__init__()
        width, eps = config.embed_dim, config.layer_norm_eps
        self.heads = config.num_heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, config.intermediate_size),
                                  "fc2": nn.Linear(config.intermediate_size, width)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.attn["qkv"](self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.attn["proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class TorchViT(nn.Module):
    """`ViTForImageClassification` of a config without dropping, registers or LayerScale, mean pooling.

    Args:
        config: the architecture.
        weights: timm's names -> fp32 arrays.
    """

    def __init__(self, config: ViTConfig, weights: dict[str, np.ndarray]):
        super().__init__()
        width = config.embed_dim
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(config.in_chans, width, config.patch_size, config.patch_size)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.num_patches, width))
        self.blocks = nn.Sequential(*[_Block(config) for _ in range(config.depth)])
        self.fc_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.head = nn.Linear(width, config.num_classes)
        self.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, C, H, W) -> logits (B, num_classes)."""
        x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.fc_norm(self.blocks(x)[:, 1:].mean(1)))
