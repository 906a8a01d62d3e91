"""This project's checkpoints: everything comes back, nothing is half-written, damage is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor
from safetensors.numpy import load_file, save_file

from vit_kernels import ViTConfig, ViTForImageClassification
from vit_kernels.checkpoint import CheckpointError
from vit_kernels.data import Preprocessing
from vit_kernels.errors import OutputError
from vit_kernels.training import checkpoint_io
from vit_kernels.training.optimizer import AdamW

CONFIG = ViTConfig(image_size=8, patch_size=4, in_chans=1, embed_dim=16, depth=1, num_heads=1, num_classes=3)


def a_checkpoint(seed: int = 1) -> checkpoint_io.Checkpoint:
    model = ViTForImageClassification(CONFIG, backend="reference", seed=seed)
    optimizer = AdamW(model.trainable_params())
    optimizer.load_state({n: np.random.default_rng(i).random(a.shape).astype(a.dtype) if a.ndim else a
                          for i, (n, a) in enumerate(optimizer.state().items())})
    return checkpoint_io.Checkpoint(CONFIG, Preprocessing((8, 8), (0.3,), (0.4,)), ["a", "ö", "c"],
                                    checkpoint_io.weights_of(model), optimizer.state(), {"epoch": 3, "dataset": "digits"})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.safetensors"
    checkpoint_io.save(path, a_checkpoint())
    return path


def test_round_trip(saved, graph_mode):
    before, after = a_checkpoint(), checkpoint_io.load(saved, optimizer=True)
    assert (after.config, after.preprocessing, after.classes, after.training) == \
        (before.config, before.preprocessing, before.classes, before.training)
    for ours, theirs in ((before.weights, after.weights), (before.optimizer, after.optimizer)):
        assert ours.keys() == theirs.keys() and ours
        assert all((ours[n] == theirs[n]).all() and ours[n].dtype == theirs[n].dtype for n in ours)
    x = Tensor(np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32))
    expected = ViTForImageClassification(CONFIG, backend="reference", seed=1)(x).asnumpy()
    np.testing.assert_array_equal(after.build("reference")(x).asnumpy(), expected)


def test_any_safetensors_reader_can_open_it(saved):
    tensors = load_file(saved)
    assert {n for n in tensors if not n.startswith("optimizer.")} == set(a_checkpoint().weights)


def test_the_optimizer_is_read_only_on_request(saved):
    assert checkpoint_io.load(saved).optimizer == {}


def test_a_write_that_fails_half_way_keeps_the_old_file(saved, monkeypatch):
    old = saved.read_bytes()

    def half(tensors, path, metadata):
        Path(path).write_bytes(old[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_io, "save_file", half)
    with pytest.raises(OutputError, match="No space left on device; free space there"):
        checkpoint_io.save(saved, a_checkpoint(2))
    assert saved.read_bytes() == old and os.listdir(saved.parent) == [saved.name]


def test_damaged_files(saved, tmp_path):
    data = saved.read_bytes()
    for cut in (0, 5, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.safetensors").write_bytes(data[:cut])
        with pytest.raises(CheckpointError, match="cut.safetensors is not a checkpoint, or damaged"):
            checkpoint_io.load(tmp_path / "cut.safetensors")
    (tmp_path / "text").write_text("hello\n" * 1000)
    with pytest.raises(CheckpointError, match="text is not a checkpoint"):
        checkpoint_io.load(tmp_path / "text")
    with pytest.raises(CheckpointError, match="is a folder"):
        checkpoint_io.load(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint_io.load(tmp_path / "none")


@pytest.mark.parametrize("header, says", [
    (None, "has no vit_kernels header"), ("{", "header is damaged"), ("[]", "header is damaged"), ("{}", "header is damaged"),
    (json.dumps({"config": {"embed_dim": -5}, "preprocessing": {}, "classes": [], "training": {}}), "header is damaged"),
    (json.dumps({"config": {}, "preprocessing": {"mean": "x"}, "classes": [], "training": {}}), "header is damaged")])
def test_headers(tmp_path, header, says):
    path = tmp_path / "x.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, path, metadata=None if header is None else {"vit_kernels": header})
    with pytest.raises(CheckpointError, match=says):
        checkpoint_io.load(path)


def test_weights_of_another_model_change_nothing():
    model = ViTForImageClassification(CONFIG, backend="reference", seed=3)
    before = checkpoint_io.weights_of(model)
    other = ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, in_chans=1, embed_dim=32, depth=2, num_heads=1,
                                                num_classes=3), backend="reference", seed=4)
    with pytest.raises(CheckpointError, match="blocks.1.*is not in the model.*and [0-9]+ more"):
        checkpoint_io.load_weights(model, checkpoint_io.weights_of(other))
    missing = {n: a for n, a in before.items() if n != "head.bias"}
    with pytest.raises(CheckpointError, match="head.bias is missing"):
        checkpoint_io.load_weights(model, missing)
    after = checkpoint_io.weights_of(model)
    assert all((before[n] == after[n]).all() for n in before)
