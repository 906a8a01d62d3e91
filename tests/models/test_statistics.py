"""Parameter counts and multiply-accumulates against the published ones."""

from __future__ import annotations

import math

import pytest

from vit_kernels import ViTConfig, ViTForImageClassification, create_config
from vit_kernels.models import count_macs, count_parameters, model_names

# timm's and the papers' numbers, 1000 classes.
PARAMETERS = {
    "vit_tiny_p16": 5_717_416, "vit_small_p16": 22_050_664, "vit_base_p16": 86_567_656, "vit_base_p32": 88_224_232,
    "vit_base_p8": 86_576_872, "vit_base_p16_384": 86_859_496, "vit_large_p16": 304_326_632, "vit_large_p32": 306_535_400,
    "vit_huge_p14": 632_045_800,
}
GMACS = {"vit_tiny_p16": 1.25, "vit_small_p16": 4.60, "vit_base_p16": 17.56, "vit_large_p16": 61.55, "vit_huge_p14": 167.3}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_parameter_counts(name):
    assert count_parameters(create_config(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", GMACS)
def test_published_gmacs(name):
    digits = 1 if GMACS[name] > 100 else 2
    assert round(count_macs(create_config(name)) / 1e9, digits) == GMACS[name]


def test_published_models_really_have_them():
    for name in ("vit_tiny_p16", "vit_small_p16", "vit_base_p16"):
        model = ViTForImageClassification(create_config(name))
        assert sum(p.size for p in model.get_parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("changes", [
    {}, {"global_pool": "token"}, {"qkv_bias": False}, {"init_values": 0.1}, {"reg_tokens": 4}, {"num_classes": 0},
    {"in_chans": 1, "image_size": (32, 48)}, {"mlp_ratio": 2.5},
], ids=str)
def test_count_equals_the_model_built(changes):
    config = ViTConfig(**{"embed_dim": 32, "depth": 3, "num_heads": 2, "image_size": 32, "patch_size": 8, "num_classes": 7,
                          **changes})
    assert count_parameters(config) == sum(math.prod(p.shape) for p in ViTForImageClassification(config).get_parameters())


def test_every_name_makes_a_configuration():
    assert len(model_names()) == 20
    for name in model_names():
        config = create_config(name)
        assert config.image_hw == (224, 224) and count_parameters(config) > 5e6
