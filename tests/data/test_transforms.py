"""Transforms against torch's antialiased interpolation (torchvision's arithmetic on tensors) and plain NumPy indexing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vit_kernels.data.transforms import (CenterCrop, Compose, RandomHorizontalFlip, RandomResizedCrop, RandomShift, Resize,
                                         ResizeShorter)


def photo(width: int, height: int, channels: int = 3) -> Image.Image:
    """Smooth colours with edges and a little noise."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[:height, :width] / max(width, height)
    planes = [127 + 100 * np.sin(9 * x + c) * np.cos(7 * y - c) + 20 * (x > 0.3) for c in range(channels)]
    pixels = np.clip(np.stack(planes, -1) + rng.normal(0, 5, (height, width, channels)), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels if channels == 3 else pixels[..., 0])


def interpolated(pixels: np.ndarray, size: tuple[int, int], kind: str) -> np.ndarray:
    """pixels (H, W, C) uint8 resized by torch, as torchvision resizes tensors: rounded and clipped to 0..255."""
    planes = torch.tensor(pixels.copy()).permute(2, 0, 1)[None].double()
    out = torch.nn.functional.interpolate(planes, size, mode=kind, antialias=True, align_corners=False)
    return out[0].permute(1, 2, 0).round().clamp(0, 255).numpy()


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize("width, height, side", [(500, 375, 256), (375, 500, 256), (64, 64, 256), (100, 41, 32), (8, 8, 28)])
def test_resize_shorter_agrees_with_torch_to_one_level(width, height, side, kind):
    image = photo(width, height)
    got = np.asarray(ResizeShorter(side, kind)(image))
    # torchvision: the longer side is int(side * long / short)
    size = (side, int(side * width / height)) if height <= width else (int(side * height / width), side)
    assert got.shape == (*size, 3)
    assert np.abs(got - interpolated(np.asarray(image), size, kind)).max() <= 1


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_squash_agrees_with_torch_to_one_level(kind):
    image = photo(120, 77)
    got = np.asarray(Resize((56, 40), kind)(image))
    assert np.abs(got - interpolated(np.asarray(image), (56, 40), kind)).max() <= 1


def test_nearest_takes_the_pixel_under_the_centre():
    pixels = np.arange(12 * 6, dtype=np.uint8).reshape(6, 12)
    got = np.asarray(Resize((3, 4), "nearest")(Image.fromarray(pixels)))
    np.testing.assert_array_equal(got, pixels[1::2, 1::3])


def test_an_image_of_the_right_size_is_left_alone():
    image = photo(30, 20)
    assert ResizeShorter(20)(image) is image and Resize((20, 30))(image) is image


@pytest.mark.parametrize("width, height", [(256, 256), (341, 256), (257, 256), (259, 300), (225, 224)])
def test_center_crop(width, height):
    image = photo(width, height)
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    np.testing.assert_array_equal(np.asarray(CenterCrop((224, 224))(image)), np.asarray(image)[top:top + 224, left:left + 224])


def test_center_crop_of_a_smaller_image_is_black_around_it():
    got = np.asarray(CenterCrop((6, 8))(Image.new("L", (4, 4), 255)))
    expected = np.zeros((6, 8))
    expected[1:5, 2:6] = 255
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("size", [(20000, 3), (3, 20000), (20000, 1)])
def test_strips_are_resized_from_their_middle_only(size):
    image = Image.new("L", size, 0)
    width, height = size
    image.paste(200, (width // 2 - 100, 0, width // 2 + 100, height) if width > height
                else (0, height // 2 - 100, width, height // 2 + 100))
    out = Compose([ResizeShorter(32), CenterCrop((32, 32))])(image, None)
    assert out.size == (32, 32) and np.asarray(out).min() == 200


def test_one_pixel_becomes_an_even_image():
    out = Compose([ResizeShorter(256), CenterCrop((224, 224))])(Image.new("RGB", (1, 1), (10, 20, 30)), None)
    assert out.size == (224, 224) and (np.asarray(out) == (10, 20, 30)).all()


def test_random_resized_crop_draws_what_it_says():
    crop, rng = RandomResizedCrop((224, 224), (0.08, 1.0), (3 / 4, 4 / 3)), np.random.default_rng(0)
    width, height = 640, 480
    boxes = np.array([crop.box(width, height, rng) for _ in range(4000)])
    left, top, right, bottom = boxes.T
    assert (left >= 0).all() and (top >= 0).all() and (right <= width).all() and (bottom <= height).all()
    area, aspect = (right - left) * (bottom - top) / (width * height), (right - left) / (bottom - top)
    assert area.min() >= 0.078 and aspect.min() > 0.74 and aspect.max() < 1.345
    # Below the size where some shapes do not fit, areas are even: as many in each part of equal width.
    counts, _ = np.histogram(area, [0.08, 0.2, 0.32, 0.44, 0.56])
    assert counts.min() > 0.85 * counts.max()
    # The logarithm of the aspect ratio is even too, among crops small enough that every ratio fits.
    counts, _ = np.histogram(np.log(aspect[area < 0.5]), np.linspace(np.log(3 / 4), np.log(4 / 3), 5))
    assert counts.min() > 0.8 * counts.max()
    # A corner is as likely as the middle.
    slack = (width - (right - left))[area < 0.3]
    assert abs((left[area < 0.3] / slack).mean() - 0.5) < 0.02


@pytest.mark.parametrize("width, height, expected", [(1000, 10, (493, 0, 506, 10)), (10, 1000, (0, 493, 10, 506)),
                                                     (12, 10, (0, 0, 12, 10)), (1, 1, (0, 0, 1, 1))])
def test_random_resized_crop_that_never_fits_takes_the_middle(width, height, expected):
    """A range of areas that cannot be had; 13 = round(10 * 4 / 3)."""
    crop = RandomResizedCrop((8, 8), scale=(4.0, 5.0))
    assert crop.box(width, height, np.random.default_rng(0)) == expected


def test_random_resized_crop_resizes_its_box():
    image = photo(90, 60)
    crop = RandomResizedCrop((32, 48), (0.2, 0.9))
    got = np.asarray(crop(image, np.random.default_rng(5)))
    left, top, right, bottom = crop.box(90, 60, np.random.default_rng(5))
    expected = interpolated(np.asarray(image)[top:bottom, left:right], (32, 48), "bicubic")
    assert np.abs(got - expected).max() <= 1


def test_flip():
    image, rng = photo(9, 5), np.random.default_rng(0)
    np.testing.assert_array_equal(np.asarray(RandomHorizontalFlip(1.0)(image, rng)), np.asarray(image)[:, ::-1])
    assert RandomHorizontalFlip(0.0)(image, rng) is image
    flips = sum(RandomHorizontalFlip(0.3)(image, rng) is not image for _ in range(2000))
    assert abs(flips / 2000 - 0.3) < 0.04


def test_shift_moves_by_whole_pixels_and_fills_with_black():
    pixels = np.random.default_rng(0).integers(1, 256, (7, 7), dtype=np.uint8)
    padded, seen = np.pad(pixels, 2), set()
    windows = {padded[2 + dy:9 + dy, 2 + dx:9 + dx].tobytes(): (dx, dy) for dx in range(-2, 3) for dy in range(-2, 3)}
    rng = np.random.default_rng(1)
    for _ in range(300):
        seen.add(windows[np.asarray(RandomShift(2)(Image.fromarray(pixels), rng)).tobytes()])
    assert len(seen) == 25
