"""ViTConfig: what a Vision Transformer is made of, under the names that timm, MindFormers and Hugging Face use.

The fields carry timm's and early MindFormers' names (embed_dim, depth, ...); the other vocabulary (hidden_size,
num_hidden_layers, ...) is accepted everywhere a field is, in the constructor, as an attribute and as an item.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import re
from typing import Any, Iterator

from vit_kernels.pretrained import PretrainedConfig

logger = logging.getLogger("vit_kernels")

# Other spelling -> field.
ALIASES = {
    "num_channels": "in_chans",
    "hidden_size": "embed_dim",
    "num_hidden_layers": "depth",
    "num_layers": "depth",
    "num_attention_heads": "num_heads",
    "num_labels": "num_classes",
    "img_size": "image_size",
    "hidden_dropout_prob": "drop_rate",
    "attention_probs_dropout_prob": "attention_dropout_rate",
    "attn_drop_rate": "attention_dropout_rate",
    "num_register_tokens": "reg_tokens",
    "layerscale_value": "init_values",
}

# Field -> MindFormers' name of it.
_MINDFORMERS = {ALIASES[name]: name for name in ("num_channels", "hidden_size", "num_hidden_layers", "num_attention_heads",
                                                 "num_labels", "hidden_dropout_prob", "attention_probs_dropout_prob")}

# Fields of MindFormers' ViTConfig that have no effect here, and why.
WITHOUT_EFFECT = {
    "use_abs_pos_emb": "position embeddings are always learned and absolute",
    "post_layernorm_residual": "blocks are pre-norm",
    "encoder_stride": "only for masked image modelling",
    "layernorm_compute_type": "statistics are always fp32",
    "softmax_compute_type": "softmax is always fp32",
    "param_init_type": "parameters are always fp32",
    "compute_dtype": "set by the training precision",
    "loss_type": "set by the training recipe",
    "batch_size": "set by the data",
    "parallel_config": "set by the launcher",
    "moe_config": "there are no experts",
    "type": "the class is the type",
    "model_type": "the class is the type",
}

ACTIVATIONS = {"gelu": "none", "gelu_tanh": "tanh", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


@dataclasses.dataclass(init=False)
class ViTConfig(PretrainedConfig):
    """Architecture of a Vision Transformer. The defaults are ViT-B/16 at 224 x 224 as MindFormers ships it.

    Where MindFormers' defaults are accidents they are not repeated: layer_norm_eps is 1e-6 (its recipe's value, not
    1e-12), "gelu" means the exact erf form.

    Attributes:
        patch_size: side of a square patch, pixels.
        in_chans: input channels.
        embed_dim: width of a token.
        depth: number of blocks.
        num_heads: attention heads; divides embed_dim.
        mlp_ratio: hidden width of the MLP over embed_dim.
        qkv_bias: bias on the qkv projection.
        image_size: side of the square input, pixels, or (height, width); divisible by patch_size.
        num_classes: outputs of the classifier; 0 for none.
        global_pool: 'token' (final norm, then the class token) or 'avg' (mean of the patch tokens, then fc_norm).
        init_values: initial LayerScale, None for no LayerScale.
        reg_tokens: learned tokens between class token and patches that carry no position (DINOv2 registers).
        drop_rate: dropout after the position embedding, the attention projection and the MLP.
        attention_dropout_rate: dropout on attention probabilities.
        drop_path_rate: stochastic depth of the last block; rises linearly from 0 at the first.
        layer_norm_eps: added to variances.
        hidden_act: 'gelu' (exact) or 'gelu_tanh'.
        initializer_range: standard deviation of the truncated normal that weights start from.
        checkpoint_name_or_path: weights to load when the model is made; '' or None for none.

    Raises:
        TypeError: an unknown field; the message names the closest known one.
        ValueError: a value out of range, or fields that contradict each other.
    """

    patch_size: int = 16
    in_chans: int = 3
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    image_size: int | tuple[int, int] = 224
    num_classes: int = 1000
    global_pool: str = "avg"
    init_values: float | None = None
    reg_tokens: int = 0
    drop_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    drop_path_rate: float = 0.1
    layer_norm_eps: float = 1e-6
    hidden_act: str = "gelu"
    initializer_range: float = 0.02
    checkpoint_name_or_path: str | None = None

    def __init__(self, **fields: Any):
        values = self._canonical(fields)
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, values.get(field.name, field.default))
        self._validate()

    # -- both vocabularies ----------------------------------------------------------------------------------------

    @classmethod
    def field_names(cls) -> list[str]:
        """The canonical field names, in order."""
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def _canonical(cls, fields: dict[str, Any], width: int | None = None) -> dict[str, Any]:
        # `width` is what intermediate_size refers to when the fields do not say.
        known = set(cls.field_names())
        derived = {"intermediate_size", "use_mean_pooling"}
        values: dict[str, Any] = {}
        for name, value in fields.items():
            field = ALIASES.get(name, name)
            if field in values and values[field] != value:
                raise ValueError(f"ViTConfig: {name}={value!r} contradicts {field}={values[field]!r}; give one of them")
            if field in known or field in derived:
                values[field] = value
            elif field in WITHOUT_EFFECT:
                logger.debug("ViTConfig: %s=%r has no effect: %s", name, value, WITHOUT_EFFECT[field])
            else:
                close = difflib.get_close_matches(name, [*known, *derived, *ALIASES], n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise TypeError(f"ViTConfig: unknown field {name!r}{hint} Known fields: {', '.join(sorted(known))}")
        if "use_mean_pooling" in values:
            values["global_pool"] = "avg" if values.pop("use_mean_pooling") else "token"
        if "intermediate_size" in values:
            values["mlp_ratio"] = values.pop("intermediate_size") / values.get("embed_dim", width or cls.embed_dim)
        if isinstance(values.get("image_size"), list):
            values["image_size"] = tuple(values["image_size"])
        return values

    def __getattr__(self, name: str) -> Any:
        # Only reached when normal look-up fails, so only for the other vocabulary.
        if name in ALIASES:
            return getattr(self, ALIASES[name])
        raise AttributeError(f"ViTConfig has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        for field, translated in self._canonical({name: value}, self.embed_dim).items():
            object.__setattr__(self, field, translated)

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and hasattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.field_names())

    def keys(self) -> list[str]:
        """Field names: with `__getitem__` this makes `dict(config)` and `**config` work."""
        return self.field_names()

    def get(self, name: str, default: Any = None) -> Any:
        """The field's value, or `default` for a name that is not one."""
        return getattr(self, name, default)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, fit for YAML and JSON."""
        values = dataclasses.asdict(self)
        if isinstance(values["image_size"], tuple):
            values["image_size"] = list(values["image_size"])
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ViTConfig":
        """The inverse of `to_dict`; takes either vocabulary."""
        return cls(**values)

    def replace(self, **changes: Any) -> "ViTConfig":
        """A copy with some fields changed, checked again."""
        return type(self)(**{**self.to_dict(), **self._canonical(changes, self.embed_dim)})

    @classmethod
    def translate(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fields of either vocabulary under our names."""
        return cls._canonical(fields)

    @classmethod
    def from_name(cls, name: str, **overrides: Any) -> "ViTConfig":
        """See `create_config`."""
        return create_config(name, **overrides)

    def to_mindformers(self) -> dict[str, Any]:
        """All fields as plain values under the names of MindFormers' constructor, where it has one for them."""
        values = self.to_dict()
        ratio = values.pop("mlp_ratio")
        pool = values.pop("global_pool")
        result = {_MINDFORMERS.get(name, name): value for name, value in values.items()}
        exact = self.intermediate_size / self.embed_dim == ratio
        result.update({"intermediate_size": self.intermediate_size} if exact else {"mlp_ratio": ratio})
        return {**result, "use_mean_pooling": pool == "avg"}

    # -- derived --------------------------------------------------------------------------------------------------

    @property
    def image_hw(self) -> tuple[int, int]:
        """(height, width) of the input, pixels."""
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size, self.image_size)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        height, width = self.image_hw
        return height // self.patch_size, width // self.patch_size

    @property
    def num_patches(self) -> int:
        """Number of patch tokens."""
        return self.grid[0] * self.grid[1]

    @property
    def num_tokens(self) -> int:
        """Length of the sequence: class token, registers and patches."""
        return 1 + self.reg_tokens + self.num_patches

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.embed_dim // self.num_heads

    @property
    def intermediate_size(self) -> int:
        """Hidden width of the MLP."""
        return int(round(self.embed_dim * self.mlp_ratio))

    @property
    def use_mean_pooling(self) -> bool:
        """MindFormers' name for global_pool == 'avg'."""
        return self.global_pool == "avg"

    @property
    def approximate(self) -> str:
        """hidden_act as `vit_kernels.ops.gelu_mlp` spells it."""
        return ACTIVATIONS[self.hidden_act]

    # -- checks ---------------------------------------------------------------------------------------------------

    def _validate(self) -> None:
        for name in ("patch_size", "in_chans", "embed_dim", "depth", "num_heads"):
            self._require(name, isinstance(getattr(self, name), int) and getattr(self, name) > 0, "a positive integer")
        for name in ("num_classes", "reg_tokens"):
            self._require(name, isinstance(getattr(self, name), int) and getattr(self, name) >= 0, "an integer >= 0")
        for name in ("drop_rate", "attention_dropout_rate", "drop_path_rate"):
            self._require(name, isinstance(getattr(self, name), (int, float)) and 0 <= getattr(self, name) < 1,
                          "a probability in [0, 1)")
        for name in ("mlp_ratio", "layer_norm_eps", "initializer_range"):
            self._require(name, isinstance(getattr(self, name), (int, float)) and getattr(self, name) > 0,
                          "a positive number")
        self._require("global_pool", self.global_pool in ("token", "avg"), "'token' or 'avg'")
        self._require("hidden_act", self.hidden_act in ACTIVATIONS, "one of " + ", ".join(ACTIVATIONS))
        self._require("image_size", all(isinstance(s, int) and s > 0 for s in self.image_hw) and len(self.image_hw) == 2,
                      "a positive integer or a pair (height, width) of them")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"ViTConfig: num_heads={self.num_heads} does not divide embed_dim={self.embed_dim}; "
                             "every head must get the same width")
        for side in self.image_hw:
            if side % self.patch_size:
                raise ValueError(f"ViTConfig: image_size={self.image_size} is not a multiple of "
                                 f"patch_size={self.patch_size}; the nearest that is: "
                                 f"{max(1, round(side / self.patch_size)) * self.patch_size}")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"ViTConfig: {name}={getattr(self, name)!r}, expected {expected}")


