"""reset_classifier and set_image_size, before and after compilation, against plain torch on the same weights."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from tests.checkpoint._models import timm_forward
from tests.models import _torch
from tests.models.test_initialization import TRUNCATED
from vit_kernels import ViTConfig, ViTForImageClassification, ViTModel
from vit_kernels.training.optimizer import AdamW
from vit_kernels.training.param_groups import parameter_groups
from vit_kernels.training.step import TrainStep

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "image_size": 24, "patch_size": 8, "num_classes": 5, "drop_path_rate": 0.0}


def randomised(seed: int = 0, **changes) -> ViTForImageClassification:
    model = ViTForImageClassification(ViTConfig(**{**SMALL, **changes}), seed=seed).set_train(False)
    rng = np.random.default_rng(seed)
    for parameter in model.get_parameters():
        gain = "norm" in parameter.name and parameter.name.endswith("weight")
        parameter.set_data(Tensor((gain + 0.15 * rng.standard_normal(parameter.shape)).astype(np.float32)))
    return model


def arrays(model) -> dict[str, np.ndarray]:
    return {name: p.asnumpy().copy() for name, p in model.parameters_and_names()}


def in_torch(model, x: np.ndarray) -> np.ndarray:
    weights = {name: torch.tensor(value.astype(np.float64)) for name, value in arrays(model).items()}
    return timm_forward(weights, torch.tensor(x, dtype=torch.float64), model.config.num_heads).numpy()


def check_forward(model, batch: int = 2) -> None:
    x = _torch.images(model.config, batch)
    want = in_torch(model, x)
    got = model(Tensor(x)).asnumpy()
    assert got.shape == want.shape and np.abs(got - want).max() <= 1e-5 * max(1, np.abs(want).max())


# -- reset_classifier ----------------------------------------------------------------------------------------------------


def test_a_new_head_is_a_fresh_models(pynative_mode):
    model = randomised(embed_dim=192, num_heads=3)
    before = arrays(model)
    model.reset_classifier(50)
    after = arrays(model)
    assert list(after) == list(before) and model.config.num_classes == 50
    assert after["head.weight"].shape == (50, 192) and not after["head.bias"].any()
    assert np.abs(after["head.weight"]).max() <= 2 * 2e-5 * 1.0001
    assert after["head.weight"].std() == pytest.approx(2e-5 * TRUNCATED, rel=0.05)
    for name in before.keys() - {"head.weight", "head.bias"}:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    again = randomised(1, embed_dim=192, num_heads=3)
    again.reset_classifier(50, seed=7)
    first = again.head.weight.asnumpy().copy()
    again.reset_classifier(50, seed=7)
    np.testing.assert_array_equal(again.head.weight.asnumpy(), first)
    again.reset_classifier(50, seed=8)
    assert (again.head.weight.asnumpy() != first).any()


def test_the_new_head_counts_after_compilation(mode):
    model = randomised()
    wrapped = nn.SequentialCell([model]).set_train(False)
    x = Tensor(_torch.images(model.config, 2))
    assert model(x).shape == wrapped(x).shape == (2, 5)
    model.reset_classifier(9)
    model.head.weight.set_data(Tensor(np.random.default_rng(3).standard_normal((9, 32)).astype(np.float32)))
    check_forward(model)
    np.testing.assert_array_equal(wrapped(x).asnumpy(), model(x).asnumpy())
    model.reset_classifier(9)  # the same shape: the compiled graph must not go on with the old weights
    assert np.abs(model(x).asnumpy()).max() < 1e-2
    check_forward(model)


def test_no_classes_gives_features(mode):
    model = randomised()
    x = Tensor(_torch.images(model.config, 2))
    model(x)
    model.reset_classifier(0)
    assert model.config.num_classes == 0 and not any(name.startswith("head") for name in arrays(model))
    check_forward(model)
    body = ViTModel(model.config).set_train(False)
    _torch.load(body, arrays(model))
    np.testing.assert_allclose(model(x).asnumpy(), body(x).asnumpy(), atol=1e-6)
    model.reset_classifier(3)
    assert model(x).shape == (2, 3) and list(arrays(model))[-2:] == ["head.weight", "head.bias"]


def test_the_two_halves_of_the_forward_pass(mode):
    model = randomised()
    x = Tensor(_torch.images(model.config, 2))
    tokens = model.forward_features(x)
    np.testing.assert_allclose(model.forward_head(tokens).asnumpy(), in_torch(model, x.asnumpy()), atol=2e-5)
    features = model.forward_head(tokens, pre_logits=True).asnumpy()
    model.reset_classifier(0)
    assert features.shape == (2, 32)
    np.testing.assert_allclose(features, in_torch(model, x.asnumpy()), atol=2e-5)


@pytest.mark.parametrize("pools", [("avg", "token"), ("token", "avg")])
def test_another_pooling(mode, pools):
    """Its norm starts as a fresh model's, as it does when weights are loaded for fine-tuning."""
    model = randomised(global_pool=pools[0])
    x = Tensor(_torch.images(model.config, 2))
    model(x)
    model.reset_classifier(4, pools[1])
    fresh = ViTForImageClassification(ViTConfig(**{**SMALL, "num_classes": 4, "global_pool": pools[1]}))
    assert model.config == fresh.config and arrays(model).keys() == arrays(fresh).keys()
    norm = "fc_norm" if pools[1] == "avg" else "norm"
    assert (arrays(model)[norm + ".weight"] == 1).all() and not arrays(model)[norm + ".bias"].any()
    check_forward(model)
    model.reset_classifier(6, pools[1])  # the norm of the same pooling stays
    model.reset_classifier(6)
    assert model.config.global_pool == pools[1]


