"""The same weights, loaded here, give what they gave at home: transformers' models and a plain-torch ViT."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch
from mindspore import Tensor

from tests.checkpoint._models import dinov2, hf_vit, images, timm_forward, timm_weights
from vit_kernels.checkpoint import load, load_checkpoint_into
from vit_kernels.models import ViTConfig, ViTForImageClassification

pytestmark = pytest.mark.usefixtures("graph_mode")


def ours(path, backend="cpu", **changes):
    """The model a checkpoint describes, with its weights; every tensor must find its place."""
    checkpoint = load(path)
    model = ViTForImageClassification(ViTConfig(**{**checkpoint.config, **changes}), backend=backend).set_train(False)
    report = load_checkpoint_into(model, checkpoint)
    assert report.complete, str(report)
    return model


def difference(model, expected: torch.Tensor, x: np.ndarray) -> float:
    return float(np.abs(model(Tensor(x)).asnumpy() - expected.detach().numpy()).max())


def test_hf_classifier_folder(tmp_path):
    theirs, x = hf_vit(), images()
    theirs.save_pretrained(tmp_path / "hf")
    model = ours(tmp_path / "hf")
    assert model.config.num_classes == 7 and model.config.layer_norm_eps == 1e-6
    with torch.no_grad():
        assert difference(model, theirs(torch.tensor(x)).logits, x) <= 1e-4


def test_hf_classifier_sharded(tmp_path):
    theirs, x = hf_vit(), images()
    theirs.save_pretrained(tmp_path / "hf", max_shard_size="300kB")
    assert (tmp_path / "hf/model.safetensors.index.json").exists()
    with torch.no_grad():
        assert difference(ours(tmp_path / "hf"), theirs(torch.tensor(x)).logits, x) <= 1e-4


def test_hf_state_dict_saved_with_torch(tmp_path):
    """torch.save(model.state_dict()) carries the module names of the installed transformers, whatever its release."""
    theirs, x = hf_vit(), images()
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    model = ours(tmp_path / "pytorch_model.bin", layer_norm_eps=1e-6)
    with torch.no_grad():
        assert difference(model, theirs(torch.tensor(x)).logits, x) <= 1e-4


@pytest.mark.parametrize("registers", [0, 4])
def test_dinov2_backbone(tmp_path, registers):
    theirs = dinov2(registers, image_size=70)
    theirs.save_pretrained(tmp_path / "dino")
    model, x = ours(tmp_path / "dino"), images(70)
    assert (model.config.patch_size, model.config.reg_tokens) == (14, registers)
    with torch.no_grad():
        expected = theirs(torch.tensor(x)).last_hidden_state
    tokens = model.forward_features(Tensor(x)).asnumpy()
    assert np.abs(tokens - expected.numpy()).max() <= 1e-4


def test_dinov2_position_grid_of_37(tmp_path):
    """DINOv2 is published with 37 x 37 positions and used at other sizes."""
    theirs = dinov2()
    theirs.save_pretrained(tmp_path / "dino")
    checkpoint = load(tmp_path / "dino")
    assert checkpoint.config["image_size"] == 518 and checkpoint.tensors["pos_embed"].shape == (1, 1 + 37 * 37, 128)
    model = ViTForImageClassification(ViTConfig(**{**checkpoint.config, "image_size": 70}), backend="cpu").set_train(False)
    report = load_checkpoint_into(model, checkpoint)
    assert "37 x 37 resampled to 5 x 5" in report.reshaped["pos_embed"]
    grid = theirs.embeddings.position_embeddings[:, 1:].detach().unflatten(1, (37, 37)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(grid, size=(5, 5), mode="bicubic", align_corners=False)
    got = model.pos_embed.asnumpy()[:, 1:].reshape(1, 5, 5, 128).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(got, expected.numpy(), atol=2e-6)


@pytest.mark.parametrize("norm", ["norm", "fc_norm"])
@pytest.mark.parametrize("scaled, registers", [(False, 0), (True, 3)])
def test_timm_classifier(tmp_path, norm, scaled, registers):
    weights, x = timm_weights(norm=norm, scaled=scaled, registers=registers), images()
    safetensors.torch.save_file(weights, tmp_path / "timm.safetensors")
    model = ours(tmp_path / "timm.safetensors")
    assert model.config.global_pool == ("avg" if norm == "fc_norm" else "token")
    assert difference(model, timm_forward(weights, torch.tensor(x)), x) <= 1e-4


def test_timm_without_qkv_bias(tmp_path):
    weights, x = timm_weights(), images()
    biases = {name: weights[name] for name in weights if name.endswith("qkv.bias")}
    expected = timm_forward({**weights, **{name: torch.zeros_like(b) for name, b in biases.items()}}, torch.tensor(x))
    torch.save({name: w for name, w in weights.items() if name not in biases}, tmp_path / "timm.pth")
    model = ours(tmp_path / "timm.pth")
    assert not model.config.qkv_bias and difference(model, expected, x) <= 1e-4


def test_mae_encoder(tmp_path):
    """The pre-training file: weights under 'model', a decoder and a mask token beside them, no head."""
    weights, x = timm_weights(classes=0), images()
    extra = {"mask_token": torch.zeros(1, 1, 32), "decoder_embed.weight": torch.zeros(32, 128),
             "decoder_blocks.0.norm1.weight": torch.zeros(32)}
    import argparse

    torch.save({"model": {**weights, **extra}, "epoch": 1599, "args": argparse.Namespace(lr=1e-3)}, tmp_path / "mae.pth")
    checkpoint = load(tmp_path / "mae.pth")
    assert checkpoint.config["num_classes"] == 0
    assert set(extra) <= set(checkpoint.ignored) and {"args", "epoch"} <= set(checkpoint.ignored)
    assert difference(ours(tmp_path / "mae.pth"), timm_forward(weights, torch.tensor(x)), x) <= 1e-4


def test_google_file_uses_the_tanh_gelu(tmp_path):
    """Flax's gelu approximates by default, so weights trained with it want hidden_act gelu_tanh."""
    from vit_kernels.checkpoint import save

    weights, x = timm_weights(), images()
    save(tmp_path / "google.npz", {name: w.numpy() for name, w in weights.items()}, "google",
         config={"num_heads": 2})
    model = ours(tmp_path / "google.npz")
    assert (model.config.num_heads, model.config.hidden_act) == (2, "gelu_tanh")
    assert difference(model, timm_forward(weights, torch.tensor(x), gelu="tanh"), x) <= 1e-4


def test_backends_agree_on_loaded_weights(tmp_path):
    weights, x = timm_weights(), images()
    safetensors.torch.save_file(weights, tmp_path / "timm.safetensors")
    results = [ours(tmp_path / "timm.safetensors", backend)(Tensor(x)).asnumpy() for backend in ("cpu", "reference")]
    np.testing.assert_allclose(*results, atol=1e-5)


def test_what_we_write_transformers_reads(tmp_path):
    from transformers import ViTForImageClassification as Theirs

    from vit_kernels.checkpoint import save

    weights, x = timm_weights(), images()
    save(tmp_path / "out", {name: w.numpy() for name, w in weights.items()}, "hf", config={
        "embed_dim": 128, "depth": 2, "num_heads": 2, "image_size": 32, "patch_size": 8, "in_chans": 3, "qkv_bias": True,
        "layer_norm_eps": 1e-6, "hidden_act": "gelu", "num_classes": 7, "mlp_ratio": 4.0})
    theirs = Theirs.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        got = theirs(torch.tensor(x)).logits
    assert (got - timm_forward(weights, torch.tensor(x))).abs().max() <= 1e-4
