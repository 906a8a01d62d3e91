"""Names: every tensor of every vocabulary, there and back, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.checkpoint._models import dinov2, hf_vit, timm_weights
from vit_kernels.checkpoint import CheckpointError, load, save
from vit_kernels.checkpoint.vocabularies import template_of

# target of `save` -> (vocabulary it is read back as, suffix)
TARGETS = {"ckpt": ("timm", ".ckpt"), "mindformers": ("mindformers", ".ckpt"), "mindcv": ("mindcv", ".ckpt"),
           "safetensors": ("timm", ".safetensors"), "timm": ("timm", ".safetensors"), "hf": ("hf-vit", ".safetensors"),
           "pth": ("timm", ".pth"), "google": ("google", ".npz")}
CONFIG = {"embed_dim": 128, "depth": 2, "num_heads": 2, "image_size": 32, "patch_size": 8, "in_chans": 3, "qkv_bias": True,
          "layer_norm_eps": 1e-6, "hidden_act": "gelu", "num_classes": 7, "mlp_ratio": 4.0}


def arrays(**kwargs) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in timm_weights(**kwargs).items()}


@pytest.mark.parametrize("target", TARGETS)
def test_round_trip_is_exact(tmp_path, target):
    weights = arrays()
    vocabulary, suffix = TARGETS[target]
    save(tmp_path / f"x{suffix}", weights, target, config=CONFIG)
    back = load(tmp_path / f"x{suffix}")
    assert back.vocabulary == vocabulary and not back.unexpected
    assert set(back.tensors) == set(weights)
    for name, tensor in back.tensors.items():
        np.testing.assert_array_equal(tensor.read(), weights[name], err_msg=name)


def test_chain_through_all_vocabularies_is_exact(tmp_path):
    weights = arrays()
    tensors = weights
    for step, target in enumerate(["mindformers", "hf", "google", "mindcv", "pth", "timm", "ckpt"]):
        path = tmp_path / f"{step}{TARGETS[target][1]}"
        save(path, tensors, target, config=CONFIG)
        tensors = load(path).tensors
    for name, array in weights.items():
        np.testing.assert_array_equal(tensors[name].read(), array, err_msg=name)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("target", ["ckpt", "safetensors", "pth", "mindformers"])
def test_short_types_round_as_torch_does(tmp_path, target, dtype):
    weights = arrays()
    path = tmp_path / f"x{TARGETS[target][1]}"
    save(path, weights, target, dtype)
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    for name, tensor in load(path).tensors.items():
        expected = torch.tensor(weights[name]).to(kind).float().numpy()
        np.testing.assert_array_equal(np.asarray(tensor.read(), np.float32), expected, err_msg=name)


def test_scaled_models_with_registers_keep_their_own_tensors(tmp_path):
    weights = arrays(norm="norm", scaled=True, registers=3, classes=0)
    for target, suffix in (("hf", ".safetensors"), ("timm", ".safetensors"), ("pth", ".pth")):
        save(tmp_path / f"{target}{suffix}", weights, target, config={**CONFIG, "num_classes": 0, "reg_tokens": 3})
        back = load(tmp_path / f"{target}{suffix}")
        assert {name: tensor.read().tobytes() for name, tensor in back.tensors.items()} == \
            {name: array.tobytes() for name, array in weights.items()}


@pytest.mark.parametrize("target, kwargs, what", [
    ("google", {"scaled": True}, "ls1.gamma"), ("mindformers", {"registers": 2}, "reg_token"),
    ("google", {"norm": "fc_norm"}, "fc_norm.weight")])
def test_a_name_that_a_vocabulary_lacks_is_refused(tmp_path, target, kwargs, what):
    with pytest.raises(CheckpointError, match=f"has no name for .*{what}"):
        save(tmp_path / "x", arrays(**kwargs), target, config=CONFIG)
    assert not list(tmp_path.iterdir())


# The tables once more, written down independently: two blocks' worth of names per project.
def expected_mindformers() -> set[str]:
    names = {"vit.cls_tokens", "vit.pos_embed", "vit.patch_embed.proj.weight", "vit.patch_embed.proj.bias",
             "vit.layernorm.gamma", "vit.layernorm.beta", "head.weight", "head.bias"}
    for i in range(2):
        b = f"vit.blocks.{i}."
        names |= {b + f"layernorm{k}.{p}" for k in (1, 2) for p in ("gamma", "beta")}
        names |= {b + f"attention.{m}.{p}" for m in ("projection", "dense1", "dense2", "dense3") for p in ("weight", "bias")}
        names |= {b + f"output.{m}.{p}" for m in ("mapping", "projection") for p in ("weight", "bias")}
    return names


def raw_names(path) -> dict[str, tuple[int, ...]]:
    from vit_kernels.checkpoint.formats import read_file

    return {name: tensor.shape for name, tensor in read_file(str(path)).tensors.items()}


def test_mindformers_names_and_layouts(tmp_path):
    weights = arrays()
    save(tmp_path / "mf.ckpt", weights, "mindformers")
    shapes = raw_names(tmp_path / "mf.ckpt")
    assert set(shapes) == expected_mindformers()
    # its attention projection and both MLP weights are (in, out); query, key and value are (out, in)
    assert shapes["vit.blocks.0.output.mapping.weight"] == (128, 512)
    assert shapes["vit.blocks.0.output.projection.weight"] == (512, 128)
    assert shapes["vit.blocks.0.attention.dense1.weight"] == (128, 128)
    import mindspore as ms

    theirs = ms.load_checkpoint(str(tmp_path / "mf.ckpt"))
    qkv = weights["blocks.1.attn.qkv.weight"]
    for k, name in enumerate(("dense1", "dense2", "dense3")):
        np.testing.assert_array_equal(theirs[f"vit.blocks.1.attention.{name}.weight"].asnumpy(), qkv[128 * k:128 * (k + 1)])
    np.testing.assert_array_equal(theirs["vit.blocks.1.attention.projection.weight"].asnumpy(),
                                  weights["blocks.1.attn.proj.weight"].T)
    np.testing.assert_array_equal(theirs["vit.blocks.1.output.mapping.weight"].asnumpy(), weights["blocks.1.mlp.fc1.weight"].T)


def test_mindformers_full_base_model_has_200_tensors(tmp_path):
    """The published vit_base_p16 has 200 tensors; a twelve-block model of any width must come to the same names."""
    weights = arrays(depth=12, norm="fc_norm", width=64)
    save(tmp_path / "mf.ckpt", weights, "mindformers")
    assert len(raw_names(tmp_path / "mf.ckpt")) == 200


@pytest.mark.parametrize("rename", [
    lambda n: n, lambda n: n.removeprefix("vit."), lambda n: "backbone." + n], ids=["v1.0", "r0.2 without prefix", "wrapped"])
def test_mindformers_prefixes(tmp_path, rename):
    import mindspore as ms

    weights = arrays(norm="fc_norm")
    save(tmp_path / "mf.ckpt", weights, "mindformers")
    theirs = ms.load_checkpoint(str(tmp_path / "mf.ckpt"))
    ms.save_checkpoint([{"name": rename(name), "data": ms.Tensor(p.asnumpy())} for name, p in theirs.items()],
                       str(tmp_path / "renamed.ckpt"))
    back = load(tmp_path / "renamed.ckpt")
    assert back.vocabulary == "mindformers" and set(back.tensors) == set(weights), back.unexpected


def test_mindformers_training_checkpoint_ignores_the_optimizer(tmp_path):
    import mindspore as ms

    weights = arrays()
    save(tmp_path / "mf.ckpt", weights, "mindformers")
    theirs = ms.load_checkpoint(str(tmp_path / "mf.ckpt"))
    items = [{"name": name, "data": ms.Tensor(p.asnumpy())} for name, p in theirs.items()]
    items += [{"name": "adam_m." + i["name"], "data": i["data"]} for i in items[:5]]
    items += [{"name": "global_step", "data": ms.Tensor([3], ms.int32)}, {"name": "loss_scale", "data": ms.Tensor(1024.0)},
              {"name": "epoch_num", "data": ms.Tensor(4)}, {"name": "learning_rate", "data": ms.Tensor(1e-3)}]
    ms.save_checkpoint(items, str(tmp_path / "training.ckpt"))
    back = load(tmp_path / "training.ckpt")
    assert set(back.tensors) == set(weights) and not back.unexpected and len(back.ignored) == 9


def test_mindcv_names(tmp_path):
    save(tmp_path / "cv.ckpt", arrays(), "mindcv")
    names = raw_names(tmp_path / "cv.ckpt")
    assert {"blocks.0.norm1.gamma", "blocks.1.norm2.beta", "norm.gamma", "blocks.0.attn.qkv.weight", "head.bias"} <= set(names)
    assert not any("norm" in name and name.endswith("weight") for name in names)


@pytest.mark.parametrize("make", [hf_vit, dinov2, lambda: dinov2(4)], ids=["vit", "dinov2", "registers"])
def test_every_tensor_of_transformers_is_accounted_for(tmp_path, make):
    theirs = make()
    theirs.save_pretrained(tmp_path / "hf")
    back = load(tmp_path / "hf")
    assert not back.unexpected
    used = {name for names in back.sources.values() for name in names}
    assert used | set(back.ignored) == set(raw_names(tmp_path / "hf/model.safetensors"))
    assert all("mask_token" in name for name in back.ignored)


def big_vision(weights: dict[str, np.ndarray], stacked: bool) -> dict[str, np.ndarray]:
    """A big_vision checkpoint written from the published layout, by hand."""
    w, heads, dim, out = weights, 2, 64, {}
    out["params/cls"], out["params/pos_embedding"] = w["cls_token"], w["pos_embed"]
    out["params/embedding/kernel"] = w["patch_embed.proj.weight"].transpose(2, 3, 1, 0)
    out["params/embedding/bias"] = w["patch_embed.proj.bias"]
    blocks = []
    for i in range(2):
        b, block = f"blocks.{i}.", {}
        for ours, theirs in (("norm1", "LayerNorm_0"), ("norm2", "LayerNorm_1")):
            block[f"{theirs}/scale"], block[f"{theirs}/bias"] = w[f"{b}{ours}.weight"], w[f"{b}{ours}.bias"]
        for k, name in enumerate(("query", "key", "value")):
            rows = slice(128 * k, 128 * (k + 1))
            block[f"MultiHeadDotProductAttention_0/{name}/kernel"] = w[b + "attn.qkv.weight"][rows].T.reshape(128, heads, dim)
            block[f"MultiHeadDotProductAttention_0/{name}/bias"] = w[b + "attn.qkv.bias"][rows].reshape(heads, dim)
        block["MultiHeadDotProductAttention_0/out/kernel"] = w[b + "attn.proj.weight"].T.reshape(heads, dim, 128)
        block["MultiHeadDotProductAttention_0/out/bias"] = w[b + "attn.proj.bias"]
        for k in (0, 1):
            block[f"MlpBlock_0/Dense_{k}/kernel"] = w[f"{b}mlp.fc{k + 1}.weight"].T
            block[f"MlpBlock_0/Dense_{k}/bias"] = w[f"{b}mlp.fc{k + 1}.bias"]
        blocks.append(block)
    for name in blocks[0]:
        if stacked:
            out[f"params/Transformer/encoderblock/{name}"] = np.stack([block[name] for block in blocks])
        else:
            out.update({f"params/Transformer/encoderblock_{i}/{name}": block[name] for i, block in enumerate(blocks)})
    out["params/Transformer/encoder_norm/scale"], out["params/Transformer/encoder_norm/bias"] = w["norm.weight"], w["norm.bias"]
    out["params/head/kernel"], out["params/head/bias"] = w["head.weight"].T, w["head.bias"]
    return out


@pytest.mark.parametrize("stacked", [False, True])
def test_big_vision(tmp_path, stacked):
    weights = arrays()
    np.savez(tmp_path / "bv.npz", **big_vision(weights, stacked))
    back = load(tmp_path / "bv.npz")
    assert back.vocabulary == "big-vision" and back.metadata["num_heads"] == 2 and not back.unexpected
    for name, array in weights.items():
        np.testing.assert_array_equal(back.tensors[name].read(), array, err_msg=name)


def test_google_optimizer_prefix_and_odd_biases(tmp_path):
    """Training checkpoints of vision_transformer put 'opt/target/' in front; some keep biases as (1, 1, 1, N)."""
    weights = arrays()
    save(tmp_path / "g.npz", weights, "google", config=CONFIG)
    with np.load(tmp_path / "g.npz") as file:
        named = {"opt/target/" + name: file[name] for name in file.files}
    bias = "opt/target/embedding/bias"
    named[bias] = named[bias].reshape(1, 1, 1, -1)
    np.savez(tmp_path / "odd.npz", **named, **{"opt/target/pre_logits/kernel": np.zeros((4, 4), np.float32)})
    back = load(tmp_path / "odd.npz")
    assert not back.unexpected and list(back.ignored) == ["opt/target/pre_logits/kernel"]
    for name, array in weights.items():
        np.testing.assert_array_equal(back.tensors[name].read(), array, err_msg=name)


def test_data_parallel_prefix(tmp_path):
    torch.save({"state_dict": {"module." + n: t for n, t in timm_weights().items()}}, tmp_path / "x.pth.tar")
    back = load(tmp_path / "x.pth.tar")
    assert set(back.tensors) == set(timm_weights()) and not back.unexpected


def test_an_unknown_name_is_reported_not_guessed(tmp_path):
    torch.save({**timm_weights(), "blocks.0.attn.lora_a.weight": torch.zeros(2, 2)}, tmp_path / "x.pth")
    assert load(tmp_path / "x.pth").unexpected == ["blocks.0.attn.lora_a.weight"]


def test_another_kind_of_model_is_refused(tmp_path):
    torch.save({"layer1.0.conv1.weight": torch.zeros(8, 8, 3, 3), "fc.weight": torch.zeros(10, 8)}, tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match="belong to no known Vision Transformer"):
        load(tmp_path / "resnet.pth")


def test_template_of():
    assert template_of("blocks.3.norm1.weight") == ("blocks.{i}.norm1.weight", 3)
    assert template_of("head.weight") == ("head.weight", None)
    assert template_of("blocks.03.norm1.weight") == ("blocks.03.norm1.weight", None)
