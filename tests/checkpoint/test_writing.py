"""Writing: readable by its owners' libraries, atomic, and never more than a tensor in memory."""

from __future__ import annotations

import os

import numpy as np
import pytest
import safetensors.numpy
import torch

from tests.checkpoint._models import timm_weights
from vit_kernels.checkpoint import CheckpointError, save


def arrays():
    return {name: tensor.numpy() for name, tensor in timm_weights().items()}


@pytest.mark.parametrize("dtype", [None, "fp16", "bf16"])
def test_torch_reads_it_with_weights_only(tmp_path, dtype):
    save(tmp_path / "x.pth", arrays(), dtype=dtype)
    theirs = torch.load(tmp_path / "x.pth", weights_only=True)
    kind = {None: torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    assert list(theirs) == list(arrays())
    for name, array in arrays().items():
        assert theirs[name].dtype == kind and torch.equal(theirs[name], torch.tensor(array).to(kind))
    assert torch.load(tmp_path / "x.pth", weights_only=True, mmap=True).keys() == theirs.keys()


def test_safetensors_reads_it(tmp_path):
    save(tmp_path / "x.safetensors", arrays())
    theirs = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    assert {n: a.tobytes() for n, a in theirs.items()} == {n: a.tobytes() for n, a in arrays().items()}


def test_mindspore_reads_it(tmp_path):
    import mindspore as ms

    save(tmp_path / "x.ckpt", arrays())
    theirs = ms.load_checkpoint(str(tmp_path / "x.ckpt"))
    assert {n: p.asnumpy().tobytes() for n, p in theirs.items()} == {n: a.tobytes() for n, a in arrays().items()}


def test_numpy_reads_it(tmp_path):
    save(tmp_path / "x.npz", arrays(), config={"num_heads": 2})
    with np.load(tmp_path / "x.npz", allow_pickle=False) as theirs:
        np.testing.assert_array_equal(theirs["head/kernel"].T, arrays()["head.weight"])


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.safetensors"
    save(path, arrays())
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="holds 1e\\+06, fp16 ends at 65504; write bf16 or fp32"):
        save(path, {**arrays(), "norm.bias": np.full(128, 1e6, np.float32)}, dtype="fp16")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.safetensors"]


def test_a_full_disk(tmp_path, monkeypatch):
    import errno

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="the disk is full"):
        save(tmp_path / "x.ckpt", arrays())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kwargs, says", [
    ({"target": "onnx"}, "unknown target 'onnx', expected one of ckpt"), ({"dtype": "int8"}, "unknown dtype 'int8'")])
def test_wrong_words(tmp_path, kwargs, says):
    with pytest.raises(CheckpointError, match=says):
        save(tmp_path / "x.pth", arrays(), **kwargs)


def test_an_extension_that_says_nothing(tmp_path):
    with pytest.raises(CheckpointError, match="its extension names no format"):
        save(tmp_path / "x.weights", arrays())


def test_a_missing_folder(tmp_path):
    with pytest.raises(CheckpointError, match="cannot write .*No such file"):
        save(tmp_path / "nowhere/x.pth", arrays())


def test_nothing_to_write(tmp_path):
    with pytest.raises(CheckpointError, match="no tensors"):
        save(tmp_path / "x.pth", {})


def test_parameters_of_a_model_can_be_written(tmp_path):
    from vit_kernels.models import ViTConfig, ViTForImageClassification

    net = ViTForImageClassification(ViTConfig(embed_dim=64, depth=1, num_heads=1, image_size=16, patch_size=8, num_classes=2),
                                    backend="reference")
    save(tmp_path / "x.pth", {p.name: p for p in net.get_parameters()})
    theirs = torch.load(tmp_path / "x.pth", weights_only=True)
    np.testing.assert_array_equal(theirs["pos_embed"].numpy(), net.pos_embed.asnumpy())