def test_the_optimizer_sees_the_new_head(mode):
    model = randomised()
    old = model.head.weight
    model.reset_classifier(3)
    groups = parameter_groups(model, 0.05, 0.65)
    seen = [p for group in groups for p in group["params"]]
    assert {p.name for p in seen} == set(arrays(model)) and not any(p is old for p in seen)
    before = arrays(model)
    step = TrainStep(model, AdamW(groups, np.full(2, 1e-2), 0.9, 0.999, 1e-8)).set_train()
    step(Tensor(_torch.images(model.config, 2)), Tensor(np.eye(3, dtype=np.float32)[:2]))
    assert (arrays(model)["head.weight"] != before["head.weight"]).all()
    assert model.training and model.head.training


@pytest.mark.parametrize("arguments", [(-1,), ("ten",), (2.0,), (True,), (3, "max"), (3, "")])
def test_refused_classifiers(arguments, pynative_mode):
    model = randomised()
    before, config = arrays(model), model.config
    with pytest.raises(ValueError, match="num_classes|global_pool"):
        model.reset_classifier(*arguments)
    assert model.config == config
    for name, value in arrays(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_the_callers_configuration_stays(pynative_mode):
    config = ViTConfig(**SMALL)
    model = ViTForImageClassification(config)
    model.reset_classifier(2)
    model.set_image_size(32)
    assert config.num_classes == 5 and config.image_size == 24


# -- set_image_size ------------------------------------------------------------------------------------------------------


def by_torch(pos: np.ndarray, old: tuple[int, int], new: tuple[int, int], antialias: bool = False) -> np.ndarray:
    grid = torch.tensor(pos[:, 1:].reshape(1, *old, -1)).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=new, mode="bicubic", align_corners=False, antialias=antialias)
    return np.concatenate([pos[:, :1], grid.permute(0, 2, 3, 1).reshape(1, new[0] * new[1], -1).numpy()], 1)


@pytest.mark.parametrize("changes, size, grid", [({}, 40, (5, 5)), ({"reg_tokens": 2, "global_pool": "token"}, (16, 48), (2, 6)),
                                                 ({"image_size": (16, 40)}, 24, (3, 3))], ids=str)
def test_another_size(mode, changes, size, grid):
    model = randomised(**changes)
    x = Tensor(_torch.images(model.config, 2))
    model(x)  # compiled
    before, old = arrays(model), model.config.grid
    model.set_image_size(size)
    assert model.config.image_size == size and model.config.grid == grid
    after = arrays(model)
    np.testing.assert_allclose(after["pos_embed"], by_torch(before["pos_embed"], old, grid), atol=1e-6)
    for name in before.keys() - {"pos_embed"}:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    built = ViTForImageClassification(model.config).set_train(False)
    _torch.load(built, arrays(model))
    new = Tensor(_torch.images(model.config, 2))
    np.testing.assert_array_equal(model(new).asnumpy(), built(new).asnumpy())
    if not changes.get("reg_tokens"):
        check_forward(model)
    with pytest.raises(ValueError, match="expected \\(batch, 3, "):  # images of the old size, whose graph is compiled
        model(x)
        ms.runtime.synchronize()


def test_as_loading_does(tmp_path, pynative_mode):
    from vit_kernels import checkpoint

    model = randomised(num_heads=1, embed_dim=64)
    checkpoint.save("small.safetensors", {p.name: p for p in model.get_parameters()})
    loaded = ViTForImageClassification.from_pretrained("small.safetensors", image_size=56)
    model.set_image_size(56)
    np.testing.assert_array_equal(model.pos_embed.asnumpy(), loaded.pos_embed.asnumpy())
    shrunk = randomised()
    before = shrunk.pos_embed.asnumpy()
    shrunk.set_image_size(16, antialias=True)
    np.testing.assert_allclose(shrunk.pos_embed.asnumpy(), by_torch(before, (3, 3), (2, 2), antialias=True), atol=1e-6)


def test_there_and_back_counts_the_new_weights(mode):
    model = randomised()
    wrapped = nn.SequentialCell([model]).set_train(False)
    x = Tensor(_torch.images(model.config, 2))
    old = wrapped(x).asnumpy()
    model.set_image_size(40)
    model.set_image_size(24)
    assert np.abs(wrapped(x).asnumpy() - old).max() > 0  # not the graph with the old positions
    np.testing.assert_array_equal(wrapped(x).asnumpy(), model(x).asnumpy())
    check_forward(model)


def test_frozen_positions_stay_frozen_and_train_otherwise(mode):
    model = randomised()
    model.pos_embed.requires_grad = False
    model.set_image_size(32)
    assert "pos_embed" not in {p.name for p in model.trainable_params()}
    model = randomised()
    model.set_image_size(32)
    before = arrays(model)
    step = TrainStep(model, AdamW(parameter_groups(model, 0.0, 1.0), np.full(2, 1e-2), 0.9, 0.999, 1e-8)).set_train()
    step(Tensor(_torch.images(model.config, 2)), Tensor(np.eye(5, dtype=np.float32)[:2]))
    assert (arrays(model)["pos_embed"] != before["pos_embed"]).any()


@pytest.mark.parametrize("size", [0, -8, 25, (24, 20), (24,), "24", 24.0, None])
def test_refused_sizes(size, pynative_mode):
    model = randomised()
    before, config = model.pos_embed.asnumpy(), model.config
    with pytest.raises(ValueError, match="image_size"):
        model.set_image_size(size)
    assert model.config == config
    np.testing.assert_array_equal(model.pos_embed.asnumpy(), before)
