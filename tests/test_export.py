"""python -m vit_kernels.export: from every kind of source to a file that says how to feed it, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mindspore import Tensor
from PIL import Image

import vit_kernels
from tests._commands import call, refused
from tests.checkpoint._models import dinov2, hf_vit, images, timm_forward, timm_weights
from tests.exporting._models import SMALL, close, expected, images_for, random_model
from tests.exporting.test_mindir import read
from tests.test_eval import damaged
from vit_kernels import ViTForImageClassification, export, predict
from vit_kernels.data import load_dataset
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.exporting import files
from vit_kernels.exporting.onnx_graph import OnnxGraph
from vit_kernels.processor import prepare

ROOT = Path(__file__).resolve().parents[1]


def run(path, inputs):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"images": inputs})[0]


def notes_of(path):
    return {entry.key: json.loads(entry.value) for entry in onnx.load(str(path)).metadata_props}


@pytest.fixture
def timm_file():
    """A timm checkpoint in the working directory; its tensors."""
    weights = timm_weights()
    torch.save(weights, "timm.pth")
    return weights


# -- sources ------------------------------------------------------------------------------------------------------


def test_newest_run_and_the_file_alone_predicts(digits_run, monkeypatch, tmp_path):
    """Nothing but the ONNX file is used to classify an image file, and the scores are those of the predict command."""
    monkeypatch.chdir(digits_run.parents[1])
    ran = call(export.main, "--output", tmp_path / "digits.onnx")
    assert ran.code == 0, ran.err
    assert os.path.join("output", "run", "checkpoints", "best.safetensors") in ran.out
    assert ran.result["format"] == "onnx" and ran.result["opset"] == 17 and ran.result["max_abs_error"] < 1e-5
    assert ran.result["bytes"] == os.path.getsize(ran.result["file"]) and ran.result["files"] == [ran.result["file"]]
    Image.fromarray(load_dataset("digits").test.pixels[3]).save(tmp_path / "3.png")
    notes = notes_of(tmp_path / "digits.onnx")
    assert notes["classes"] == [str(i) for i in range(10)] and notes["config"]["embed_dim"] == 32
    with Image.open(tmp_path / "3.png") as image:
        inputs = prepare(Preprocessing.from_dict(notes["preprocessing"]), [image.convert("L")])
    logits = run(tmp_path / "digits.onnx", inputs)
    scores = torch.tensor(logits).double().softmax(1)[0]
    best = call(predict.main, "--topk", 3, tmp_path / "3.png").result
    assert [notes["classes"][int(k)] for k in scores.topk(3).indices] == [row["label"] for row in best]
    assert scores.topk(3).values.tolist() == pytest.approx([row["score"] for row in best], abs=1e-5)


def test_a_checkpoint_with_optimizer_state(digits_run):
    last = digits_run / "checkpoints/last.safetensors"
    ran = call(export.main, "--format", "mindir", "--checkpoint", last, "--output", "d.mindir")
    assert ran.code == 0 and ran.result["max_abs_error"] < 1e-5, ran.err
    assert json.loads(read("d.mindir").user_info["preprocessing"])["mean"]


def test_foreign_checkpoints(timm_file):
    names = ["cat", "dog", "Äpfel", "bus", "car", "sun", "dog"]
    hf_vit(id2label=dict(enumerate(names))).save_pretrained("hf")
    x = images(batch=3)
    assert call(export.main, "--checkpoint", "timm.pth", "--output", "a.onnx").code == 0
    with torch.no_grad():
        np.testing.assert_allclose(run("a.onnx", x), timm_forward(timm_file, torch.tensor(x)), atol=5e-5)
        assert call(export.main, "--checkpoint", "hf", "--output", "b.onnx").code == 0
        np.testing.assert_allclose(run("b.onnx", x), hf_vit()(torch.tensor(x)).logits, atol=5e-5)
    assert notes_of("b.onnx")["classes"] == names
    assert notes_of("b.onnx")["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert "says nothing" in notes_of("a.onnx")["preprocessing_from"]


def test_a_backbone_gives_features():
    model = dinov2(registers=2, image_size=28)
    model.save_pretrained("dino")
    ran = call(export.main, "--checkpoint", "dino", "--output", "dino.onnx", "--returns", "tokens", "features")
    assert ran.code == 0, ran.err
    assert [o["name"] for o in ran.result["outputs"]] == ["tokens", "features"] and "classes" not in notes_of("dino.onnx")
    x = images(28)
    with torch.no_grad():
        np.testing.assert_allclose(run("dino.onnx", x), model(torch.tensor(x)).last_hidden_state, atol=5e-5)
    ran = call(export.main, "--checkpoint", "dino", "--output", "f.onnx", "--no-check")
    assert ran.result["outputs"][0]["name"] == "features" and ran.result["max_abs_error"] is None
    ran = call(export.main, "--checkpoint", "dino", "--output", "l.onnx", "--returns", "logits")
    refused(ran, 2, "without a classifier")


def test_another_image_size(timm_file):
    ran = call(export.main, "--checkpoint", "timm.pth", "--output", "a.onnx", "--img-size", 48, 24, "--batch-size", 2)
    assert ran.code == 0 and ran.result["inputs"][0]["shape"] == [2, 3, 48, 24], ran.err
    assert notes_of("a.onnx")["preprocessing"]["image_size"] == [48, 24]
    model = ViTForImageClassification.from_pretrained("timm.pth", image_size=(48, 24), backend="reference").set_train(False)
    x = np.random.default_rng(0).standard_normal((2, 3, 48, 24)).astype(np.float32)
    np.testing.assert_allclose(run("a.onnx", x), model(Tensor(x)).asnumpy(), atol=5e-5)


def test_halves_become_fp32(timm_file):
    torch.save({name: value.bfloat16() for name, value in timm_file.items()}, "half.pth")
    assert call(export.main, "--checkpoint", "half.pth", "--output", "a.onnx").code == 0
    floats = [t for t in onnx.load("a.onnx").graph.initializer if t.data_type != onnx.TensorProto.INT64]
    assert {t.data_type for t in floats} == {onnx.TensorProto.FLOAT}
    rounded = {name: value.bfloat16().float() for name, value in timm_file.items()}
    np.testing.assert_allclose(run("a.onnx", images()), timm_forward(rounded, torch.tensor(images())), atol=5e-5)


def test_random_weights_only_when_allowed(monkeypatch):
    monkeypatch.setattr("vit_kernels.exporting.source.create_config",
                        lambda name: vit_kernels.create_config(name, depth=1, image_size=32))
    words = ("--model", "vit_tiny_p16", "--output", "t.onnx")
    refused(call(export.main, *words), 1, "not on this machine", "--allow-random")
    ran = call(export.main, *words, "--allow-random")
    assert ran.code == 0 and "random weights" in ran.out
    assert set(notes_of("t.onnx")) == {"config"}, "nothing says how random weights want to be fed"
    refused(call(export.main, "--model", "resnet50", "--allow-random", "--output", "t.onnx"), 2, "resnet50")


def test_named_weights_are_preferred_to_random_ones(monkeypatch):
    weights = timm_weights(width=192, depth=12, patch=16, grid=2)
    Path("checkpoint_download/vit").mkdir(parents=True)
    torch.save(weights, "checkpoint_download/vit/vit_tiny_p16.ckpt")
    ran = call(export.main, "--model", "vit_tiny_p16", "--allow-random", "--output", "t.onnx")
    assert ran.code == 0, ran.err
    wanted = timm_forward(weights, torch.tensor(images()), heads=3)
    np.testing.assert_allclose(run("t.onnx", images()), wanted, atol=5e-5)


def test_the_given_model_stays_as_it_was():
    model = random_model(drop_rate=0.2).set_train(True)
    before = {p.name: p.asnumpy().copy() for p in model.get_parameters()}
    export.export(model, "m.onnx")
    assert model.training and model.config.drop_rate == 0.2 and model.backend == "cpu"
    for parameter in model.get_parameters():
        np.testing.assert_array_equal(parameter.asnumpy(), before[parameter.name])
    export.export(model, "m.onnx", image_size=(32, 16))
    assert model.config.image_size == 24 and notes_of("m.onnx")["config"]["image_size"] == [32, 16]


def test_a_model_whose_parameters_were_renamed():
    """A cell around a model prefixes its parameters' names."""
    model = random_model()
    images_, wanted = images_for(model), expected(model, images_for(model))
    ms.nn.SequentialCell(model).update_parameters_name("outer.")
    assert next(iter(model.get_parameters())).name.startswith("outer.")
    export.export(model, "m.onnx")
    close(run("m.onnx", images_), wanted)


