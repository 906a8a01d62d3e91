"""ViTConfig: two vocabularies, derived sizes, round trips, and refusals that name the field."""

from __future__ import annotations

import json

import pytest

from vit_kernels import ViTConfig, create_config


def test_both_vocabularies_are_one():
    early = ViTConfig(embed_dim=96, depth=3, num_heads=4, in_chans=1, num_classes=10, drop_rate=0.1, attention_dropout_rate=0.2)
    late = ViTConfig(hidden_size=96, num_hidden_layers=3, num_attention_heads=4, num_channels=1, num_labels=10,
                     hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2, intermediate_size=384, use_mean_pooling=True)
    assert early == late
    assert late.hidden_size == late["embed_dim"] == late.get("hidden_size") == 96
    late.num_labels = 7
    assert late.num_classes == 7 and "num_labels" in late and late.get("nothing", 3) == 3


def test_defaults_are_vit_base_with_its_accidents_corrected():
    config = ViTConfig()
    assert (config.embed_dim, config.depth, config.num_heads, config.intermediate_size) == (768, 12, 12, 3072)
    assert config.layer_norm_eps == 1e-6 and config.approximate == "none" and config.use_mean_pooling
    assert config.num_tokens == 197 and config.head_dim == 64


def test_round_trip_keeps_every_size():
    config = create_config("vit_large_p32", image_size=(64, 96), init_values=1e-5, reg_tokens=4, intermediate_size=1000,
                           global_pool="token", hidden_act="gelu_tanh")
    again = ViTConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config and again.intermediate_size == 1000 and again.image_hw == (64, 96) and again.grid == (2, 3)
    assert ViTConfig(**config) == config and dict(config) == {name: config[name] for name in ViTConfig.field_names()}


def test_replace_leaves_the_original_alone():
    config = ViTConfig()
    wider = config.replace(hidden_size=384, num_heads=6)
    assert wider.embed_dim == 384 and wider.intermediate_size == 1536 and config.embed_dim == 768
    assert config.replace(intermediate_size=768).mlp_ratio == 1 and create_config("vit_tiny_p16", intermediate_size=192).mlp_ratio == 1
    assert create_config("vit_tiny_p16", hidden_size=96).embed_dim == 96
    config.intermediate_size = 1536
    assert config.mlp_ratio == 2


@pytest.mark.parametrize("name, patch, size", [("vit_base_p16", 16, 224), ("vit_base_patch16_224", 16, 224),
                                               ("mindspore/vit_base_p16", 16, 224), ("vit_base_p16_384", 16, 384),
                                               ("vit_huge_p14", 14, 224)])
def test_names(name, patch, size):
    config = create_config(name)
    assert config.patch_size == patch and config.image_hw == (size, size)


@pytest.mark.parametrize("fields, message", [
    ({"num_heads": 5}, "num_heads=5 does not divide embed_dim=768"),
    ({"image_size": 225}, "image_size=225 is not a multiple of patch_size=16; the nearest that is: 224"),
    ({"image_size": (224, 100)}, r"image_size=\(224, 100\) is not a multiple"),
    ({"image_size": 0}, "image_size=0, expected a positive integer"),
    ({"depth": -1}, "depth=-1, expected a positive integer"),
    ({"drop_path_rate": 1.0}, r"drop_path_rate=1.0, expected a probability in \[0, 1\)"),
    ({"global_pool": "max"}, "global_pool='max', expected 'token' or 'avg'"),
    ({"hidden_act": "relu"}, "hidden_act='relu', expected one of gelu"),
    ({"layer_norm_eps": 0}, "layer_norm_eps=0, expected a positive number"),
    ({"embed_dim": 64, "hidden_size": 32}, "hidden_size=32 contradicts embed_dim=64"),
])
def test_bad_values(fields, message):
    with pytest.raises(ValueError, match=message):
        ViTConfig(**fields)


def test_unknown_fields_and_names():
    with pytest.raises(TypeError, match="unknown field 'embed_dims'; did you mean 'embed_dim'"):
        ViTConfig(embed_dims=3)
    with pytest.raises(ValueError, match="unknown model 'vit_giant_p16': expected one of vit_tiny_p8"):
        create_config("vit_giant_p16")
    with pytest.raises(TypeError, match="unknown field"):
        create_config("vit_tiny_p16", widht=3)
    with pytest.raises(AttributeError, match="no field 'widht'"):
        ViTConfig().widht
