"""Models of other projects with random weights, and a plain-torch ViT with timm's names: what ours is held against."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def randomise(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every parameter drawn anew, norms' gains around 1, so that no swapped or dropped tensor goes unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            draw = torch.randn(parameter.shape, generator=generator)
            gain = "norm" in name and name.endswith("weight") or "lambda1" in name
            parameter.copy_(1 + 0.2 * draw if gain else 0.05 * draw if parameter.ndim > 1 else 0.1 * draw)
    return model.eval()


def hf_vit(classes: int = 7, **changes):
    """A transformers ViTForImageClassification of two small blocks."""
    from transformers import ViTConfig, ViTForImageClassification

    settings = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256, image_size=32, patch_size=8,
                    num_labels=classes, layer_norm_eps=1e-6)
    return randomise(ViTForImageClassification(ViTConfig(**{**settings, **changes})))


def dinov2(registers: int = 0, image_size: int = 518, patch_size: int = 14):
    """A transformers DINOv2 backbone, 37 x 37 positions by default."""
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    settings = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=4, image_size=image_size,
                    patch_size=patch_size, layer_norm_eps=1e-6, drop_path_rate=0.0)
    if registers:
        return randomise(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=registers, **settings)))
    return randomise(Dinov2Model(Dinov2Config(**settings)))


def timm_weights(width: int = 128, depth: int = 2, patch: int = 8, grid: int = 4, classes: int = 7, hidden: int | None = None,
                 norm: str = "norm", scaled: bool = False, registers: int = 0, seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict with timm's names; `norm` is 'norm' (class token) or 'fc_norm' (MAE's mean pooling)."""
    rng = np.random.default_rng(seed)
    hidden = hidden or 4 * width
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 1 + grid * grid, width),
              "patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,)}
    if registers:
        shapes["reg_token"] = (1, registers, width)
    for i in range(depth):
        block = f"blocks.{i}."
        for name in ("norm1", "norm2"):
            shapes[block + name + ".weight"] = shapes[block + name + ".bias"] = (width,)
        shapes[block + "attn.qkv.weight"], shapes[block + "attn.qkv.bias"] = (3 * width, width), (3 * width,)
        shapes[block + "attn.proj.weight"], shapes[block + "attn.proj.bias"] = (width, width), (width,)
        shapes[block + "mlp.fc1.weight"], shapes[block + "mlp.fc1.bias"] = (hidden, width), (hidden,)
        shapes[block + "mlp.fc2.weight"], shapes[block + "mlp.fc2.bias"] = (width, hidden), (width,)
        if scaled:
            shapes[block + "ls1.gamma"] = shapes[block + "ls2.gamma"] = (width,)
    shapes[norm + ".weight"] = shapes[norm + ".bias"] = (width,)
    if classes:
        shapes["head.weight"], shapes["head.bias"] = (classes, width), (classes,)
    gain = {name for name in shapes if name.endswith("norm1.weight") or name.endswith("norm2.weight")
            or name == norm + ".weight" or name.endswith("gamma")}
    return {name: torch.tensor((name in gain) + 0.1 * rng.standard_normal(shape).astype(np.float32))
            for name, shape in shapes.items()}


def timm_forward(w: dict[str, torch.Tensor], images: torch.Tensor, heads: int = 2, eps: float = 1e-6,
                 gelu: str = "none") -> torch.Tensor:
    """The forward pass of a state dict with timm's names, in plain torch: logits, or features without a head."""
    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], eps)

    patches = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"],
                       stride=w["patch_embed.proj.weight"].shape[-1])
    x = torch.cat([w["cls_token"].expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], 1) + w["pos_embed"]
    prefix = 1
    if "reg_token" in w:
        x = torch.cat([x[:, :1], w["reg_token"].expand(len(images), -1, -1), x[:, 1:]], 1)
        prefix += w["reg_token"].shape[1]
    depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
    for i in range(depth):
        b = f"blocks.{i}."
        y = norm(x, b + "norm1")
        q, k, v = F.linear(y, w[b + "attn.qkv.weight"], w[b + "attn.qkv.bias"]).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        y = (torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v).transpose(1, 2).flatten(2)
        y = F.linear(y, w[b + "attn.proj.weight"], w[b + "attn.proj.bias"])
        x = x + y * w.get(b + "ls1.gamma", 1)
        y = F.gelu(F.linear(norm(x, b + "norm2"), w[b + "mlp.fc1.weight"], w[b + "mlp.fc1.bias"]), approximate=gelu)
        x = x + F.linear(y, w[b + "mlp.fc2.weight"], w[b + "mlp.fc2.bias"]) * w.get(b + "ls2.gamma", 1)
    features = norm(x[:, prefix:].mean(1), "fc_norm") if "fc_norm.weight" in w else norm(x, "norm")[:, 0]
    return F.linear(features, w["head.weight"], w["head.bias"]) if "head.weight" in w else features


def images(size: int = 32, batch: int = 2, seed: int = 1) -> np.ndarray:
    """Random normalised images (batch, 3, size, size)."""
    return np.random.default_rng(seed).standard_normal((batch, 3, size, size)).astype(np.float32)
