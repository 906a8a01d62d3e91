"""transformers' ViT (torch) as the independent definition of the model, and the way its weights map to ours."""

from __future__ import annotations

import numpy as np
import torch
import transformers
from mindspore import Tensor, nn

from vit_kernels import ViTConfig


def hugging_face(config: ViTConfig, seed: int = 0) -> torch.nn.Module:
    """transformers' ViTForImageClassification of the same architecture, every parameter random, none at a neutral value."""
    assert config.global_pool == "token" and config.init_values is None and not config.reg_tokens
    torch.manual_seed(seed)
    model = transformers.ViTForImageClassification(transformers.ViTConfig(
        hidden_size=config.embed_dim, num_hidden_layers=config.depth, num_attention_heads=config.num_heads,
        intermediate_size=config.intermediate_size, hidden_act={"none": "gelu", "tanh": "gelu_pytorch_tanh"}[config.approximate],
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=config.layer_norm_eps,
        image_size=config.image_hw, patch_size=config.patch_size, num_channels=config.in_chans,
        qkv_bias=config.qkv_bias, num_labels=config.num_classes, attn_implementation="eager")).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "embeddings.cls" in name or "position" in name:
                parameter.copy_(0.02 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return model


# Parts of a block: ours, and what transformers calls them until release 4 and since release 5.
_PARTS = (("attn.proj", ("attention.output.dense", "attention.o_proj")), ("mlp.fc1", ("intermediate.dense", "mlp.fc1")),
          ("mlp.fc2", ("output.dense", "mlp.fc2")), ("norm1", ("layernorm_before",)), ("norm2", ("layernorm_after",)))
_QKV = tuple((f"attention.attention.{long}", f"attention.{long[0]}_proj") for long in ("query", "key", "value"))


def _take(rest: dict[str, np.ndarray], layer: int, names: tuple[str, ...], kind: str) -> np.ndarray | None:
    """Remove and return what one of the names stands for; None when there is none of them."""
    return next((rest.pop(key) for key in (f"layers.{layer}.{name}.{kind}" for name in names) if key in rest), None)


def to_ours(named: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Tensors under transformers' parameter names (weights or gradients) under ours; q, k and v become one."""
    rest = {name.removeprefix("vit.").removeprefix("encoder.").replace("layer.", "layers."): value.detach().numpy()
            for name, value in named.items()}
    depth = 1 + max(int(name.split(".")[1]) for name in rest if name.startswith("layers."))
    ours = {"cls_token": rest.pop("embeddings.cls_token"), "pos_embed": rest.pop("embeddings.position_embeddings")}
    for kind in ("weight", "bias"):
        ours[f"patch_embed.proj.{kind}"] = rest.pop(f"embeddings.patch_embeddings.projection.{kind}")
        ours[f"norm.{kind}"] = rest.pop(f"layernorm.{kind}")
        ours[f"head.{kind}"] = rest.pop(f"classifier.{kind}")
        for i in range(depth):
            qkv = [_take(rest, i, names, kind) for names in _QKV]
            if qkv[0] is not None:
                ours[f"blocks.{i}.attn.qkv.{kind}"] = np.concatenate(qkv)
            for part, names in _PARTS:
                ours[f"blocks.{i}.{part}.{kind}"] = _take(rest, i, names, kind)
    assert not rest, f"left over: {list(rest)}"
    return ours


def load(model: nn.Cell, arrays: dict[str, np.ndarray]) -> None:
    """Set every parameter of a model; none may be missing or left over."""
    parameters = {p.name: p for p in model.get_parameters()}
    assert set(parameters) == set(arrays), set(parameters) ^ set(arrays)
    for name, parameter in parameters.items():
        assert tuple(parameter.shape) == arrays[name].shape, name
        parameter.set_data(Tensor(arrays[name].copy()))


def images(config: ViTConfig, batch: int, seed: int = 1) -> np.ndarray:
    """Random normalised images."""
    return np.random.default_rng(seed).standard_normal((batch, config.in_chans, *config.image_hw)).astype(np.float32)
