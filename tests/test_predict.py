"""python -m vit_kernels.predict: rows, files, odd images, and what is refused."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest
import torch
from mindspore import Tensor
from PIL import Image

from tests._commands import call, odd_images, refused
from tests.test_download import at, server  # noqa: F401
from tests.test_eval import damaged
from vit_kernels import ViTConfig, ViTForImageClassification, predict
from vit_kernels.data import load_dataset
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.inference import Classifier, load_classifier
from vit_kernels.overlay import attention_heat, write_overlay
from vit_kernels.training import checkpoint_io


@pytest.fixture
def digits(tmp_path):
    """Seven test images as files."""
    test = load_dataset("digits").test
    for i in range(7):
        Image.fromarray(test.pixels[i]).save(tmp_path / f"{i}.png")
    return [str(tmp_path / f"{i}.png") for i in range(7)]


def test_rows_are_the_models_own(digits_run, digits):
    """Against the checkpoint's model called directly and torch's softmax and topk; 7 images in batches of 3."""
    ran = call(predict.main, "--checkpoint", digits_run, "--topk", 3, "--batch-size", 3, *digits)
    assert ran.code == 0, ran.err
    own = checkpoint_io.load(digits_run / "checkpoints/best.safetensors")
    pixels = load_dataset("digits").test.pixels[:7]
    inputs = ((pixels / 255 - own.preprocessing.mean[0]) / own.preprocessing.std[0])[:, None].astype(np.float32)
    logits = own.build("reference").set_train(False)(Tensor(inputs)).asnumpy()
    scores, indices = torch.from_numpy(logits).double().softmax(1).topk(3)
    assert [(r["file"], r["rank"]) for r in ran.result] == [(f, rank) for f in digits for rank in (1, 2, 3)]
    assert all(r.keys() == {"file", "rank", "index", "label", "score"} and r["label"] == str(r["index"]) for r in ran.result)
    assert [r["index"] for r in ran.result] == indices.flatten().tolist()
    assert [r["score"] for r in ran.result] == pytest.approx(scores.flatten().tolist(), abs=1e-5)
    assert digits[0] in ran.out.split("--result")[0]


def test_more_classes_than_there_are(digits_run, digits):
    rows = call(predict.main, "--checkpoint", digits_run, "--topk", 99, digits[0]).result
    assert len(rows) == 10 and sum(r["score"] for r in rows) == pytest.approx(1)


@pytest.mark.parametrize("name", ["rows.csv", "new/rows.JSON"])
def test_results_file(digits_run, digits, tmp_path, name):
    ran = call(predict.main, "--checkpoint", digits_run, "--topk", 2, "--results-file", tmp_path / name, *digits[:2])
    assert ran.code == 0, ran.err
    text = (tmp_path / name).read_text()
    if name.endswith("csv"):
        rows = [{**r, "rank": int(r["rank"]), "index": int(r["index"]), "score": float(r["score"])}
                for r in csv.DictReader(text.splitlines())]
    else:
        rows = json.loads(text)
    assert rows == ran.result and len(rows) == 4


def test_odd_images_are_predicted_and_broken_ones_named(digits_run, tmp_path):
    good, bad = odd_images(tmp_path / "photos")
    ran = call(predict.main, "--checkpoint", digits_run, "--topk", 1, tmp_path / "photos")
    assert ran.code == 1 and [os.path.basename(r["file"]) for r in ran.result] == good
    assert all(np.isfinite(r["score"]) for r in ran.result) and "Traceback" not in ran.err
    for name in bad:
        assert ran.err.count(str(tmp_path / "photos" / name)) == 1
    assert "2 of 9 images could not be read" in ran.err


def test_newest_run_by_default(digits_run, digits, monkeypatch):
    monkeypatch.chdir(digits_run.parents[1])
    ran = call(predict.main, digits[0])
    assert ran.code == 0 and os.path.join("output", "run", "checkpoints", "best.safetensors") in ran.out


def test_scores_that_are_not_finite_are_null(digits_run, digits, tmp_path):
    path = damaged(digits_run / "checkpoints/best.safetensors", tmp_path / "nan.safetensors", lambda t: t["head.bias"].fill(np.nan))
    ran = call(predict.main, "--checkpoint", path, "--topk", 1, "--results-file", tmp_path / "rows.json", digits[0])
    assert ran.code == 0 and ran.result[0]["score"] is None
    assert json.loads((tmp_path / "rows.json").read_text()) == ran.result


def test_refused(digits_run, digits, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "file").write_text("x")
    use = ("--checkpoint", digits_run)
    refused(call(predict.main), 2, "name at least one image")
    refused(call(predict.main, *use, tmp_path / "none"), 2, "has no images in it")
    refused(call(predict.main, *use, "missing.png"), 2, "missing.png does not exist")
    refused(call(predict.main, *use, digits[0], "--topk", 0), 2, "0 is not at least 1")
    refused(call(predict.main, *use, digits[0], "--results-file", "rows.xls"), 2, "ends in .csv or .json")
    refused(call(predict.main, *use, digits[0], "--results-file", tmp_path / "file/rows.csv"), 1, "cannot write", "file/rows.csv")
    refused(call(predict.main, digits[0]), 2, "train first")
    refused(call(predict.main, "--checkpoint", tmp_path / "file", digits[0]), 1, str(tmp_path / "file"))
    ran = call(predict.main, *use, tmp_path / "file")
    assert ran.code == 1 and ran.result == [] and "is not an image that Pillow can read" in ran.err


def test_attention_pictures(digits_run, digits, tmp_path):
    out = tmp_path / "maps"
    ran = call(predict.main, *digits, "--checkpoint", digits_run, "--attention", out)
    assert ran.code == 0, ran.err
    files = {row["file"] for row in ran.result}
    pictures = sorted(out.iterdir())
    assert len(pictures) == len(files)
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.format == "PNG" and picture.width > 1000
    blocked = tmp_path / "file"
    blocked.write_text("")
    ran = call(predict.main, *digits, "--checkpoint", digits_run, "--attention", blocked)
    assert ran.code == 1 and str(blocked) in ran.err


def test_the_heat_is_the_rollout_by_hand(digits_run, digits):
    """The digits' model averages its patches, so the mean over their rows; its class token is never read."""
    classifier = load_classifier(digits_run)
    with Image.open(digits[0]) as image:
        image = image.convert("L")
        maps = classifier.model.attention_maps(Tensor(classifier.prepare([image])), range(classifier.model.config.depth))
        heat = attention_heat(classifier, image)
    row = np.r_[0, np.full(heat.size, 1 / heat.size)]
    for layer in reversed(maps):  # from the last layer back to the patches
        row = row @ (layer.asnumpy()[0].mean(0) + np.eye(layer.shape[-1])) / 2
    expected = row[1:].reshape(heat.shape)
    np.testing.assert_allclose(heat, expected / expected.mean(), rtol=1e-5)


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_the_heat_is_where_the_bright_patch_is(pool, pynative_mode):
    """A model made to attend to brightness, an image of 2 x 3 patches with a bright one at the top right."""
    model = ViTForImageClassification(ViTConfig(embed_dim=64, depth=1, num_heads=1, image_size=(16, 24), patch_size=8, num_classes=3,
                                                global_pool=pool), backend="reference").set_train(False)
    for parameter in model.get_parameters():
        if "norm" not in parameter.name:
            parameter.set_data(Tensor(np.zeros(parameter.shape, np.float32)))
    brightness = np.zeros(model.patch_embed.proj.weight.shape, np.float32)
    brightness[0] = 1
    model.patch_embed.proj.weight.set_data(Tensor(brightness))
    weight, bias = np.zeros((192, 64), np.float32), np.zeros(192, np.float32)
    weight[64, 0], bias[0] = 5, 5  # the key is the brightness, every query asks for it
    model.blocks[0].attn.qkv.weight.set_data(Tensor(weight))
    model.blocks[0].attn.qkv.bias.set_data(Tensor(bias))
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, 16:] = 255
    classifier = Classifier(model, Preprocessing((16, 24), crop_pct=1.0), list("abc"), "")
    heat = attention_heat(classifier, Image.fromarray(pixels))
    assert heat.shape == (2, 3) and np.unravel_index(heat.argmax(), heat.shape) == (0, 2) and heat[0, 2] > 2 * heat[1, 0]


