"""MindFormerBook's lists, the Auto classes, and what they promise exists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from vit_kernels import AutoConfig, AutoModel, AutoProcessor, MindFormerBook, ViTConfig, ViTProcessor, create_config

ROOT = Path(__file__).resolve().parents[1]


def test_every_getter_has_a_shower(capsys):
    getters = [name[4:] for name in dir(MindFormerBook) if name.startswith("get_")]
    assert len(getters) >= 10
    for name in getters:
        getattr(MindFormerBook, f"show_{name}")()
        shown = capsys.readouterr().out
        value = getattr(MindFormerBook, f"get_{name}")()
        assert shown.startswith(name.replace("_", " ")) and all(str(item) in shown for item in ([value] if isinstance(value, str) else value))


def test_the_recipes_it_names_exist():
    """Trap: the card's link to the recipe named a file that does not exist."""
    for models in MindFormerBook.get_trainer_support_task_list().values():
        for name, recipe in models.items():
            assert yaml.safe_load((ROOT / recipe).read_text())["trainer"]["model_name"] == name
            assert create_config(name).embed_dim
    assert MindFormerBook.get_trainer_support_model_list("image_classification") == ["vit_base_p16"]
    with pytest.raises(KeyError, match="image_classification"):
        MindFormerBook.get_trainer_support_model_list("translation")


def test_folders(monkeypatch):
    monkeypatch.setenv("CHECKPOINT_DOWNLOAD_FOLDER", "x")
    monkeypatch.setenv("CHECKPOINT_SAVE_FOLDER", "y")
    MindFormerBook.set_default_checkpoint_download_folder("a/b")
    MindFormerBook.set_default_checkpoint_save_folder("c")
    assert MindFormerBook.get_default_checkpoint_download_folder() == "a/b"
    assert MindFormerBook.get_model_ckpt_path_list()["mae_vit_base_p16"] == "a/b/mae/mae_vit_base_p16.ckpt"
    assert ViTConfig().save_pretrained().startswith("c/")


def test_auto_classes(capsys):
    AutoModel.show_support_list()
    assert capsys.readouterr().out.startswith("support list of AutoModel is:\n   ['vit_base_p16']\n")
    fields = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 32, "num_labels": 3}
    path = ViTConfig(**fields).save_pretrained("folder", "mine")
    for config in (ViTConfig(**fields), fields, path):
        assert AutoModel.from_config(config).head.weight.shape == (3, 64)
    assert AutoConfig.from_pretrained(path).depth == 1
    image = np.zeros((300, 300, 3), np.uint8)
    assert AutoProcessor.from_pretrained("vit_base_p16_384")(image)["image"].shape == (1, 3, 384, 384)
    Path("p.yaml").write_text("processor: {type: ViTProcessor, image_processor: {type: ViTImageProcessor, size: 96, resize: 100}}")
    processor = AutoProcessor.from_pretrained("p.yaml")
    assert isinstance(processor, ViTProcessor) and processor(image)["image"].shape == (1, 3, 96, 96)
