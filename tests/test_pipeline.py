"""pipeline, load_image and the processors, against Pillow's arithmetic and torch's logits."""

from __future__ import annotations

import io
import os
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkpoint._models import timm_forward, timm_weights
from tests.test_download import at, server  # noqa: F401
from vit_kernels import ViTConfig, ViTForImageClassification, ViTImageProcessor, ViTProcessor
from vit_kernels.errors import ImageError, UsageError
from vit_kernels.pipeline import pipeline
from vit_kernels.tools.image_tools import load_image

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def photo(seed: int = 0, width: int = 60, height: int = 45) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def by_hand(image: Image.Image, resize: int, size: int) -> np.ndarray:
    """Shorter side to `resize`, centre crop, normalise, in Pillow and float64."""
    width, height = image.size
    scale = resize / min(width, height)
    image = image.resize((resize, int(resize * height / width)) if width <= height else (int(resize * width / height), resize),
                         Image.Resampling.BICUBIC)
    assert scale > 0
    left, top = (image.width - size) / 2, (image.height - size) / 2
    image = image.crop((round(left), round(top), round(left) + size, round(top) + size))
    return ((np.asarray(image) / 255 - MEAN) / STD).transpose(2, 0, 1)


@pytest.fixture(scope="module")
def state():
    return timm_weights(norm="fc_norm")


@pytest.fixture
def classify(state, graph_mode):
    torch.save({"model": state}, "w.pth")
    return pipeline("image_classification", model="w.pth")


def expected(state, image: Image.Image) -> np.ndarray:
    with torch.no_grad():
        return torch.softmax(timm_forward(state, torch.from_numpy(by_hand(image, 36, 32)[None].astype(np.float32)))[0].double(),
                             -1).numpy()


def test_scores(classify, state):
    result = classify(photo())
    probabilities = expected(state, photo())
    assert len(result) == 1 and len(result[0]) == 3
    assert [row["index"] for row in result[0]] == list(np.argsort(-probabilities)[:3])
    for row in result[0]:
        assert abs(row["score"] - probabilities[row["index"]]) < 2e-4
        assert type(row["score"]) is float and type(row["index"]) is int  # trap: NumPy scalars
        assert row["label"] == str(row["index"])


def test_every_form_of_input(classify, server, monkeypatch):  # noqa: F811
    image = photo()
    os.makedirs("photos/inner")
    image.save("photos/a.png")
    photo(1).save("photos/inner/b.bmp")
    Path("photos/readme.txt").write_text("x")
    content = io.BytesIO()
    image.save(content, "png")
    monkeypatch.setattr("tests.test_download.BODY", content.getvalue())
    array = np.asarray(image)
    want = classify(image)[0]
    for single in ("photos/a.png", Path("photos/a.png"), array, array.transpose(2, 0, 1), array.astype(np.float32) / 255,
                   ms.Tensor(array), array[None], at(server, "/a.png"), load_image("photos/a.png"), [image], "photos/*.png"):
        assert classify(single) == [want]
    both = classify("photos")
    assert both[0] == want and len(both) == 2
    # Trap: lists had to be a multiple of the batch size.
    mixed = classify([image, "photos/inner/b.bmp", array, image, photo(1)], batch_size=2, top_k=1)
    assert [r[0]["index"] for r in mixed] == [want[0]["index"], both[1][0]["index"], want[0]["index"], want[0]["index"],
                                              both[1][0]["index"]]


def test_datasets(classify):
    from mindspore import dataset

    from vit_kernels.data import ArrayImages

    pixels = np.stack([np.asarray(photo(i)) for i in range(3)])
    want = [classify(photo(i))[0] for i in range(3)]
    assert [[r["index"] for r in row] for row in classify(ArrayImages(pixels, np.zeros(3, int), ["x"]))] == \
        [[r["index"] for r in row] for row in want]
    decoded = dataset.NumpySlicesDataset({"image": pixels}, shuffle=False)
    ready = dataset.NumpySlicesDataset({"image": ViTImageProcessor(32).preprocess(pixels)}, shuffle=False).batch(2)
    for source in (decoded, ready):
        got = classify(source)
        assert [[r["index"] for r in row] for row in got] == [[r["index"] for r in row] for row in want]
        np.testing.assert_allclose([[r["score"] for r in row] for row in got], [[r["score"] for r in row] for row in want], atol=1e-6)


def test_labels_and_top_k(classify):
    names = [f"class {i}" for i in range(7)]
    best = classify(photo(), top_k=50, candidate_labels=names)[0]
    assert len(best) == 7 and {row["label"] for row in best} == set(names)
    assert abs(sum(row["score"] for row in best) - 1) < 1e-6
    for labels in ("imagenet", names[:3], "classes"):
        with pytest.raises(UsageError, match="candidate_labels"):
            classify(photo(), candidate_labels=labels)