@pytest.mark.parametrize("size, hot", [((224, 224), (0, 3)), ((448, 112), (3, 0)), ((16, 64), (3, 3))])
def test_the_picture_is_hot_in_the_right_place(tmp_path, size, hot):
    """Seen on the pixels of the file: the middle panel is yellow where the heat is, upright and in the image's proportions."""
    heat = np.full((4, 4), 0.1)
    heat[hot] = 10
    names = ["long " * 40, "中文 $x^2$ $", "crane"]
    ranked = [{"rank": i + 1, "index": i, "label": name, "score": 0.3} for i, name in enumerate(names * 100)]
    write_overlay(tmp_path / "o.png", Image.new("RGB", size, (128, 128, 128)), heat / heat.mean(), ranked, "photos/" * 99 + "$y.png")
    with Image.open(tmp_path / "o.png") as picture:
        assert picture.size == (1200, 420)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    seen = pixels[74:, 402:776]  # below the titles, left of the scale
    painted = (seen < 250).any(-1)
    rows, columns = (np.flatnonzero(painted.sum(axis) > 0.7 * painted.sum(axis).max()) for axis in (1, 0))  # no text
    low, high = np.array([rows[0], columns[0]]), np.array([rows[-1], columns[-1]])
    assert (high - low)[1] / (high - low)[0] == pytest.approx(size[0] / size[1], rel=0.05)
    yellow = np.argwhere(seen[..., 0] + seen[..., 1] - 2 * seen[..., 2] > 100)
    place = (yellow.mean(0) - low) / (high - low)
    np.testing.assert_allclose(place, [(at + 0.5) / 4 for at in hot], atol=0.07)
    dark = (pixels[60:] < 128).all(-1)
    assert not dark[:, 1196:].any() and not dark[:, :4].any()  # nothing sticks out