# -- the file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.onnx", "a.mindir"])
def test_no_machine_path(digits_run, tmp_path, name):
    """The run's own checkpoint knows the folder it was trained in; MindSpore knows where its sources are."""
    target = tmp_path / "some folder" / name
    ran = call(export.main, "--checkpoint", digits_run, "--output", target, "--no-check")
    assert ran.code == 0, ran.err
    data = target.read_bytes()
    places = {str(tmp_path), os.getcwd(), str(digits_run), str(Path.home()), sys.prefix, os.path.dirname(ms.__file__),
              os.path.dirname(vit_kernels.__file__), str(ROOT), "some folder", "site-packages", "/tmp", "/root/", "/home",
              "/usr", "/var", "/opt", ".py", "best.safetensors"}
    for place in places:
        assert len(place) > 2 and place.encode() not in data, place
    assert b"patch_embed.proj" in data


def test_permissions_are_those_of_any_new_file(digits_run):
    Path("any").touch()
    for name in ("a.onnx", "a.mindir"):
        assert call(export.main, "--checkpoint", digits_run, "--output", name, "--no-check").code == 0
        assert os.stat(name).st_mode == os.stat("any").st_mode
        assert call(export.main, "--checkpoint", digits_run, "--output", name, "--no-check").code == 0, "over the first"


