"""The model against transformers' ViT with the same weights: logits, loss, every gradient, and ten steps of AdamW."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from tests.models import _torch
from vit_kernels import ViTConfig, ViTForImageClassification, create_config


def _compare(config, batch, backend, logits_within, gradients_within):
    theirs = _torch.hugging_face(config)
    ours = ViTForImageClassification(config, backend=backend)
    _torch.load(ours, _torch.to_ours(dict(theirs.named_parameters())))
    x = _torch.images(config, batch)
    labels = np.arange(batch) * 7 % config.num_classes
    expected = theirs(torch.tensor(x)).logits
    assert expected.abs().max() > 0.5, "logits near zero would agree by themselves"
    ours.set_train(False)
    got = ours(Tensor(x)).asnumpy()
    assert np.abs(got - expected.detach().numpy()).max() <= logits_within

    loss = torch.nn.functional.cross_entropy(expected, torch.tensor(labels))
    loss.backward()
    gradients = _torch.to_ours({n: p.grad for n, p in theirs.named_parameters()})
    ours.set_train(True)
    step = ms.value_and_grad(nn.WithLossCell(ours, nn.CrossEntropyLoss()), None, ours.trainable_params())
    value, got = step(Tensor(x), Tensor(labels.astype(np.int32)))
    assert abs(float(value.asnumpy()) / loss.item() - 1) <= 1e-4
    for parameter, gradient in zip(ours.trainable_params(), got):
        reference = gradients[parameter.name]
        error = np.linalg.norm(gradient.asnumpy() - reference) / np.linalg.norm(reference)
        assert error <= gradients_within, f"{parameter.name}: relative error {error:.2g}"


def test_vit_base_p16(graph_mode):
    """Full size. Random weights as large as these amplify rounding more than trained ones do."""
    config = create_config("vit_base_p16", global_pool="token", drop_path_rate=0.0)
    _compare(config, 2, "cpu", logits_within=1e-4, gradients_within=1e-3)


SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3, "image_size": 32, "patch_size": 8, "num_classes": 11,
         "global_pool": "token", "drop_path_rate": 0.0}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("changes", [
    {},
    {"image_size": (48, 32), "patch_size": 16},  # taller than wide
    {"image_size": (28, 42), "patch_size": 14},  # wider than tall
    {"image_size": 64, "patch_size": 32},
    {"in_chans": 1, "mlp_ratio": 2.5},
    {"hidden_act": "gelu_tanh"},
    {"layer_norm_eps": 0.1},
    {"qkv_bias": False},
    {"num_heads": 1},
], ids=str)
def test_variants(graph_mode, backend, changes):
    _compare(ViTConfig(**{**SMALL, **changes}), 3, backend, logits_within=2e-5, gradients_within=2e-5)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_pynative(backend, pynative_mode):
    _compare(ViTConfig(**SMALL), 3, backend, logits_within=2e-5, gradients_within=2e-5)


def test_ten_steps_of_adamw(graph_mode):
    """ViT-Ti/16 at full size: the package's step and optimizer against torch's."""
    from vit_kernels.training.optimizer import AdamW
    from vit_kernels.training.param_groups import has_weight_decay, parameter_groups
    from vit_kernels.training.step import TrainStep

    config = create_config("vit_tiny_p16", global_pool="token", drop_path_rate=0.0, num_classes=10)
    theirs = _torch.hugging_face(config)
    ours = ViTForImageClassification(config, backend="cpu")
    _torch.load(ours, _torch.to_ours(dict(theirs.named_parameters())))
    decayed, plain = [], []
    for name, parameter in theirs.named_parameters():
        decayed_there = parameter.ndim > 1 and "cls_token" not in name and "position_embeddings" not in name
        (decayed if decayed_there else plain).append(parameter)
    assert sum(p.numel() for p in decayed) == sum(p.size for p in ours.trainable_params()
                                                  if has_weight_decay(p.name, tuple(p.shape)))
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
                                  lr=3e-4, betas=(0.9, 0.999), eps=1e-8)
    step = TrainStep(ours, AdamW(parameter_groups(ours, 0.05), 3e-4))
    expected, got = [], []
    for i in range(10):
        x = _torch.images(config, 4, seed=i % 3)
        targets = np.eye(10, dtype=np.float32)[np.arange(4) + i % 3]
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)).logits, torch.tensor(targets))
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
        got.append(float(step(Tensor(x), Tensor(targets)).asnumpy()))
    assert expected[9] < 0.8 * expected[0], "the steps must have done something"
    np.testing.assert_allclose(got, expected, rtol=1e-3)
