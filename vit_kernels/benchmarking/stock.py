"""The Vision Transformer as a MindSpore user writes it, from MindSpore's own layers: the peer that fused kernels replace.

nn.Conv2d for the patches, nn.Dense, nn.LayerNorm, nn.GELU and batched matrix products, as in the ViTs of MindSpore's model
collections. (The package's own reference backend is faster on a CPU, where nn.Conv2d takes longer than all the rest:
it writes the patch projection as a matrix product. Both can be asked for.)
"""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from vit_kernels.models import ViTConfig


class _Attention(nn.Cell):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Dense(width, 3 * width), nn.Dense(width, width)
        self.scores, self.weigh, self.softmax = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul(), nn.Softmax(-1)

    def construct(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = ops.reshape(self.qkv(x), (batch, tokens, 3, self.heads, width // self.heads))
        q, k, v = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 0)
        mixed = self.weigh(self.softmax(self.scores(q * self.scale, k)), v)
        return self.proj(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (batch, tokens, width)))


class _Mlp(nn.Cell):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Dense(width, hidden), nn.GELU(approximate=False), nn.Dense(hidden, width)

    def construct(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class _Block(nn.Cell):
    def __init__(self, config: ViTConfig):
        super().__init__()
        width, eps = config.embed_dim, config.layer_norm_eps
        self.norm1, self.attn = nn.LayerNorm((width,), epsilon=eps), _Attention(width, config.num_heads)
        self.norm2, self.mlp = nn.LayerNorm((width,), epsilon=eps), _Mlp(width, config.intermediate_size)

    def construct(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _PatchEmbed(nn.Cell):
    def __init__(self, config: ViTConfig):
        super().__init__()
        self.proj = nn.Conv2d(config.in_chans, config.embed_dim, config.patch_size, config.patch_size, pad_mode="valid",
                              has_bias=True)

    def construct(self, images: Tensor) -> Tensor:
        x = self.proj(images)
        return ops.transpose(ops.reshape(x, (x.shape[0], x.shape[1], -1)), (0, 2, 1))


class StockViT(nn.Cell):
    """`ViTForImageClassification` of a config without dropping, registers or LayerScale, mean pooling.

    Args:
        config: the architecture.
        weights: timm's names -> fp32 arrays.
    """

    def __init__(self, config: ViTConfig, weights: dict[str, np.ndarray]):
        super().__init__()
        width = config.embed_dim
        self.patch_embed = _PatchEmbed(config)
        self.cls_token = Parameter(Tensor(weights["cls_token"]), "cls_token")
        self.pos_embed = Parameter(Tensor(weights["pos_embed"]), "pos_embed")
        self.blocks = nn.SequentialCell([_Block(config) for _ in range(config.depth)])
        self.fc_norm = nn.LayerNorm((width,), epsilon=config.layer_norm_eps)
        self.head = nn.Dense(width, config.num_classes)
        for name, parameter in self.parameters_and_names():
            name = name.replace("gamma", "weight").replace("beta", "bias")  # LayerNorm's, as MindSpore calls them
            parameter.set_data(Tensor(weights[name]))

    def construct(self, images: Tensor) -> Tensor:
        """images (B, C, H, W) -> logits (B, num_classes)."""
        x = self.patch_embed(images)
        cls_token = ops.broadcast_to(self.cls_token, (x.shape[0], 1, x.shape[2]))
        x = self.blocks(ops.concat((cls_token, x), 1) + self.pos_embed)
        return self.head(self.fc_norm(ops.mean(x[:, 1:], 1)))