def test_a_process_of_its_own(timm_file, tmp_path):
    words = ["--format", "ONNX", "--checkpoint", "timm.pth", "--output", "new/a.onnx"]
    ran = subprocess.run([sys.executable, "-m", "vit_kernels.export", *words], capture_output=True, text=True, timeout=120,
                         env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout.split("--result\n", 1)[1])
    assert document["file"] == "new/a.onnx" and document["inputs"][0]["shape"] == ["batch", 3, 32, 32]
    assert sorted(os.listdir()) == ["new", "timm.pth"] and os.listdir("new") == ["a.onnx"]


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, code, message", [
    (["--format", "tflite", "--output", "a.tflite"], 2, "invalid choice"),
    (["--output", "a.pb"], 2, "ending in .mindir or .onnx"),
    (["--format", "onnx", "--output", "a.mindir"], 2, "ending in .onnx"),
    (["--format", "mindir", "--output", "a"], 2, "ending in .mindir"),
    (["--format", "onnx"], 2, "--output"),
    (["--output", "a.onnx", "--backend", "cpu"], 2, "no effect"),
    (["--output", "a.onnx", "--model", "vit_base_p16"], 2, "not allowed with"),
    (["--output", "a.onnx", "--allow-random"], 2, "--allow-random"),
    (["--output", "a.onnx", "--batch", "0"], 2, "not at least 1"),
    (["--output", "a.onnx", "--image-size", "31"], 2, "multiple of patch_size"),
    (["--output", "a.onnx", "--image-size", "8", "8", "8"], 2, "height and width"),
    (["--output", "a.onnx", "--returns", "logits", "logits"], 2, "each once"),
])
def test_wrong_use(timm_file, words, code, message):
    refused(call(export.main, "--checkpoint", "timm.pth", *words), code, message)
    assert os.listdir() == ["timm.pth"]


