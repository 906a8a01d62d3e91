"""The model's variants against a plain float64 torch ViT: pooling, LayerScale, registers, dropping, image shapes, errors."""

from __future__ import annotations

import itertools

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from tests.checkpoint._models import timm_forward
from tests.models import _torch
from vit_kernels import ViTConfig, ViTForImageClassification, ViTModel
from vit_kernels.models.vit.layers import Dropout, DropPath

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "image_size": 24, "patch_size": 8, "num_classes": 5,
         "drop_path_rate": 0.0}


def _weights(model, seed=0):
    """Random float64 arrays for every parameter, gains around one; set in the model too (in fp32)."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for parameter in model.get_parameters():
        gain = parameter.name.endswith("gamma") or "norm" in parameter.name and parameter.name.endswith("weight")
        value = (gain + 0.15 * rng.standard_normal(parameter.shape)).astype(np.float32)
        parameter.set_data(Tensor(value))
        arrays[parameter.name] = torch.tensor(value.astype(np.float64), requires_grad=True)
    return arrays


def _compare(config, backend, within=1e-5):
    model = ViTForImageClassification(config, backend=backend)
    weights = _weights(model)
    x = _torch.images(config, 3)
    no_bias = {f"blocks.{i}.attn.qkv.bias": torch.zeros(3 * config.embed_dim, dtype=torch.float64)
               for i in range(config.depth)}
    expected = timm_forward({**no_bias, **weights}, torch.tensor(x, dtype=torch.float64), config.num_heads,
                            config.layer_norm_eps, config.approximate)
    for training in (False, True):
        model.set_train(training)
        got = model(Tensor(x)).asnumpy()
        assert got.shape == expected.shape
        assert np.abs(got - expected.detach().numpy()).max() <= within * max(1, expected.abs().max().item())
    cotangent = np.random.default_rng(5).standard_normal(tuple(expected.shape)).astype(np.float32)
    (expected * torch.tensor(cotangent)).sum().backward()
    gradients = ms.grad(_Weighted(model, cotangent).set_train(True), None, model.trainable_params())(Tensor(x))
    for parameter, gradient in zip(model.trainable_params(), gradients):
        reference = weights[parameter.name].grad.numpy()
        error = np.abs(gradient.asnumpy() - reference).max()
        assert error <= within * max(1, np.abs(reference).max()), f"{parameter.name}: {error}"


class _Weighted(nn.Cell):
    def __init__(self, model, weights):
        super().__init__(auto_prefix=False)
        self.model, self.weights = model, Tensor(weights)

    def construct(self, images):
        return (self.model(images) * self.weights).sum()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("changes", [
    {"global_pool": "avg"},
    {"global_pool": "token"},
    {"global_pool": "avg", "init_values": 0.5, "reg_tokens": 3, "image_size": (16, 40)},
    {"global_pool": "token", "init_values": 0.5, "reg_tokens": 1, "qkv_bias": False},
    {"num_classes": 0, "hidden_act": "gelu_tanh", "layer_norm_eps": 0.01},
], ids=str)
def test_variants(graph_mode, backend, changes):
    _compare(ViTConfig(**{**SMALL, **changes}), backend)


def test_both_modes(mode):
    _compare(ViTConfig(**SMALL, init_values=0.5, reg_tokens=2), "cpu")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_drop_path_keeps_or_drops_whole_branches(graph_mode, backend):
    """In training every image's output is that of one of the four ways to keep or drop the last block's branches."""
    config = ViTConfig(**{**SMALL, "drop_path_rate": 0.5, "init_values": 0.5})
    model = ViTForImageClassification(config, backend=backend)
    weights = {name: value.detach() for name, value in _weights(model).items()}
    x = _torch.images(config, 32)
    candidates = []
    for factors in itertools.product((0.0, 2.0), repeat=2):  # 1 / keep probability = 2
        scaled = {**weights, "blocks.1.ls1.gamma": weights["blocks.1.ls1.gamma"] * factors[0],
                  "blocks.1.ls2.gamma": weights["blocks.1.ls2.gamma"] * factors[1]}
        candidates.append(timm_forward(scaled, torch.tensor(x, dtype=torch.float64), 2).numpy())
    model.set_train(True)
    got = np.concatenate([model(Tensor(x)).asnumpy(), model(Tensor(x)).asnumpy()])
    errors = np.stack([np.abs(got - np.concatenate([c, c])).max(-1) for c in candidates])
    assert errors.min(0).max() <= 2e-5
    assert set(errors.argmin(0)) == {0, 1, 2, 3}, "64 draws must show every combination"
    assert (errors.argmin(0)[:32] != errors.argmin(0)[32:]).any(), "every step draws anew"
    model.set_train(False)
    expected = timm_forward(weights, torch.tensor(x, dtype=torch.float64), 2).numpy()
    assert np.abs(model(Tensor(x)).asnumpy() - expected).max() <= 2e-5


def test_drop_path_rises_linearly_with_depth():
    model = ViTModel(ViTConfig(**{**SMALL, "depth": 5, "drop_path_rate": 0.2}))
    keeps = [block.drop_path2.mask.keep if block.drop_path2.active else 1.0 for block in model.blocks]
    np.testing.assert_allclose(keeps, [1.0, 0.95, 0.9, 0.85, 0.8])


@pytest.mark.parametrize("kind, shape", [(Dropout, (40, 50, 20)), (DropPath, (4000, 3, 2))])
def test_drop_rates(mode, kind, shape):
    cell = kind(0.25, 1)
    x = Tensor(np.ones(shape, np.float32))
    assert (cell.set_train(False)(x).asnumpy() == 1).all()
    kept = cell.set_train(True)(x).asnumpy()
    assert set(np.unique(kept)) == {0.0, np.float32(1 / 0.75)}
    assert abs((kept > 0).mean() - 0.75) < 0.03
    if kind is DropPath:
        assert (kept == kept[:, :1, :1]).all()


def test_dropout_changes_training_only(graph_mode):
    model = ViTForImageClassification(ViTConfig(**{**SMALL, "drop_rate": 0.1, "attention_dropout_rate": 0.1}))
    weights = {name: value.detach() for name, value in _weights(model).items()}
    x = _torch.images(model.config, 2)
    expected = timm_forward(weights, torch.tensor(x, dtype=torch.float64), 2).numpy()
    assert np.abs(model.set_train(False)(Tensor(x)).asnumpy() - expected).max() <= 2e-5
    model.set_train(True)
    first, second = model(Tensor(x)).asnumpy(), model(Tensor(x)).asnumpy()
    assert np.abs(first - second).max() > 1e-3
    gradients = ms.grad(_Weighted(model, np.ones_like(first)).set_train(True), None, model.trainable_params())(Tensor(x))
    assert all(np.isfinite(g.asnumpy()).all() for g in gradients)


def test_attention_dropout_has_the_right_mean(graph_mode):
    """Averaged over many draws, dropping probabilities out changes nothing in a linear read-out of one block."""
    config = ViTConfig(**{**SMALL, "depth": 1, "attention_dropout_rate": 0.3})
    attention = ViTModel(config).blocks[0].attn
    x = Tensor(np.random.default_rng(0).standard_normal((1, 6, 32)).astype(np.float32))
    for parameter in attention.get_parameters():
        parameter.set_data(Tensor(np.random.default_rng(1).standard_normal(parameter.shape).astype(np.float32) * 0.3))
    expected = attention.set_train(False)(x).asnumpy()
    attention.set_train(True)
    draws = np.stack([attention(x).asnumpy() for _ in range(400)])
    spread = draws.std(0) / len(draws) ** 0.5
    assert (np.abs(draws.mean(0) - expected) < 5 * spread + 1e-5).all() and draws.std(0).min() > 1e-3


@pytest.mark.parametrize("patch, size", [(8, 24), (14, 28), (16, (32, 16)), (32, 64)])
def test_patch_sizes(graph_mode, patch, size):
    _compare(ViTConfig(**{**SMALL, "patch_size": patch, "image_size": size}), "cpu", within=3e-5)


def test_half_precision_images(graph_mode):
    """float16 activations throughout, parameters stay fp32; bfloat16 is widened, as stock CPU operators have none."""
    config = ViTConfig(**SMALL)
    model = ViTForImageClassification(config, backend="cpu")
    _weights(model)
    x = Tensor(_torch.images(config, 2))
    expected = model(x).asnumpy()
    for dtype, out, within in ((ms.float16, ms.float16, 1e-2), (ms.bfloat16, ms.float32, 5e-2)):
        got = model(x.astype(dtype))
        assert got.dtype == out
        assert np.abs(got.astype(ms.float32).asnumpy() - expected).max() <= within


def test_nan_stays_with_its_image(mode):
    config = ViTConfig(**SMALL)
    x = _torch.images(config, 3)
    x[1, 0, 5, 5] = np.nan
    got = ViTForImageClassification(config, backend="cpu").set_train(False)(Tensor(x)).asnumpy()
    assert np.isnan(got[1]).all() and np.isfinite(got[[0, 2]]).all()


def test_wrong_images(mode):
    model = ViTForImageClassification(ViTConfig(**SMALL))
    for shape in ((2, 3, 24, 32), (2, 1, 24, 24), (3, 24, 24), (2, 24, 24, 3)):
        with pytest.raises(ValueError, match=r"images have shape .*expected \(batch, 3, 24, 24\)"):
            model(Tensor(np.zeros(shape, np.float32)))
    with pytest.raises(ValueError, match="batch size 0"):
        model(Tensor(np.zeros((0, 3, 24, 24), np.float32)))


def test_backend_is_per_model(monkeypatch):
    monkeypatch.setenv("VIT_KERNELS_BACKEND", "reference")
    assert ViTModel(ViTConfig(**SMALL)).backend == "reference"
    fused = ViTForImageClassification(ViTConfig(**SMALL), backend="fused")
    assert fused.backend == "cpu"
    assert {cell.backend for _, cell in fused.cells_and_names() if hasattr(cell, "backend")} == {"cpu"}


@pytest.mark.parametrize("format", ["ckpt", "safetensors"])
def test_save_and_load(graph_mode, tmp_path, format):
    config = ViTConfig(**SMALL)
    model, x = ViTForImageClassification(config, seed=1), Tensor(_torch.images(config, 2))
    file = str(tmp_path / f"model.{format}")
    ms.save_checkpoint(model, file, format=format)
    again = ViTForImageClassification(config, seed=2)
    assert (again(x).asnumpy() != model(x).asnumpy()).any()
    missing, unexpected = ms.load_param_into_net(again, ms.load_checkpoint(file, format=format))
    assert not missing and not unexpected
    assert (again(x).asnumpy() == model(x).asnumpy()).all()


def test_recompute(graph_mode):
    """Recomputing every block gives the same gradients."""
    config = ViTConfig(**SMALL)
    x = Tensor(_torch.images(config, 2))
    results = []
    for recompute in (False, True):
        model = ViTForImageClassification(config, backend="cpu", seed=3)
        if recompute:
            for block in model.blocks:
                block.recompute()
        step = _Weighted(model, np.random.default_rng(0).standard_normal((2, 5)).astype(np.float32)).set_train(True)
        results.append([g.asnumpy() for g in ms.grad(step, None, model.trainable_params())(x)])
    for plain, recomputed in zip(*results):
        assert (plain == recomputed).all()


def test_two_threads_share_a_model(mode):
    """Requests of a threaded server: each gets its own answer."""
    import threading

    config = ViTConfig(**SMALL)
    model = ViTForImageClassification(config, backend="cpu").set_train(False)
    inputs = [Tensor(_torch.images(config, 2, seed)) for seed in (1, 2)]
    expected = [model(x).asnumpy().copy() for x in inputs]
    wrong = []

    def work(i):
        for _ in range(30):
            if not (model(inputs[i]).asnumpy() == expected[i]).all():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
