"""The peers are the same model: logits and first losses of every engine, from the same weights, agree with float64."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
import torch

from tests.checkpoint._models import timm_forward
from vit_kernels import ViTConfig, create_config
from vit_kernels.benchmarking import engines
from vit_kernels.models import count_parameters

CONFIG = ViTConfig(embed_dim=32, depth=2, num_heads=2, image_size=(16, 24), patch_size=8, num_classes=5, drop_path_rate=0.0)


@pytest.fixture(autouse=True)
def _keep_mode():
    before = ms.get_context("mode")
    yield
    ms.set_context(mode=before)


def _inputs():
    rng = np.random.default_rng(1)
    targets = np.full((3, 5), 0.02, np.float32)
    targets[range(3), [4, 0, 2]] += 0.9
    return rng.standard_normal((3, 3, 16, 24), dtype=np.float32), targets


@pytest.mark.parametrize("name", ["fused", *engines.PEERS])
def test_logits_losses_and_updates(name):
    weights = engines.random_weights(CONFIG, 0)
    images, targets = _inputs()
    wide = {key: torch.tensor(value.astype(np.float64)) for key, value in weights.items()}
    expected = timm_forward(wide, torch.tensor(images, dtype=torch.float64))
    loss = torch.nn.functional.cross_entropy(expected, torch.tensor(targets, dtype=torch.float64)).item()
    engine = engines.make(name, CONFIG, weights, images, targets)
    assert np.abs(engine.logits() - expected.numpy()).max() <= 1e-5
    losses = [engine.train_step() for _ in range(20)]
    assert abs(losses[0] - loss) <= 1e-5
    assert losses[-1] < losses[0] - 1e-2, "the optimizer must have moved the weights"
    assert np.abs(engine.logits() - expected.numpy()).max() > 1e-3
    assert engine.facts["threads"] >= 1


def test_random_weights_are_all_of_the_model():
    for config in (CONFIG, create_config("vit_tiny_p16")):
        weights = engines.random_weights(config, 3)
        assert sum(w.size for w in weights.values()) == count_parameters(config)
        assert all(w.dtype == np.float32 and np.abs(w).max() > 0 for w in weights.values())