def test_unreadable_checkpoints():
    Path("text.pth").write_text("no weights")
    refused(call(export.main, "--checkpoint", "text.pth", "--output", "a.onnx"), 1, "text.pth")
    refused(call(export.main, "--checkpoint", "none.pth", "--output", "a.onnx"), 2, "none.pth")
    refused(call(export.main, "--output", "a.onnx"), 2, "train first")
    ran = call(export.main, "--checkpoint", "none.pth", "--output", "a.onnx", "--debug")
    assert ran.code == 2 and "Traceback" in ran.err
    assert os.listdir() == ["text.pth"]


def test_without_the_onnx_packages(timm_file, monkeypatch):
    find, missing = importlib.util.find_spec, {"onnxruntime"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else find(name, *rest))
    ran = call(export.main, "--checkpoint", "timm.pth", "--output", "a.onnx")
    assert ran.code == 0 and "onnxruntime is not installed" in ran.out and ran.result["max_abs_error"] is None
    missing.add("onnx")
    refused(call(export.main, "--checkpoint", "timm.pth", "--output", "b.onnx"), 1, 'pip install "vit_kernels[export]"')
    assert call(export.main, "--checkpoint", "timm.pth", "--output", "b.mindir", "--no-check").code == 0


@pytest.mark.parametrize("name", ["a.onnx", "a.mindir"])
def test_places_that_cannot_be_written(timm_file, name, monkeypatch):
    words = ("--checkpoint", "timm.pth", "--no-check", "--output")
    Path("old").mkdir()
    (Path("old") / name).write_bytes(b"old")
    (Path("folder") / name).mkdir(parents=True)
    refused(call(export.main, *words, f"timm.pth/{name}"), 1, "cannot write", "timm.pth")
    refused(call(export.main, *words, f"folder/{name}"), 1, "it is a folder")
    refused(call(export.main, *words, f"/proc/none/{name}"), 1, "cannot write", "/proc/none")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # how a full disk looks from inside
    try:
        for target in ("old", "new/folder"):
            refused(call(export.main, *words, f"{target}/{name}"), 1, "cannot write", target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: _Usage)
    refused(call(export.main, *words, f"old/{name}"), 1, "MB are free")
    assert sorted(os.listdir()) == ["folder", "old", "timm.pth"] and os.listdir("old") == [name]
    assert (Path("old") / name).read_bytes() == b"old"


class _Usage:
    free = 1000


@pytest.mark.parametrize("part", ["_gelu", "_scaled", "_norm"])
def test_a_wrong_file_never_appears(part, monkeypatch):
    """Each part of the graph left out in turn; with starting weights too, whose logits are nearly zero."""
    Path("a.onnx").write_bytes(b"old")
    monkeypatch.setattr(OnnxGraph, part, lambda self, x, at, output=None: self._node("Identity", [x], output or at))
    config = vit_kernels.ViTConfig(**{**SMALL, "init_values": 0.5})
    for model in (random_model(init_values=0.1), ViTForImageClassification(config)):
        with pytest.raises(vit_kernels.errors.ExportError, match="is not right: logits differ"):
            export.export(model, "a.onnx")
    assert os.listdir() == ["a.onnx"] and Path("a.onnx").read_bytes() == b"old"


def test_weights_that_are_not_finite(digits_run):
    best = digits_run / "checkpoints/best.safetensors"
    path = damaged(best, Path("nan.safetensors"), lambda t: t["head.bias"].fill(np.nan))
    refused(call(export.main, "--checkpoint", path, "--output", "a.onnx"), 1, "not finite")
    assert not os.path.exists("a.onnx")
    assert call(export.main, "--checkpoint", path, "--output", "a.onnx", "--no-check").code == 0