def test_addresses_beside_files(digits_run, digits, server, tmp_path, monkeypatch):  # noqa: F811
    """An address that does not answer, one that breaks off and one that is no image: reported each, the rest done."""
    with open(digits[1], "rb") as file:
        monkeypatch.setattr("tests.test_download.BODY", file.read() + bytes(4000))
    good = at(server, "/some%20where/one.png?size=8")
    bad = [at(server, "/missing.png"), at(server, "/slow.png"), "http://127.0.0.1:9/closed.png"]
    ran = call(predict.main, "--checkpoint", digits_run, "--topk", 1, "--timeout", 0.5, digits[0], *bad[:2], good, bad[2], digits[1],
               "--attention", tmp_path / "maps")
    assert ran.code == 1 and [row["file"] for row in ran.result] == [digits[0], good, digits[1]]
    assert ran.result[1]["score"] == pytest.approx(ran.result[2]["score"]) and "3 of 6 images could not be read" in ran.err
    for address in bad:
        assert ran.err.count(f"error: {address}") == 1 and "Traceback" not in ran.err
    assert sorted(os.listdir(tmp_path / "maps")) == ["0-attention.png", "1-attention.png", "one-attention.png"]
    monkeypatch.setattr("tests.test_download.BODY", b"<html>")
    ran = call(predict.main, "--checkpoint", digits_run, at(server, "/page.png"))
    assert ran.code == 1 and ran.result == [] and "is not an image" in ran.err
    monkeypatch.setattr("vit_kernels.data.inputs.MAX_DOWNLOAD", 3)
    ran = call(predict.main, "--checkpoint", digits_run, at(server, "/page.png"))
    assert ran.code == 1 and "sends more than 3 bytes" in ran.err


def test_random_weights_only_when_asked_for(digits, graph_mode):
    refused(call(predict.main, "--model", "vit_tiny_p32", digits[0]), 1, "vit_tiny_p32.ckpt", "--allow-random")
    refused(call(predict.main, "--checkpoint", "vit_tiny_p32", digits[0]), 1, "vit_tiny_p32.ckpt", "--allow-random")
    refused(call(predict.main, "--allow-random", digits[0]), 2, "--model vit_base_p16")
    refused(call(predict.main, "--allow-random", "--model", "resnet", digits[0]), 2, "unknown model 'resnet'")
    refused(call(predict.main, "--allow-random", "--checkpoint", "missing.pth", digits[0]), 2, "missing.pth does not exist")
    ran = call(predict.main, "--model", "vit_tiny_p32", "--allow-random", "--topk", 1000, digits[0])
    assert ran.code == 0 and "random" in ran.out, ran.err
    assert len(ran.result) == 1000 and {row["index"]: row["label"] for row in ran.result}[985] == "daisy"


def test_weights_that_are_there_are_not_random(digits, graph_mode):
    model = ViTForImageClassification(ViTConfig.from_name("vit_tiny_p32", image_size=32, num_classes=3), seed=5)
    model.head.bias.set_data(Tensor(np.array([0, 20, 0], np.float32)))
    model.save_pretrained("checkpoint_download/vit", "vit_tiny_p32")
    for words in (("--model", "vit_tiny_p32"), ("--checkpoint", "vit_tiny_p32", "--allow-random"),
                  ("--model", "vit_tiny_patch32_224", "--checkpoint", "checkpoint_download/vit/vit_tiny_p32.ckpt")):
        ran = call(predict.main, *words, "--topk", 1, digits[0])
        assert ran.code == 0 and ran.result[0]["index"] == 1 and ran.result[0]["score"] > 0.99, ran.err
    refused(call(predict.main, "--model", "vit_tiny_p16", "--checkpoint", "checkpoint_download/vit/vit_tiny_p32.ckpt", digits[0]), 2,
            "patch_size 16", "32")
