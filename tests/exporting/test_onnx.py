"""ONNX files in onnxruntime against a plain float64 torch ViT, and against transformers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.exporting._models import VARIANTS, close, expected, images_for, random_model
from tests.models import _torch
from vit_kernels import ViTConfig, ViTForImageClassification, ViTModel
from vit_kernels.export import export
from vit_kernels.exporting import onnx_file


def session_of(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(session, images):
    return session.run(None, {"images": images})


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_configuration_and_batch_size(variant):
    model = random_model(**VARIANTS[variant])
    images = images_for(model)
    wanted = expected(model, images)
    done = export(model, "model.onnx", check=False)
    onnx.checker.check_model("model.onnx", full_check=True)
    session = session_of("model.onnx")
    assert [i.name for i in session.get_inputs()] == ["images"]
    assert session.get_inputs()[0].shape == ["batch", model.config.in_chans, *model.config.image_hw]
    name = "logits" if model.config.num_classes else "features"
    assert [(o.name, o.shape) for o in session.get_outputs()] == [(name, ["batch", wanted.shape[1]])]
    assert done["outputs"] == [{"name": name, "shape": ["batch", wanted.shape[1]], "dtype": "float32"}]
    for batch in (1, 3, 8):
        close(run(session, images[:batch])[0], wanted[:batch])


def test_against_transformers():
    config = ViTConfig(embed_dim=64, depth=3, num_heads=4, image_size=32, patch_size=8, num_classes=6, global_pool="token",
                       layer_norm_eps=1e-3)
    theirs = _torch.hugging_face(config)
    ours = ViTForImageClassification(config)
    _torch.load(ours, _torch.to_ours(dict(theirs.named_parameters())))
    export(ours, "model.onnx", returns=("tokens", "logits"), check=False)
    images = _torch.images(config, 3)
    with torch.no_grad():
        tokens = theirs.vit(torch.tensor(images)).last_hidden_state.numpy()
        logits = theirs(torch.tensor(images)).logits.numpy()
    got = run(session_of("model.onnx"), images)
    np.testing.assert_allclose(got[0], tokens, atol=5e-5)
    np.testing.assert_allclose(got[1], logits, atol=5e-5)


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_all_outputs_of_a_model_without_classifier(pool):
    """ViTModel has no head whatever its configuration says; pooling the returned tokens gives the returned features."""
    model = random_model(ViTModel, num_classes=7, global_pool=pool, reg_tokens=2)
    images = images_for(model)
    done = export(model, "model.onnx", returns=("features", "tokens"), check=False)
    assert [o["name"] for o in done["outputs"]] == ["features", "tokens"]
    features, tokens = run(session_of("model.onnx"), images)
    close(features, expected(model, images))
    assert tokens.shape == (8, 12, 32)
    if pool == "token":
        np.testing.assert_array_equal(tokens[:, 0], features)
    else:
        weight, bias = (p.asnumpy() for p in model.fc_norm.get_parameters())
        mean = torch.tensor(tokens[:, 3:].mean(1))
        again = torch.nn.functional.layer_norm(mean, (32,), torch.tensor(weight), torch.tensor(bias), 1e-6)
        np.testing.assert_allclose(features, again.numpy(), atol=1e-5)


def test_features_of_a_classifier():
    model = random_model(global_pool="avg")
    images = images_for(model)
    export(model, "model.onnx", returns=["features"], check=False)
    close(run(session_of("model.onnx"), images)[0], expected(model, images, drop=("head.weight", "head.bias")))
    names = {i.name for i in onnx.load("model.onnx").graph.initializer}
    assert not any(name.startswith("head") for name in names)


def test_fixed_batch_size():
    model = random_model()
    export(model, "model.onnx", batch=3, check=False)
    session, images = session_of("model.onnx"), images_for(model)
    assert session.get_inputs()[0].shape[0] == 3 and session.get_outputs()[0].shape == [3, 5]
    close(run(session, images[:3])[0], expected(model, images[:3]))
    with pytest.raises(Exception, match="(?i)dimension"):
        run(session, images[:2])


def test_weights_keep_their_names_and_values():
    model = random_model(init_values=0.1)
    export(model, "model.onnx", check=False)
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load("model.onnx").graph.initializer}
    for parameter in model.get_parameters():
        value, name = parameter.asnumpy(), parameter.name
        if name in stored:
            np.testing.assert_array_equal(stored[name], value)
        elif name + ".t" in stored:
            np.testing.assert_array_equal(stored[name + ".t"], value.T)
        else:
            assert name in ("cls_token", "pos_embed")


def test_weights_beside_the_graph(monkeypatch, tmp_path):
    """What happens above protobuf's 2 GB, with the limit lowered."""
    monkeypatch.setattr(onnx_file, "SINGLE_FILE_LIMIT", 1000)
    model = random_model()
    done = export(model, "sub/model.onnx")
    assert sorted(os.listdir("sub")) == ["model.onnx", "model.onnx.data"]
    assert sorted(Path(name).name for name in done["files"]) == ["model.onnx", "model.onnx.data"]
    assert done["bytes"] == sum(os.path.getsize(f"sub/{name}") for name in os.listdir("sub"))
    assert os.path.getsize("sub/model.onnx.data") > 2 * os.path.getsize("sub/model.onnx")
    os.rename("sub", "moved")  # the two files know each other by name, not by folder
    onnx.checker.check_model("moved/model.onnx", full_check=True)
    for tensor in onnx.load("moved/model.onnx", load_external_data=False).graph.initializer:
        facts = {entry.key: entry.value for entry in tensor.external_data}
        if facts:
            assert facts["location"] == "model.onnx.data" and int(facts["offset"]) % 4096 == 0
    images = images_for(model)
    close(run(session_of("moved/model.onnx"), images)[0], expected(model, images))


def test_old_runtimes_read_it():
    export(random_model(), "model.onnx", check=False)
    model = onnx.load("model.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version == 8 and model.producer_name == "vit_kernels"
    assert json.loads({p.key: p.value for p in model.metadata_props}["config"])["embed_dim"] == 32
