"""Preprocessing as a whole: what evaluation feeds the model, and the record that travels with the weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.data.test_transforms import interpolated, photo
from vit_kernels.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


def test_normalize():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    got = Preprocessing((5, 7)).normalize(pixels)
    expected = (pixels / 255.0 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert got.dtype == np.float32 and got.shape == (2, 3, 5, 7) and got.flags.c_contiguous
    np.testing.assert_allclose(got, expected.transpose(0, 3, 1, 2), rtol=0, atol=2e-6)


@pytest.mark.parametrize("width, height", [(500, 375), (375, 500), (256, 256), (100, 300)])
def test_the_usual_evaluation_agrees_with_torch(width, height):
    """Shorter side to 256, centre 224, normalised: within one grey level (1/255, over the standard deviation)."""
    image, preprocessing = photo(width, height), Preprocessing()
    got = preprocessing.normalize(np.asarray(preprocessing.transform()(image, None))[None])[0]
    size = (256, int(256 * width / height)) if height <= width else (int(256 * height / width), 256)
    resized = torch.from_numpy(interpolated(np.asarray(image), size, "bicubic")).permute(2, 0, 1) / 255
    top, left = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    expected = ((resized[:, top:top + 224, left:left + 224] - mean) / std).numpy()
    assert (np.abs(got - expected).max((1, 2)) * np.array(IMAGENET_STD) <= 1.001 / 255).all()


@pytest.mark.parametrize("crop_pct, side, resized", [(0.875, 224, 256), (0.9, 224, 248), (1.0, 384, 384), (0.875, 384, 438)])
def test_crop_pct(crop_pct, side, resized):
    """The size before cropping is timm's floor(side / crop_pct)."""
    shorter = Preprocessing((side, side), crop_pct=crop_pct).transform().transforms[0]
    assert shorter(photo(60, 40)).size == (int(resized * 60 / 40), resized)


def test_squash_has_no_crop():
    image = Preprocessing((20, 30), crop_mode="squash").transform()(photo(100, 10), None)
    assert image.size == (30, 20)


def test_record_survives_json():
    one = Preprocessing((28, 30), (0.5,), (0.25,), 0.9, "squash", "bilinear")
    assert Preprocessing.from_dict(json.loads(json.dumps(one.to_dict()))) == one and one.channels == 1


@pytest.mark.parametrize("fields, says", [
    ({"image_size": (224,)}, "image_size"), ({"image_size": (0, 5)}, "image_size"), ({"mean": (0.5,)}, "mean="),
    ({"std": (1, 1, 0)}, "std="), ({"crop_pct": 0}, "crop_pct=0"), ({"crop_pct": 1.5}, "crop_pct=1.5"),
    ({"crop_mode": "middle"}, "'center' or 'squash'"), ({"interpolation": "cubic"}, "bicubic")])
def test_fields_out_of_range(fields, says):
    with pytest.raises(ValueError, match=says):
        Preprocessing(**fields)
