"""The layers of a Vision Transformer: parameters under timm's names, arithmetic in `vit_kernels.ops`.

A block hands its MLP output to the next block un-added ("pending"), because the sum with the residual stream and the
normalisation that follows it are one fused pass over memory.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from vit_kernels.models.vit.config import ViTConfig
from vit_kernels.ops import AddLayerNormOp, AttentionOp, GeluMlpOp, LayerNormOp, LinearOp


def _parameter(*shape: int, value: float = 0.0) -> Parameter:
    """An fp32 parameter; `ViTModel` draws the real starting values once all names are known."""
    return Parameter(Tensor(np.full(shape, value, np.float32)))


class RandomMask(nn.Cell):
    """Keep-or-drop mask scaled by 1 / keep probability, from a generator of its own.

    MindSpore's CPU Dropout does not repeat itself from run to run with the same seed; its uniform generator does.

    Args:
        rate: probability of dropping.
        stream: tells this mask's random stream from the model's other ones.
    """

    def __init__(self, rate: float, stream: int):
        super().__init__()
        self.keep = 1.0 - rate
        self.uniform = ops.UniformReal(seed=(ms.get_seed() or 0) + 1, seed2=stream + 1)

    def construct(self, shape: tuple) -> Tensor:
        return ops.cast(self.uniform(shape) < self.keep, ms.float32) / self.keep


class Dropout(nn.Cell):
    """Element-wise dropout in training; the identity otherwise."""

    def __init__(self, rate: float, stream: int):
        super().__init__()
        self.active = rate > 0
        self.mask = RandomMask(rate, stream) if self.active else None

    def construct(self, x: Tensor) -> Tensor:
        if self.active and self.training:
            return x * ops.cast(self.mask(x.shape), x.dtype)
        return x


class DropPath(nn.Cell):
    """Stochastic depth (Huang et al. 2016, arXiv:1603.09382): drops a branch per sample, in training."""

    def __init__(self, rate: float, stream: int):
        super().__init__()
        self.active = rate > 0
        self.mask = RandomMask(rate, stream) if self.active else None

    def construct(self, x: Tensor) -> Tensor:
        if self.active and self.training:
            return x * ops.cast(self.mask((x.shape[0], 1, 1)), x.dtype)
        return x


class Linear(nn.Cell):
    """A linear layer, weight (out, in).

    Args:
        in_features: width of the input.
        out_features: width of the output.
        bias: whether it has one.
        backend: see `vit_kernels.ops.resolve_backend`.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, backend: str | None = None):
        super().__init__()
        self.weight = _parameter(out_features, in_features)
        self.bias = _parameter(out_features) if bias else None
        self.linear = LinearOp(backend)

    def construct(self, x: Tensor, residual: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        return self.linear(x, self.weight, self.bias, residual, scale)


class LayerNorm(nn.Cell):
    """Layer normalisation that can add the pending branch to the residual stream in the same pass."""

    def __init__(self, width: int, eps: float, backend: str | None = None):
        super().__init__()
        self.weight = _parameter(width, value=1.0)
        self.bias = _parameter(width)
        self.layer_norm = LayerNormOp(eps, backend)
        self.add_layer_norm = AddLayerNormOp(eps, backend)

    def construct(self, x: Tensor) -> Tensor:
        return self.layer_norm(x, self.weight, self.bias)

    def add(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(x + residual, its normalisation)."""
        return self.add_layer_norm(x, residual, self.weight, self.bias)


class LayerScale(nn.Cell):
    """The per-channel gain of a branch (arXiv:2103.17239); a home for the parameter, applied by its neighbours."""

    def __init__(self, width: int, value: float):
        super().__init__()
        self.gamma = _parameter(width, value=value)

    def construct(self, x: Tensor) -> Tensor:
        return x * ops.cast(self.gamma, x.dtype)


class PatchEmbed(nn.Cell):
    """Cuts the image into patches and projects each: a strided convolution, written as the matrix product it is."""

    def __init__(self, config: ViTConfig, backend: str | None = None):
        super().__init__()
        self.patch_size = config.patch_size
        self.image_hw = config.image_hw
        self.in_chans = config.in_chans
        self.embed_dim = config.embed_dim
        self.proj = nn.Cell()
        self.proj.weight = _parameter(config.embed_dim, config.in_chans, config.patch_size, config.patch_size)
        self.proj.bias = _parameter(config.embed_dim)
        self.linear = LinearOp(backend)

    def construct(self, images: Tensor) -> Tensor:
        """images (B, C, H, W) -> (B, patches, embed_dim)."""
        batch, chans, height, width = images.shape
        p = self.patch_size
        rows, columns = height // p, width // p
        patches = ops.reshape(images, (batch, chans, rows, p, columns, p))
        patches = ops.transpose(patches, (0, 2, 4, 1, 3, 5))
        patches = ops.reshape(patches, (batch, rows * columns, chans * p * p))
        weight = ops.reshape(self.proj.weight, (self.embed_dim, chans * p * p))
        return self.linear(patches, weight, self.proj.bias)


class Attention(nn.Cell):
    """Multi-head self-attention with its two projections."""

    def __init__(self, config: ViTConfig, stream: int, backend: str | None = None):
        super().__init__()
        self.num_heads = config.num_heads
        self.head_dim = config.head_dim
        self.qkv = Linear(config.embed_dim, 3 * config.embed_dim, config.qkv_bias, backend)
        self.proj = Linear(config.embed_dim, config.embed_dim, True, backend)
        self.attention = AttentionOp(config.head_dim, None, backend)
        # Probabilities that a flash kernel never stores cannot be dropped out: that case runs on stock operators.
        self.drops = config.attention_dropout_rate > 0
        self.attn_drop = Dropout(config.attention_dropout_rate, stream)

    def split(self, x: Tensor) -> Tensor:
        """x (B, N, C) -> qkv (B, N, 3, heads, head_dim)."""
        return ops.reshape(self.qkv(x), (x.shape[0], x.shape[1], 3, self.num_heads, self.head_dim))

    def construct(self, x: Tensor, residual: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        qkv = self.split(x)
        if self.drops and self.training:
            mixed = self.with_dropout(qkv)
        else:
            mixed = self.attention(qkv)
        return self.proj(mixed, residual, scale)

    def with_dropout(self, qkv: Tensor) -> Tensor:
        batch, tokens, _, heads, head_dim = qkv.shape
        q, k, v = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 0)
        weights = self.attn_drop(self.attention.softmax(self.attention.scores(q * self.attention.scale, k)))
        mixed = ops.transpose(self.attention.weigh(weights, v), (0, 2, 1, 3))
        return ops.reshape(mixed, (batch, tokens, heads * head_dim))


class Mlp(nn.Cell):
    """fc2(GELU(fc1(x))); the two linear layers only hold the parameters."""

    def __init__(self, config: ViTConfig, backend: str | None = None):
        super().__init__()
        self.fc1 = nn.Cell()
        self.fc1.weight = _parameter(config.intermediate_size, config.embed_dim)
        self.fc1.bias = _parameter(config.intermediate_size)
        self.fc2 = nn.Cell()
        self.fc2.weight = _parameter(config.embed_dim, config.intermediate_size)
        self.fc2.bias = _parameter(config.embed_dim)
        self.gelu_mlp = GeluMlpOp(config.approximate, backend)

    def construct(self, x: Tensor) -> Tensor:
        return self.gelu_mlp(x, self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)


class Block(nn.Cell):
    """A pre-norm transformer block.

    Args:
        config: the model's configuration.
        index: position in the model, from 0; sets the drop-path rate.
        backend: see `vit_kernels.ops.resolve_backend`.
    """

    def __init__(self, config: ViTConfig, index: int, backend: str | None = None):
        super().__init__()
        width, eps = config.embed_dim, config.layer_norm_eps
        drop_path = config.drop_path_rate * index / max(config.depth - 1, 1)
        self.norm1 = LayerNorm(width, eps, backend)
        self.attn = Attention(config, 8 * index + 8, backend)
        self.norm2 = LayerNorm(width, eps, backend)
        self.mlp = Mlp(config, backend)
        self.scaled = config.init_values is not None
        if self.scaled:
            self.ls1 = LayerScale(width, config.init_values)
            self.ls2 = LayerScale(width, config.init_values)
        self.drops = drop_path > 0 or config.drop_rate > 0
        self.drop1, self.drop2 = Dropout(config.drop_rate, 8 * index + 9), Dropout(config.drop_rate, 8 * index + 10)
        self.drop_path1, self.drop_path2 = DropPath(drop_path, 8 * index + 11), DropPath(drop_path, 8 * index + 12)

    def construct(self, x: Tensor, pending: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, N, C) and the branch still to be added to it -> the same pair after this block."""
        if pending is None:
            y = self.norm1(x)
        else:
            x, y = self.norm1.add(pending, x)
        scale = self.ls1.gamma if self.scaled else None
        if self.training:
            # The fused sum's backward pass adds the two gradients that meet in x; after the projection's own residual
            # sum that would be an operator of its own.
            branch = self.attn(y, None, scale)
            if self.drops:
                branch = self.drop_path1(self.drop1(branch))
            x, y = self.norm2.add(branch, x)
        else:
            x = self.attn(y, x, scale)
            y = self.norm2(x)
        branch = self.mlp(y)
        if self.scaled:
            branch = self.ls2(branch)
        if self.drops and self.training:
            branch = self.drop_path2(self.drop2(branch))
        return x, branch
