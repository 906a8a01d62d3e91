"""What model a checkpoint belongs to, read off its tensors' shapes and the files beside it."""

from __future__ import annotations

import math
from typing import Any, Mapping

from vit_kernels.checkpoint.errors import CheckpointError

# The text entry under which this project's own checkpoints describe themselves (`vit_kernels.training.checkpoint_io`).
OWN_HEADER = "vit_kernels"

# Width -> heads of the published models: Ti, S, B, L, H, g, DINOv2's giant, G, e. Shapes do not show the head count.
_HEADS = {192: 3, 384: 6, 512: 8, 640: 10, 768: 12, 1024: 16, 1280: 16, 1408: 16, 1536: 24, 1664: 16, 1792: 16}


def infer_config(tensors: Mapping[str, Any], vocabulary: str = "timm",
                 metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Fields of `ViTConfig` for a checkpoint's tensors.

    Args:
        tensors: by our names, anything with a `shape`.
        vocabulary: where the weights come from; sets what shapes cannot show (layer_norm_eps, hidden_act).
        metadata: `Checkpoint.metadata`; a Hugging Face config.json and Google's head count are taken from it.

    Returns:
        Keyword arguments for `ViTConfig`. num_classes is 0 without a head; drop_path_rate is 0.

    Raises:
        CheckpointError: a tensor is missing or its shape is impossible, or the number of heads cannot be told.
    """
    metadata = metadata or {}
    config = metadata.get("config") if isinstance(metadata.get("config"), Mapping) else {}
    width, channels, patch, patch_width = _shape(tensors, "patch_embed.proj.weight", 4)
    if patch != patch_width:
        raise CheckpointError(f"the patches are {patch} x {patch_width} pixels, expected squares")
    blocks = {int(name.split(".")[1]) for name in tensors if name.startswith("blocks.")}
    if not blocks:
        raise CheckpointError("the checkpoint has no transformer blocks")
    hidden = _shape(tensors, "blocks.0.mlp.fc1.weight", 2)[0]
    registers = _shape(tensors, "reg_token", 3)[1] if "reg_token" in tensors else 0
    rows, columns = grid_of(_shape(tensors, "pos_embed", 3)[1] - 1, config.get("image_size"), patch)
    image = rows * patch if rows == columns else (rows * patch, columns * patch)
    classes = _shape(tensors, "head.weight", 2)[0] if "head.weight" in tensors else 0
    result = {
        "patch_size": patch, "in_chans": channels, "embed_dim": width, "depth": max(blocks) + 1,
        "num_heads": _heads(width, config.get("num_attention_heads") or metadata.get("num_heads")),
        "mlp_ratio": hidden / width, "qkv_bias": "blocks.0.attn.qkv.bias" in tensors, "image_size": image,
        "num_classes": classes, "global_pool": "avg" if "fc_norm.weight" in tensors else "token",
        "init_values": 1e-5 if "blocks.0.ls1.gamma" in tensors else None, "reg_tokens": registers,
        "drop_path_rate": 0.0, "layer_norm_eps": 1e-6, "hidden_act": "gelu",
    }
    if vocabulary == "hf-vit":
        result["layer_norm_eps"] = 1e-12  # transformers' default, and what the published files' config.json say
    if vocabulary in ("google", "big-vision"):
        result["hidden_act"] = "gelu_tanh"  # flax.linen.gelu approximates by default
    if isinstance(config.get("layer_norm_eps"), float) and config["layer_norm_eps"] > 0:
        result["layer_norm_eps"] = config["layer_norm_eps"]
    if config.get("hidden_act") in ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"):
        result["hidden_act"] = "gelu_tanh"
    elif config.get("hidden_act") not in (None, "gelu", "gelu_python"):
        raise CheckpointError(f"config.json says hidden_act={config['hidden_act']!r}; this model has only gelu")
    return result


def grid_of(patches: int, image_size: Any = None, patch: int = 0) -> tuple[int, int]:
    """(rows, columns) of a position grid: square, or what a known image size says.

    Raises:
        CheckpointError: neither fits.
    """
    side = math.isqrt(max(patches, 0))
    if side * side == patches and side:
        return side, side
    if isinstance(image_size, (list, tuple)) and len(image_size) == 2 and patch:
        rows, columns = (int(size) // patch for size in image_size)
        if rows * columns == patches:
            return rows, columns
    raise CheckpointError(f"the position embedding has {patches} entries for patches, which is no square; give image_size")


def _shape(tensors: Mapping[str, Any], name: str, rank: int) -> tuple[int, ...]:
    if name not in tensors:
        raise CheckpointError(f"the checkpoint has no {name}")
    shape = tuple(tensors[name].shape)
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(f"{name} has shape {shape}, expected {rank} dimensions, none of them 0")
    return shape


def _heads(width: int, known: Any) -> int:
    heads = known or _HEADS.get(width) or (width // 64 if width % 64 == 0 else 0)
    if not isinstance(heads, int) or heads <= 0 or width % heads:
        raise CheckpointError(f"the number of attention heads of a model of width {width} cannot be told from its weights"
                              + (f" ({known!r} does not divide it)" if known else "") + "; give num_heads")
    return heads
