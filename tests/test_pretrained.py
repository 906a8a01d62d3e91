"""from_pretrained, save_pretrained and show_support_list, against torch's logits and the files themselves."""

from __future__ import annotations

import os
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import torch
import yaml

from tests.checkpoint._models import images, timm_forward, timm_weights
from tests.test_download import at, server  # noqa: F401
from vit_kernels import AutoConfig, AutoModel, ViTConfig, ViTForImageClassification, ViTModel
from vit_kernels import checkpoint, convert
from vit_kernels.checkpoint import CheckpointError, CheckpointMismatch
from vit_kernels.download import DownloadError
from vit_kernels.models.vit import config as config_module


@pytest.fixture
def tiny_base(monkeypatch):
    """'vit_base_p16' means a model of two narrow blocks."""
    monkeypatch.setitem(config_module._SIZES, "base", (128, 2, 2))


def base_weights(norm: str = "fc_norm", classes: int = 7, seed: int = 0):
    """Weights with timm's names for tiny_base at 32 x 32."""
    return timm_weights(patch=16, grid=2, norm=norm, classes=classes, seed=seed)


def put(state, path: str, *words: str) -> None:
    torch.save({"model": state}, "source.pth")
    assert convert.main(["--input", "source.pth", "--output", path, *words]) == 0


def logits(model, x=None):
    return model.set_train(False)(ms.Tensor(images() if x is None else x)).asnumpy()


def expected(state):
    with torch.no_grad():
        return timm_forward(state, torch.from_numpy(images())).numpy()


def test_show_support_list(capsys):
    for cls in (ViTForImageClassification, ViTModel, ViTConfig):
        cls.show_support_list()
        lines = capsys.readouterr().out.splitlines()
        assert lines == [f"support list of {cls.__name__} is:", "   ['vit_base_p16']", "-" * 37]
        assert cls.get_support_list() == ["vit_base_p16"]


# -- configurations ----------------------------------------------------------------------------------------------------


def test_config_by_name():
    config = ViTConfig.from_pretrained("vit_base_p16")
    assert (config.patch_size, config.in_chans, config.embed_dim, config.depth, config.num_heads, config.mlp_ratio,
            config.image_size, config.num_classes) == (16, 3, 768, 12, 12, 4, 224, 1000)
    assert config.layer_norm_eps == 1e-6  # trap: the recipe's value, neither 1e-12 nor MindSpore's 1e-7
    assert config.checkpoint_name_or_path == "vit_base_p16"
    assert ViTConfig.from_pretrained(pretrained_model_name_or_path="vit_large_p16", num_labels=5).num_classes == 5
    assert AutoConfig.from_pretrained("vit_base_p16") == config


@pytest.mark.parametrize("fields", [
    {}, {"hidden_size": 96, "num_hidden_layers": 5, "num_attention_heads": 3, "intermediate_size": 200},
    {"embed_dim": 96, "num_heads": 3, "mlp_ratio": 4.3, "image_size": (32, 64), "global_pool": "token", "reg_tokens": 4,
     "init_values": 0.1, "hidden_act": "gelu_tanh", "drop_path_rate": 0.25, "num_classes": 3, "qkv_bias": False},
])
def test_config_round_trip(fields):
    """Trap: a saved configuration came back with the base model's sizes."""
    config = ViTConfig(**fields)
    path = config.save_pretrained("folder", "mine")
    assert path == "folder/mine.yaml"
    assert ViTConfig.from_pretrained(path) == config == ViTConfig.from_pretrained("folder")
    document = yaml.safe_load(Path(path).read_text())
    assert document["model"]["arch"]["type"] == "ViTForImageClassification"
    assert document["model"]["model_config"]["hidden_size"] == config.embed_dim
    assert ViTConfig.from_pretrained(path, depth=1).depth == 1


def test_save_folder_variable(monkeypatch):
    assert ViTConfig().save_pretrained() == os.path.join("checkpoint_save", "mindspore_model.yaml")
    monkeypatch.setenv("CHECKPOINT_SAVE_FOLDER", "elsewhere")
    assert ViTConfig().save_pretrained(save_name="x") == os.path.join("elsewhere", "x.yaml")


