"""Starting weights: their distributions, what stays neutral, and that a seed fixes them."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
import pytest

from vit_kernels import ViTConfig, ViTForImageClassification

CONFIG = ViTConfig(embed_dim=192, depth=4, num_heads=3, image_size=64, num_classes=50, init_values=0.1, reg_tokens=2)


@pytest.fixture(scope="module")
def weights():
    return {p.name: p.asnumpy() for p in ViTForImageClassification(CONFIG, seed=1).get_parameters()}


# A standard normal cut at two standard deviations has this one.
TRUNCATED = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


@pytest.mark.parametrize("name, std", [
    ("blocks.0.attn.qkv.weight", 0.02), ("blocks.3.mlp.fc1.weight", 0.02), ("pos_embed", 0.02), ("head.weight", 2e-5),
    ("blocks.0.attn.proj.weight", 0.02 / math.sqrt(2)), ("blocks.3.attn.proj.weight", 0.02 / math.sqrt(8)),
    ("blocks.1.mlp.fc2.weight", 0.02 / math.sqrt(4))])
def test_truncated_normal(weights, name, std):
    value = weights[name]
    assert np.abs(value).max() <= 2 * std * 1.0001
    assert value.std() == pytest.approx(std * TRUNCATED, rel=0.05) and abs(value.mean()) < 0.1 * std


def test_patch_projection_is_xavier_uniform(weights):
    value, bound = weights["patch_embed.proj.weight"], math.sqrt(6 / (192 + 3 * 256))
    assert 0.99 * bound < np.abs(value).max() <= bound and value.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_neutral_values(weights):
    for name, value in weights.items():
        if name.endswith("bias"):
            assert (value == 0).all(), name
        elif "norm" in name:
            assert (value == 1).all(), name
        elif name.endswith("gamma"):
            assert (value == np.float32(0.1)).all(), name
        else:
            assert value.std() > 0, name


def test_seed_fixes_them():
    first, again, other = (ViTForImageClassification(CONFIG, seed=seed) for seed in (5, 5, 6))
    for a, b, c in zip(first.get_parameters(), again.get_parameters(), other.get_parameters()):
        assert (a.asnumpy() == b.asnumpy()).all()
        assert np.ptp(a.asnumpy()) == 0 or (a.asnumpy() != c.asnumpy()).any()
    before = ms.get_seed()
    try:
        ms.set_seed(5)
        for a, b in zip(first.get_parameters(), ViTForImageClassification(CONFIG).get_parameters()):
            assert (a.asnumpy() == b.asnumpy()).all(), "without a seed of its own the model takes MindSpore's"
    finally:
        if before is not None:
            ms.set_seed(before)
