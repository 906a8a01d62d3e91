"""The convert command: what it writes against torch and NumPy, its flags, its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.checkpoint._models import hf_vit, images, timm_forward, timm_weights
from vit_kernels import _cli, checkpoint, convert

ROOT = Path(__file__).resolve().parents[1]


def run(*words) -> int:
    return _cli.run(convert.main, [str(word) for word in words])


def result(text: str) -> dict:
    return json.loads(text.split("--result\n", 1)[1])


@pytest.fixture
def weights(tmp_path):
    state = timm_weights(norm="fc_norm")
    torch.save({"model": state, "epoch": 7}, tmp_path / "mae.pth")
    return state


@pytest.mark.parametrize("to, name", [("ckpt", "a.ckpt"), ("mindformers", "a.ckpt"), ("mindcv", "a.ckpt"), ("safetensors", "a.st"),
                                      ("timm", "a.safetensors"), ("pth", "a.pth")])
def test_every_value_arrives(weights, to, name, capsys):
    assert run("--input", "mae.pth", "--output", name, "--to", to) == 0
    out = capsys.readouterr().out
    assert f"{len(weights)} tensors mapped, 0 unmapped" in out and "Weights conversion completes." in out
    assert result(out)["mapped"] == len(weights) and result(out)["bytes"] == os.path.getsize(name)
    read = dict(checkpoint.load(name).arrays())
    assert read.keys() == weights.keys()
    for key, value in weights.items():
        np.testing.assert_array_equal(read[key], value.numpy(), err_msg=key)


def test_pth_is_for_torch(weights):
    assert run("--input", "mae.pth", "--output", "b.pth") == 0
    read = torch.load("b.pth", weights_only=True)
    read = read.get("model", read)
    assert all(torch.equal(read[name], value) for name, value in weights.items())


def test_mindformers_names_and_transposes(weights):
    import mindspore as ms

    assert run("--torch_path", "mae.pth", "--mindspore_path", "folder/vit_base_p16.ckpt") == 0
    read = {name: p.asnumpy() for name, p in ms.load_checkpoint("folder/vit_base_p16.ckpt").items()}
    qkv = weights["blocks.1.attn.qkv.weight"].numpy()
    for i in range(3):
        np.testing.assert_array_equal(read[f"vit.blocks.1.attention.dense{i + 1}.weight"], np.split(qkv, 3)[i])
    np.testing.assert_array_equal(read["vit.blocks.0.output.mapping.weight"], weights["blocks.0.mlp.fc1.weight"].numpy().T)
    np.testing.assert_array_equal(read["vit.cls_tokens"], weights["cls_token"].numpy())
    np.testing.assert_array_equal(read["head.weight"], weights["head.weight"].numpy())


@pytest.mark.parametrize("source, output", [("--torch_path", "--mindspore_path"), ("--torch_pth_path", "--ms_ckpt_path")])
def test_the_cards_command(weights, source, output):
    """Trap: the converter's flags were not those of its documentation."""
    script = ROOT / "vit_kernels/models/vit/convert_weight.py"
    done = subprocess.run([sys.executable, str(script), source, "mae.pth", output, "out.ckpt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Weights conversion completes." in done.stdout
    assert checkpoint.load("out.ckpt").vocabulary == "mindformers"


def test_transformers_opens_what_was_written(tmp_path):
    from transformers import ViTForImageClassification

    state = timm_weights()
    torch.save(state, "timm.pth")
    assert run("--input", "timm.pth", "--output", "folder", "--to", "hf", "--num-heads", 2) == 0
    model = ViTForImageClassification.from_pretrained("folder").eval()
    x = torch.from_numpy(images())
    with torch.no_grad():
        assert (model(x).logits - timm_forward(state, x)).abs().max() < 1e-4


def test_hugging_face_to_google(tmp_path):
    hf_vit().save_pretrained("hf")
    assert run("--input", "hf", "--output", "g.npz") == 0
    with np.load("g.npz") as arrays:
        assert arrays["Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel"].shape == (128, 2, 64)


@pytest.mark.parametrize("dtype, torch_dtype", [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_dtype(weights, dtype, torch_dtype):
    assert run("--input", "mae.pth", "--output", "c.pth", "--dtype", dtype) == 0
    read = torch.load("c.pth", weights_only=True)
    read = read.get("model", read)
    assert all(torch.equal(read[name], value.to(torch_dtype)) for name, value in weights.items())


def test_unknown_tensors_are_refused(tmp_path, capsys):
    torch.save({**timm_weights(), "blocks.0.attn.q_norm.weight": torch.ones(64)}, "odd.pth")
    assert run("--input", "odd.pth", "--output", "odd.ckpt") == 1
    assert "q_norm" in capsys.readouterr().err and not os.path.exists("odd.ckpt")
    assert run("--input", "odd.pth", "--output", "odd.ckpt", "--allow-unmapped") == 0
    assert "1 unmapped" in capsys.readouterr().out


@pytest.mark.parametrize("words, code, message", [
    (["--input", "nothing.pth", "--output", "a.ckpt"], 1, "nothing.pth does not exist"),
    (["--input", "mae.pth", "--output", "a.xyz"], 2, "extension names no format"),
    (["--input", "mae.pth"], 2, "required"),
    (["--input", "mae.pth", "--output", "a.ckpt", "--to", "keras"], 2, "invalid choice"),
    (["--input", "text.pth", "--output", "a.ckpt"], 1, "none of the known formats"),
    (["--input", "mae.pth", "--output", "mae.pth/a.ckpt"], 1, "cannot make the folder"),
])
def test_errors(weights, words, code, message, capsys):
    Path("text.pth").write_text("these are not weights, whatever the name says")
    before = set(os.listdir())
    assert run(*words) == code
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
    assert set(os.listdir()) == before


def test_a_failed_write_leaves_the_old_file(weights):
    Path("out.ckpt").write_bytes(b"old")
    Path("mae.pth").write_bytes(Path("mae.pth").read_bytes()[:os.path.getsize("mae.pth") // 2])
    assert run("--input", "mae.pth", "--output", "out.ckpt") == 1
    assert Path("out.ckpt").read_bytes() == b"old" and not [name for name in os.listdir() if name.endswith(".tmp")]