def test_config_errors():
    with pytest.raises(ValueError, match="unknown model 'resnet50'.*vit_base_p16"):
        ViTConfig.from_pretrained("resnet50")
    for odd in (None, 3, ""):
        with pytest.raises(TypeError, match="expected a name"):
            ViTConfig.from_pretrained(odd)
    Path("a.txt").write_text("x")
    with pytest.raises(ValueError, match="not named .yaml"):
        ViTConfig.from_pretrained("a.txt")
    for text, message in (("- 1", "expected a mapping"), ("a: [", "cannot be read as YAML"),
                          ("model: {model_config: 3}", "model_config"),
                          ("model: {model_config: {hiden_size: 3}}", "did you mean 'hidden_size'"),
                          ("a: !!python/object/apply:os.system ['true']", "cannot be read as YAML")):
        Path("a.yaml").write_text(text)
        with pytest.raises((ValueError, TypeError), match=message):
            ViTConfig.from_pretrained("a.yaml")
    with pytest.raises(ValueError, match="cannot be read"):
        ViTConfig.from_pretrained("missing.yaml")


# -- models ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["mindformers", "ckpt"])
def test_model_by_name(tiny_base, graph_mode, target):
    state = base_weights()
    put(state, "checkpoint_download/vit/vit_base_p16.ckpt", "--to", target)
    model = ViTForImageClassification.from_pretrained("vit_base_p16")
    assert abs(logits(model) - expected(state)).max() < 1e-4
    # The card's second way: the configuration names the weights.
    config = ViTConfig.from_pretrained("vit_base_p16", image_size=32, num_classes=7)
    second = ViTForImageClassification(config)
    assert second.config.checkpoint_name_or_path is None and config.checkpoint_name_or_path == "vit_base_p16"
    np.testing.assert_array_equal(logits(second), logits(model))


def test_folder_variable_and_other_owner(tiny_base, monkeypatch, graph_mode):
    monkeypatch.setenv("CHECKPOINT_DOWNLOAD_FOLDER", "cache")
    state = base_weights()
    put(state, "cache/mindspore/vit/vit_base_p16.ckpt")
    assert abs(logits(AutoModel.from_pretrained("mindspore/vit_base_p16")) - expected(state)).max() < 1e-4


def test_weights_that_are_not_there(monkeypatch):
    """Trap: a failed download left random weights."""
    for make in (lambda: ViTForImageClassification.from_pretrained("vit_base_p16"),
                 lambda: ViTModel(ViTConfig.from_pretrained("vit_base_p16", depth=1))):
        with pytest.raises(CheckpointError) as caught:
            make()
        text = str(caught.value)
        assert "vit_base_p16.ckpt in the folder checkpoint_download/vit" in text
        assert "python -m vit_kernels.convert --input mae_finetuned_vit_base.pth --output checkpoint_download/vit/vit_base_p16.ckpt" \
            in text
    monkeypatch.setenv("CHECKPOINT_DOWNLOAD_FOLDER", "/nowhere/cache")
    with pytest.raises(CheckpointError, match="/nowhere/cache/vit"):
        ViTForImageClassification.from_pretrained("vit_base_p16")
    with pytest.raises(ValueError, match="unknown model"):
        ViTForImageClassification.from_pretrained("resnet50")
    with pytest.raises(CheckpointError, match="no/such/file.ckpt does not exist"):
        ViTForImageClassification.from_pretrained("no/such/file.ckpt")


def test_the_command_in_the_message_works(tiny_base):
    torch.save({"model": base_weights()}, "mae_finetuned_vit_base.pth")
    with pytest.raises(CheckpointError) as caught:
        ViTForImageClassification.from_pretrained("vit_base_p16")
    command = str(caught.value).split("python -m vit_kernels.convert ")[1].split()
    assert convert.main(command) == 0
    assert ViTForImageClassification.from_pretrained("vit_base_p16").config.num_classes == 7


def test_without_weights_on_request(tiny_base):
    model = ViTForImageClassification.from_pretrained("vit_base_p16", download_checkpoint=False, num_labels=3, image_size=32)
    assert model.head.weight.shape == (3, 128)


