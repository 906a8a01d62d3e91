"""Attention maps and intermediate layers against transformers' ViT; rollout and class-token maps against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mindspore import Tensor

from tests.models import _torch
from vit_kernels import ViTConfig, ViTForImageClassification
from vit_kernels.models.vit import attention_rollout, class_token_map

CONFIG = dict(image_size=(48, 32), patch_size=16, embed_dim=64, depth=3, num_heads=4, num_classes=5, drop_path_rate=0.0,
              global_pool="token", init_values=None)


@pytest.fixture(params=["cpu", "reference"])
def both(request, mode):
    """The model, transformers' twin of it, and images."""
    config = ViTConfig(**CONFIG)
    theirs = _torch.hugging_face(config)
    ours = ViTForImageClassification(config, backend=request.param).set_train(False)
    _torch.load(ours, _torch.to_ours(dict(theirs.named_parameters())))
    return ours, theirs, _torch.images(config, 2)


def test_attention_maps(both):
    ours, theirs, images = both
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images), output_attentions=True).attentions
    maps = ours.attention_maps(Tensor(images), layers=[0, 2, -2])
    for got, i in zip(maps, (0, 2, 1)):
        assert got.shape == (2, 4, 7, 7)
        np.testing.assert_allclose(got.asnumpy(), expected[i].numpy(), atol=1e-5)


def test_intermediate_layers(both):
    ours, theirs, images = both
    with torch.no_grad():
        hidden = theirs(torch.from_numpy(images), output_hidden_states=True).hidden_states
        normed = [theirs.vit.layernorm(h).numpy() for h in hidden[1:]]
    plain = ours.get_intermediate_layers(Tensor(images), n=[0, 1], norm=False)
    for got, i in zip(plain, (1, 2)):
        np.testing.assert_allclose(got.asnumpy(), hidden[i].numpy()[:, 1:], atol=2e-5)
    last, = ours.get_intermediate_layers(Tensor(images), n=1, reshape=True)
    np.testing.assert_allclose(last.asnumpy(), normed[2][:, 1:].transpose(0, 2, 1).reshape(2, 64, 3, 2), atol=2e-5)


def test_looking_changes_nothing(both):
    ours, _, images = both
    before = ours(Tensor(images)).asnumpy()
    ours.attention_maps(Tensor(images), layers=[1])
    np.testing.assert_array_equal(ours(Tensor(images)).asnumpy(), before)


def test_what_cannot_be_shown(mode):
    model = ViTForImageClassification(ViTConfig(**{**CONFIG, "global_pool": "avg"}), backend="reference").set_train(False)
    images = Tensor(_torch.images(model.config, 1))
    with pytest.raises(ValueError, match="block 3, the model has blocks 0 to 2"):
        model.attention_maps(images, layers=[3])
    with pytest.raises(ValueError, match="norm=False"):
        model.get_intermediate_layers(images)
    with pytest.raises(ValueError, match="set_train"):
        model.set_train(True).attention_maps(images)


def test_rollout():
    rng = np.random.default_rng(0)
    maps = [rng.dirichlet(np.ones(4), (2, 3, 4)) for _ in range(3)]
    expected = []
    for b in range(2):
        total = np.eye(4)
        for layer in maps:
            total = (layer[b].mean(0) + np.eye(4)) / 2 @ total
        expected.append(total)
    np.testing.assert_allclose(attention_rollout(maps), expected, rtol=1e-12)
    np.testing.assert_allclose(attention_rollout(maps).sum(-1), 1)
    with pytest.raises(ValueError, match="maps is empty"):
        attention_rollout([])


def test_class_token_map():
    attention = np.arange(2 * 8 * 8).reshape(2, 8, 8)
    got = class_token_map(attention, (2, 3))  # class token, one register, six patches
    np.testing.assert_array_equal(got, attention[:, 0, 2:].reshape(2, 2, 3))
    with pytest.raises(ValueError, match="at least 10"):
        class_token_map(attention, (3, 3))
