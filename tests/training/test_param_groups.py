"""Which parameters decay and how fast each layer learns, against a table written by hand for three blocks."""

from __future__ import annotations

import pytest

from vit_kernels import ViTConfig, ViTForImageClassification
from vit_kernels.training.param_groups import parameter_groups

BLOCK_DECAYS = {"attn.qkv.weight", "attn.proj.weight", "mlp.fc1.weight", "mlp.fc2.weight"}
BLOCK_DOES_NOT = {"norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "attn.qkv.bias", "attn.proj.bias", "mlp.fc1.bias",
                  "mlp.fc2.bias", "ls1.gamma", "ls2.gamma"}


@pytest.fixture(scope="module")
def model():
    return ViTForImageClassification(ViTConfig(image_size=16, patch_size=8, embed_dim=16, depth=3, num_heads=1, num_classes=4,
                                               init_values=1e-5, reg_tokens=2), backend="reference")


def by_hand() -> dict[str, tuple[int, bool]]:
    """name -> (layer, whether it decays), as MAE's fine-tuning numbers them: embeddings 0, block i is i + 1, the rest 4."""
    table = {"patch_embed.proj.weight": (0, True), "patch_embed.proj.bias": (0, False), "cls_token": (0, False),
             "reg_token": (0, False), "pos_embed": (0, False), "fc_norm.weight": (4, False), "fc_norm.bias": (4, False),
             "head.weight": (4, True), "head.bias": (4, False)}
    for i in range(3):
        table.update({f"blocks.{i}.{n}": (i + 1, True) for n in BLOCK_DECAYS})
        table.update({f"blocks.{i}.{n}": (i + 1, False) for n in BLOCK_DOES_NOT})
    return table


def test_layer_decay(model):
    groups = parameter_groups(model, 0.05, layer_decay=0.65)
    got = {p.name: (g["lr_scale"], g["weight_decay"]) for g in groups for p in g["params"]}
    expected = {name: (pytest.approx(0.65 ** (4 - layer)), 0.05 if decays else 0.0) for name, (layer, decays) in by_hand().items()}
    assert expected.keys() - {"cls_token"} == got.keys() - {"cls_token"}
    assert all(got[name] == expected[name] for name in got)
    # a group has one layer and one decay only, and nothing is in two
    assert len(groups) == 10 and sum(len(g["params"]) for g in groups) == len(got)
    assert [g["name"] for g in groups][:3] == ["layer_0_decay", "layer_0_no_decay", "layer_1_decay"]


def test_without_layer_decay_there_are_two_groups(model):
    decay, no_decay = parameter_groups(model, 0.1)
    assert {p.name for p in decay["params"]} == {name for name, (_, decays) in by_hand().items() if decays}
    assert (decay["weight_decay"], no_decay["weight_decay"], decay["lr_scale"], no_decay["lr_scale"]) == (0.1, 0.0, 1.0, 1.0)


def test_the_published_scales_of_vit_base():
    """0.65^(13 - i): .0037 for the embeddings, .65 for block 11, 1 for the head (vit-base has 12 blocks)."""
    from vit_kernels.training.param_groups import layer_of

    scales = {name: 0.65 ** (13 - layer_of(name, 12)) for name in ("pos_embed", "blocks.11.mlp.fc1.weight", "head.weight")}
    assert [round(s, 4) for s in scales.values()] == [0.0037, 0.65, 1.0]


@pytest.mark.parametrize("wrong", [0, -0.5, 1.5])
def test_layer_decay_out_of_range(model, wrong):
    with pytest.raises(ValueError, match="0 < layer_decay <= 1"):
        parameter_groups(model, 0.05, wrong)


def test_frozen_parameters_are_left_out(model):
    parameter = model.head.bias
    parameter.requires_grad = False
    try:
        assert "head.bias" not in {p.name for g in parameter_groups(model, 0.05) for p in g["params"]}
    finally:
        parameter.requires_grad = True