def test_imagenet_names_keep_their_index(graph_mode):
    """Trap: two names stand for two classes each."""
    model = ViTForImageClassification(ViTConfig(embed_dim=64, depth=1, num_heads=1, image_size=32, patch_size=16))
    best = pipeline("image_classification", model=model)(photo(), top_k=1000)[0]
    assert [row["index"] for row in best if row["label"] == "crane"] in ([134, 517], [517, 134])
    assert {row["index"]: row["label"] for row in best}[985] == "daisy" and len({row["index"] for row in best}) == 1000


def test_image_processor_replaces_the_checkpoints(classify, state):
    processor = ViTImageProcessor(32, resize=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    other = pipeline(model="w.pth", image_processor=ViTProcessor(processor))(photo(), top_k=7)[0]
    x = (by_hand(photo(), 32, 32) * STD[:, None, None] + MEAN[:, None, None] - 0.5) / 0.5
    with torch.no_grad():
        want = torch.softmax(timm_forward(state, torch.from_numpy(x[None].astype(np.float32)))[0].double(), -1).numpy()
    assert all(abs(row["score"] - want[row["index"]]) < 2e-4 for row in other)


def test_errors(classify):
    with pytest.raises(KeyError, match="image_classification"):
        pipeline("text_generation")
    with pytest.raises(ValueError, match="vit_base_p16.ckpt(.|\n)*allow_random=True"):
        pipeline("image_classification", model="vit_base_p16")
    assert len(pipeline(model="vit_tiny_p32", allow_random=True)(photo(), top_k=1000)[0]) == 1000
    with pytest.raises(UsageError, match="tokenizer"):
        pipeline(model="w.pth", tokenizer=object())
    Path("bad.jpg").write_bytes(b"no image")
    for odd, error, message in ((None, UsageError, "no images"), ([], UsageError, "no images"), ("none.png", UsageError, "exist"),
                                ("bad.jpg", ImageError, "bad.jpg"), (3.5, TypeError, "no image"),
                                (np.zeros((5, 5, 5), np.uint8), ImageError, "shape"),
                                (np.full((4, 4, 3), -1.0), ImageError, "run from -1"), (np.zeros((0, 4, 3)), ImageError, "no pixels")):
        with pytest.raises(error, match=message):
            classify(odd)
    for option in ({"top_k": 0}, {"batch_size": -1}):
        with pytest.raises(UsageError, match="expected an integer"):
            classify(photo(), **option)


@pytest.mark.parametrize("size, resize, shorter", [(224, None, 256), (384, None, 384), (32, None, 36), (32, 40, 40), (224, 248, 248)])
def test_processor_arithmetic(size, resize, shorter):
    """Trap: the resize was 256 whatever the size, so that 384 pixels were padded."""
    image = photo(3, 300, 280)
    got = ViTImageProcessor(size, resize=resize)([image, image])
    assert isinstance(got, ms.Tensor) and got.shape == (2, 3, size, size)
    want = by_hand(image, shorter, size)
    assert np.abs((got.asnumpy()[1] - want) * STD[:, None, None]).max() < 1 / 255
    assert ViTProcessor(ViTImageProcessor(size, resize=resize))(image)["image"].shape == (1, 3, size, size)


def test_processor_errors():
    with pytest.raises(ValueError, match="resize"):
        ViTImageProcessor(224, resize=200)
    with pytest.raises(ValueError, match="interpolation"):
        ViTImageProcessor(interpolation="magic")


def test_load_image(server, monkeypatch):  # noqa: F811
    image = photo()
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save("turned.png", exif=exif)
    assert np.array_equal(np.asarray(load_image("turned.png")), np.rot90(np.asarray(image), -1))
    image.convert("L").save("grey.png")
    assert load_image("grey.png").mode == "RGB"
    tensor = ms.Tensor(np.zeros((3, 4, 4), np.float32))
    assert load_image(tensor) is tensor and load_image(photo()).size == (60, 45)
    with pytest.raises(ValueError, match="does not exist"):
        load_image("nothing.png")
    with pytest.raises(ConnectionError):
        load_image(at(server, "/missing.png"))
    monkeypatch.setattr("tests.test_download.BODY", b"<html>")
    with pytest.raises(ValueError, match="not an image"):
        load_image(at(server, "/page.png"))
    with pytest.raises(TypeError, match="expected a path"):
        load_image(7)
