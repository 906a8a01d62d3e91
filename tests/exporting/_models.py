"""Small models of every kind with random weights, and their outputs in float64 torch."""

from __future__ import annotations

import numpy as np
import torch
from mindspore import Tensor

from tests.checkpoint._models import timm_forward
from vit_kernels import ViTConfig, ViTForImageClassification

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "image_size": 24, "patch_size": 8, "num_classes": 5,
         "global_pool": "token"}
# What a configuration can vary, each alone and some together.
VARIANTS = {
    "token": {},
    "avg": {"global_pool": "avg"},
    "layer_scale": {"init_values": 0.1},
    "no_qkv_bias": {"qkv_bias": False},
    "tanh": {"hidden_act": "gelu_tanh"},
    "registers": {"reg_tokens": 3},
    "registers_avg": {"reg_tokens": 2, "global_pool": "avg", "init_values": 0.1},
    "wide_image": {"image_size": (16, 40)},
    "grey": {"in_chans": 1, "image_size": (40, 16), "reg_tokens": 1},
    "large_eps": {"layer_norm_eps": 0.05},
    "tiny_eps": {"layer_norm_eps": 1e-12},
    "odd_widths": {"embed_dim": 42, "num_heads": 3, "mlp_ratio": 2.5, "patch_size": 7, "image_size": 21},
    "dropping": {"drop_rate": 0.3, "attention_dropout_rate": 0.3, "drop_path_rate": 0.3},
    "one_patch": {"image_size": 8, "depth": 1},
    "backbone": {"num_classes": 0},
    "all": {"global_pool": "avg", "reg_tokens": 4, "init_values": 1e-5, "qkv_bias": False, "hidden_act": "gelu_tanh",
            "image_size": (16, 24), "in_chans": 1, "num_classes": 3},
}


def random_model(cls=ViTForImageClassification, seed: int = 0, **changes):
    """A model of the class on the fused kernels, every parameter drawn anew, gains around one."""
    model = cls(ViTConfig(**{**SMALL, **changes}))
    rng = np.random.default_rng(seed)
    for parameter in model.get_parameters():
        gain = parameter.name.endswith("gamma") or "norm" in parameter.name and parameter.name.endswith("weight")
        parameter.set_data(Tensor((gain + 0.2 * rng.standard_normal(parameter.shape)).astype(np.float32)))
    return model


def images_for(model, batch: int = 8) -> np.ndarray:
    shape = (batch, model.config.in_chans, *model.config.image_hw)
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def expected(model, images: np.ndarray, drop: tuple[str, ...] = ()) -> np.ndarray:
    """Logits, or without 'head.weight' features, in float64."""
    config = model.config
    no_bias = torch.zeros(3 * config.embed_dim, dtype=torch.float64)
    weights = {f"blocks.{i}.attn.qkv.bias": no_bias for i in range(config.depth)}
    weights.update({p.name: torch.tensor(p.asnumpy()).double() for p in model.get_parameters() if p.name not in drop})
    return timm_forward(weights, torch.tensor(images).double(), config.num_heads, config.layer_norm_eps,
                        config.approximate).numpy()


def close(got: np.ndarray, wanted: np.ndarray) -> None:
    """Within a tenth of what is promised, and of a size that makes this mean something."""
    assert got.shape == wanted.shape and got.dtype == np.float32
    assert np.abs(wanted).max() > 0.1
    assert np.abs(got - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max())