# width, depth, heads of the published sizes: arXiv:2010.11929 table 1 (B, L, H), arXiv:2012.12877 table 1 (Ti, S).
_SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}
_PATCHES = (8, 14, 16, 32)
_NAME = re.compile(r"(?:mindspore/)?(?:mae_)?vit_([a-z]+)_(?:p|patch)(\d+)(?:_(\d+))?")


def model_names() -> list[str]:
    """The names that `create_config` takes; an image size may be appended to each, as in 'vit_base_p16_384'."""
    return [f"vit_{size}_p{patch}" for size in _SIZES for patch in _PATCHES]


def create_config(name: str, **overrides: Any) -> ViTConfig:
    """The configuration of a named model.

    Args:
        name: 'vit_{tiny|small|base|large|huge}_p{8|14|16|32}', optionally with an image size ('_384'); timm's spelling
            'vit_base_patch16_224' is the same.
        overrides: fields to change, in either vocabulary.

    Raises:
        ValueError: unknown name, or values that do not fit each other.
        TypeError: an unknown field.
    """
    match = _NAME.fullmatch(name)
    if not match or match[1] not in _SIZES or int(match[2]) not in _PATCHES:
        raise ValueError(f"unknown model {name!r}: expected one of {', '.join(model_names())}, "
                         "optionally with an image size appended, as in vit_base_p16_384")
    width, depth, heads = _SIZES[match[1]]
    fields = {"embed_dim": width, "depth": depth, "num_heads": heads, "patch_size": int(match[2]),
              "image_size": int(match[3] or 224)}
    fields.update(ViTConfig._canonical(overrides, width))
    return ViTConfig(**fields)