def test_mae_name_gets_a_new_head(tiny_base, caplog):
    state = base_weights("norm", classes=0)
    put(state, "checkpoint_download/mae/mae_vit_base_p16.ckpt")
    model = ViTForImageClassification.from_pretrained("mae_vit_base_p16", num_classes=4)
    assert model.config.global_pool == "avg" and model.head.weight.shape == (4, 128)
    np.testing.assert_array_equal(model.cls_token.asnumpy(), state["cls_token"].numpy())
    assert "keeps its starting values" in caplog.text


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.ckpt"])
def test_model_from_a_file(name, graph_mode):
    state = timm_weights()
    put(state, name)
    model = ViTForImageClassification.from_pretrained(name)
    assert abs(logits(model) - expected(state)).max() < 1e-4
    assert logits(ViTModel.from_pretrained(name)).shape == (2, 128)


def test_save_and_load(graph_mode):
    config = ViTConfig(embed_dim=96, depth=2, num_heads=4, image_size=32, patch_size=8, num_classes=5, global_pool="token",
                       init_values=0.1, reg_tokens=2, layer_norm_eps=1e-5)  # what a .ckpt alone does not show
    model = ViTForImageClassification(config, seed=3)
    assert model.save_pretrained("folder", "mine") == ("folder/mine.ckpt", "folder/mine.yaml")
    for where in ("folder", "folder/mine.ckpt"):
        again = ViTForImageClassification.from_pretrained(where)
        assert again.config == config
        np.testing.assert_array_equal(logits(again), logits(model))
    with pytest.raises(ValueError, match="save_name"):
        model.save_pretrained("folder", "../mine")


def test_model_errors(tiny_base):
    put(base_weights(classes=0, norm="norm"), "backbone.pth")
    with pytest.raises(CheckpointError, match="backbone without a classifier"):
        ViTForImageClassification.from_pretrained("backbone.pth")
    put(base_weights(), "w.pth")
    with pytest.raises(CheckpointMismatch, match="new_head=True"):
        ViTForImageClassification.from_pretrained("w.pth", num_classes=3)
    assert ViTForImageClassification.from_pretrained("w.pth", num_classes=3, new_head=True).config.num_classes == 3
    put(timm_weights(patch=8), "checkpoint_download/vit/vit_base_p16.ckpt")
    with pytest.raises(CheckpointError, match="patch_size 8, vit_base_p16 has 16"):
        ViTForImageClassification.from_pretrained("vit_base_p16")
    os.mkdir("empty")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        ViTForImageClassification.from_pretrained("empty")


def test_address(server, monkeypatch):  # noqa: F811
    for seed in (0, 1):  # the same file name at two addresses: neither stands for the other
        state = timm_weights(seed=seed)
        put(state, "w.safetensors")
        monkeypatch.setattr("tests.test_download.BODY", Path("w.safetensors").read_bytes())
        for _ in range(2):
            model = ViTForImageClassification.from_pretrained(at(server, f"/{seed}/w.safetensors"))
            np.testing.assert_array_equal(model.head.weight.asnumpy(), state["head.weight"].numpy())
    assert server.asked == ["/0/w.safetensors", "/1/w.safetensors"]
    assert len(list(Path("checkpoint_download").glob("*/w.safetensors"))) == 2
    with pytest.raises(DownloadError, match="404"):
        ViTForImageClassification.from_pretrained(at(server, "/missing.ckpt"))


def test_own_checkpoints_stay_independent_of_names(tiny_base):
    """A model that was started from a name must not ask for that name's file when it is loaded again."""
    put(base_weights(), "checkpoint_download/vit/vit_base_p16.ckpt")
    model = ViTForImageClassification(ViTConfig.from_pretrained("vit_base_p16", image_size=32, num_classes=7))
    model.save_pretrained("folder")
    os.remove("checkpoint_download/vit/vit_base_p16.ckpt")
    assert ViTForImageClassification.from_pretrained("folder").config.num_classes == 7
    assert checkpoint.load("folder/mindspore_model.ckpt").vocabulary == "timm"
