"""In-memory and file data sets."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vit_kernels.data import ArrayImages, FileImages
from vit_kernels.errors import DataError, ImageError


def test_arrays_grey_and_colour():
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 256, (3, 5, 4), dtype=np.uint8), rng.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    targets = np.array([0, 1, 1], np.uint8)
    one, two = ArrayImages(grey, targets, ["a", "b"]), ArrayImages(colour, targets, ["a", "b"])
    np.testing.assert_array_equal(np.asarray(one.image(1, 1)), grey[1])
    np.testing.assert_array_equal(np.asarray(one.image(1, 3)), np.repeat(grey[1][..., None], 3, -1))
    np.testing.assert_array_equal(np.asarray(two.image(2, 3)), colour[2])
    luma = colour[2] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(np.asarray(two.image(2, 1)) - luma).max() <= 1
    assert len(two) == 3 and two.targets.dtype == np.int64


@pytest.mark.parametrize("pixels", [np.zeros((3, 5, 4), np.float32), np.zeros((3, 5), np.uint8), np.zeros((2, 5, 4), np.uint8)])
def test_arrays_of_another_form(pixels):
    with pytest.raises(ValueError, match=r"expected uint8 \(N, H, W\)"):
        ArrayImages(pixels, np.zeros(3, int), ["a"])


@pytest.mark.parametrize("targets", [[0, 2], [-1, 0]])
def test_labels_without_a_class(targets):
    with pytest.raises(DataError, match="images and labels do not belong together"):
        ArrayImages(np.zeros((2, 4, 4), np.uint8), np.array(targets), ["a", "b"])


def test_files_are_decoded_when_asked_for(tmp_path):
    Image.new("L", (3, 2), 77).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    images = FileImages([str(tmp_path / "a.png"), str(tmp_path / "b.png")], [0, 1], ["x", "y"])
    assert images.image(0, 3).mode == "RGB" and np.asarray(images.image(0, 1)).max() == 77
    with pytest.raises(ImageError, match="b.png is not an image"):
        images.image(1, 3)
