"""ViTModel and ViTForImageClassification (Dosovitskiy et al. 2020, arXiv:2010.11929)."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, nn, ops

from vit_kernels.models.vit.adaptation import Adaptation, ClassifierAdaptation
from vit_kernels.models.vit.config import ViTConfig
from vit_kernels.models.vit.initialization import initialize
from vit_kernels.models.vit.inspection import Inspection
from vit_kernels.models.vit.layers import Block, Dropout, LayerNorm, Linear, PatchEmbed, _parameter
from vit_kernels.ops import SerialCell, resolve_backend
from vit_kernels.pretrained import PretrainedModel


class ViTModel(Adaptation, Inspection, PretrainedModel, SerialCell):
    """A Vision Transformer without a classifier: images in, one pooled feature vector per image out.

    Parameters carry timm's names. With `global_pool='token'` the final norm covers all tokens and the class token is
    taken after it; with 'avg' the patch tokens are averaged first and `fc_norm` follows, as in MAE's fine-tuning.

    Args:
        config: the architecture; None for ViT-B/16 at 224. Weights that its `checkpoint_name_or_path` names are loaded.
        backend: which implementation runs the operators, see `vit_kernels.ops.resolve_backend`.
        seed: of the starting weights; None takes MindSpore's global seed, else 0.
        draw: False leaves matrices zero instead of drawing them, which takes seconds, for whoever loads every weight next.
    """

    config_class = ViTConfig

    def __init__(self, config: ViTConfig | None = None, backend: str | None = None, seed: int | None = None,
                 draw: bool = True):
        super().__init__(auto_prefix=True)
        self.config = config or ViTConfig()
        self.backend = resolve_backend(backend)
        config = self.config
        self.patch_embed = PatchEmbed(config, self.backend)
        self.cls_token = _parameter(1, 1, config.embed_dim)
        self.reg_token = _parameter(1, config.reg_tokens, config.embed_dim) if config.reg_tokens else None
        self.pos_embed = _parameter(1, 1 + config.num_patches, config.embed_dim)
        self.pos_drop = Dropout(config.drop_rate, 0)
        self.blocks = nn.CellList([Block(config, i, self.backend) for i in range(config.depth)])
        self.averages = config.global_pool == "avg"
        if self.averages:
            self.fc_norm = LayerNorm(config.embed_dim, config.layer_norm_eps, self.backend)
        else:
            self.norm = LayerNorm(config.embed_dim, config.layer_norm_eps, self.backend)
        self.num_prefix_tokens = 1 + config.reg_tokens
        self._build_head()
        for name, parameter in self.parameters_and_names():
            parameter.name = name
        if draw:
            initialize(self, seed)
        self.load_configured()

    def _build_head(self) -> None:
        """For subclasses: add the head's cells before parameters are named and drawn."""

    def embed(self, images: Tensor) -> Tensor:
        """images (B, C, H, W) -> tokens (B, N, embed_dim): class token, registers, patches."""
        self._check_images(images)
        if self.backend == "cpu" and images.dtype == ms.bfloat16:
            images = ops.cast(images, ms.float32)  # stock CPU operators do not even reshape bfloat16
        x = self.patch_embed(images)
        batch, width = x.shape[0], x.shape[2]
        cls_token = ops.broadcast_to(ops.cast(self.cls_token, x.dtype), (batch, 1, width))
        x = ops.concat((cls_token, x), 1) + ops.cast(self.pos_embed, x.dtype)
        if self.reg_token is not None:
            registers = ops.broadcast_to(ops.cast(self.reg_token, x.dtype), (batch, self.reg_token.shape[1], width))
            x = ops.concat((x[:, :1], registers, x[:, 1:]), 1)
        return self.pos_drop(x)

    def forward_features(self, images: Tensor) -> Tensor:
        """images (B, C, H, W) -> tokens (B, N, embed_dim); normalised unless the model averages (then fc_norm comes later)."""
        x = self.embed(images)
        pending = None
        for block in self.blocks:
            x, pending = block(x, pending)
        if self.averages:
            return x + pending
        _, y = self.norm.add(pending, x)
        return y

    def pool(self, tokens: Tensor) -> Tensor:
        """tokens (B, N, embed_dim) -> features (B, embed_dim)."""
        if self.averages:
            return self.fc_norm(ops.mean(tokens[:, self.num_prefix_tokens:], 1))
        return tokens[:, 0]

    def construct(self, images: Tensor) -> Tensor:
        """images (B, C, H, W), normalised -> pooled features (B, embed_dim)."""
        return self.pool(self.forward_features(images))

    def _check_images(self, images: Tensor) -> None:
        """Raise ValueError, in PyNative and while a graph is compiled, unless the images fit the model."""
        shape, config = images.shape, self.config
        if len(shape) != 4 or shape[1] != config.in_chans or tuple(shape[2:]) != config.image_hw:
            raise ValueError(f"images have shape {tuple(shape)}, expected (batch, {config.in_chans}, "
                             f"{config.image_hw[0]}, {config.image_hw[1]}); resize them or call "
                             "set_image_size")
        if shape[0] == 0:
            raise ValueError("images have batch size 0; skip the call for an empty batch")


class ViTForImageClassification(ClassifierAdaptation, ViTModel):
    """A Vision Transformer with a linear classifier on the pooled features.

    Args:
        config: the architecture; None for ViT-B/16 at 224 with 1000 classes.
        backend: which implementation runs the operators, see `vit_kernels.ops.resolve_backend`.
        seed: of the starting weights; None takes MindSpore's global seed, else 0.
        draw: False leaves matrices zero instead of drawing them, which takes seconds, for whoever loads every weight next.
    """

    classifies = True

    def _build_head(self) -> None:
        if self.config.num_classes:
            self.head = Linear(self.config.embed_dim, self.config.num_classes, True, self.backend)

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """tokens (B, N, embed_dim) of `forward_features` -> logits (B, num_classes); with pre_logits, or without classes, the
        pooled features (B, embed_dim)."""
        features = self.pool(tokens)
        if self.config.num_classes and not pre_logits:
            return self.head(features)
        return features

    def construct(self, images: Tensor) -> Tensor:
        """images (B, C, H, W), normalised -> logits (B, num_classes) of the images' type; on a CPU fp32 for bfloat16."""
        return self.forward_head(self.forward_features(images))
