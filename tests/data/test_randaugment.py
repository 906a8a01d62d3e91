"""RandAugment: every operation against its formula in NumPy, the magnitudes at both ends, and how often what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.data.test_transforms import photo
from vit_kernels.data import randaugment
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.data.randaugment import OPERATIONS, Look, RandAugment

LOOK = Look((124, 116, 104), Image.Resampling.NEAREST)
IMAGE = photo(41, 31)
X = np.asarray(IMAGE).astype(np.float64)


def apply(name: str, m: float, sign: int = 1, image: Image.Image = IMAGE) -> np.ndarray:
    return np.asarray(OPERATIONS[name](image, m, sign, LOOK)).astype(np.float64)


def grey(x: np.ndarray) -> np.ndarray:
    """ITU-R 601 luma."""
    return x @ np.array([0.299, 0.587, 0.114])


def test_there_are_the_fifteen_of_the_increasing_set():
    assert sorted(OPERATIONS) == sorted(["AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd",
                                         "Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX",
                                         "TranslateY"])


def test_invert():
    np.testing.assert_array_equal(apply("Invert", 5), 255 - X)


@pytest.mark.parametrize("m, threshold", [(0, 256), (5, 128), (9, 26), (10, 0)])
def test_solarize(m, threshold):
    np.testing.assert_array_equal(apply("Solarize", m), np.where(X >= threshold, 255 - X, X))


@pytest.mark.parametrize("m, added", [(0, 0), (5, 55), (9, 99), (10, 110)])
def test_solarize_add(m, added):
    np.testing.assert_array_equal(apply("SolarizeAdd", m), np.where(X < 128, np.minimum(X + added, 255), X))


@pytest.mark.parametrize("m, bits", [(0, 4), (5, 2), (9, 1), (10, 0)])
def test_posterize(m, bits):
    step = 2 ** (8 - bits)
    np.testing.assert_array_equal(apply("Posterize", m), X // step * step)


@pytest.mark.parametrize("m, sign", [(0, 1), (9, 1), (9, -1), (10, -1)])
def test_enhancements_blend_with_their_degenerate_image(m, sign):
    factor = 1 + sign * 0.09 * m
    degenerate = {"Brightness": np.zeros_like(X), "Color": np.repeat(grey(X)[..., None], 3, -1),
                  "Contrast": np.full_like(X, round(grey(X).mean()))}
    for name, other in degenerate.items():
        expected = np.clip(other + factor * (X - other), 0, 255)
        # Pillow rounds the grey image and cuts off the result: two levels at most, times the factor.
        assert np.abs(apply(name, m, sign) - expected).max() <= 2.5, name


@pytest.mark.parametrize("m, sign", [(9, 1), (9, -1)])
def test_sharpness_blends_with_a_smoothed_image(m, sign):
    factor, smooth = 1 + sign * 0.09 * m, X.copy()
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth[1:-1, 1:-1] = sum(kernel[i, j] * X[i:X.shape[0] - 2 + i, j:X.shape[1] - 2 + j] for i in range(3) for j in range(3))
    assert np.abs(apply("Sharpness", m, sign) - np.clip(smooth + factor * (X - smooth), 0, 255)).max() <= 2.5


def test_auto_contrast_stretches_each_channel():
    low, high = X.min((0, 1)), X.max((0, 1))
    assert np.abs(apply("AutoContrast", 5) - (X - low) * 255 / (high - low)).max() <= 1
    flat = Image.new("RGB", (4, 4), (9, 9, 9))
    np.testing.assert_array_equal(apply("AutoContrast", 5, image=flat), np.asarray(flat))


def test_equalize_makes_grey_values_equally_frequent():
    rng = np.random.default_rng(0)
    skewed = Image.fromarray((255 * rng.random((100, 100)) ** 3).astype(np.uint8))
    before, after = np.asarray(skewed).astype(int), apply("Equalize", 5, image=skewed)
    # A grey value becomes the share of pixels that are darker; the brightest there is becomes 255.
    darker = (before.ravel()[None] < np.unique(before)[:, None]).sum(1)
    expected = 255 * darker / darker[-1]
    assert np.abs(after - expected[np.searchsorted(np.unique(before), before)]).max() <= 2


def moved(inverse) -> np.ndarray:
    """Nearest-neighbour lookup at `inverse(x, y)` of each pixel's centre; uncovered areas get the mean colour."""
    height, width = X.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = inverse(x, y)
    u, v = np.floor(u).astype(int), np.floor(v).astype(int)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    out = np.tile(np.array(LOOK.fill, float), (height, width, 1))
    out[inside] = X[v[inside], u[inside]]
    return out


def turned(degrees: float):
    """Counter-clockwise about the middle, seen with y downwards."""
    a, cx, cy = np.deg2rad(degrees), X.shape[1] / 2, X.shape[0] / 2
    return lambda x, y: (cx + np.cos(a) * (x - cx) - np.sin(a) * (y - cy), cy + np.sin(a) * (x - cx) + np.cos(a) * (y - cy))


@pytest.mark.parametrize("name, m, sign, inverse", [
    ("ShearX", 10, 1, lambda x, y: (x + 0.3 * y, y)), ("ShearX", 9, -1, lambda x, y: (x - 0.27 * y, y)),
    ("ShearY", 10, -1, lambda x, y: (x, y - 0.3 * x)), ("TranslateX", 10, 1, lambda x, y: (x + 0.45 * 41, y)),
    ("TranslateX", 6, -1, lambda x, y: (x - 0.27 * 41, y)), ("TranslateY", 10, 1, lambda x, y: (x, y + 0.45 * 31)),
    ("Rotate", 10, 1, turned(30)), ("Rotate", 9, -1, turned(-27))])
def test_geometry(name, m, sign, inverse):
    different = (apply(name, m, sign) != moved(inverse)).any(-1)
    assert different.mean() < 0.01  # rounding where a centre falls on the edge of a pixel


def test_grey_images_pass_through_every_operation():
    image = photo(20, 20, 1)
    for name, operation in OPERATIONS.items():
        for m in (0.0, 4.5, 10.0):
            for sign in (-1, 1):
                out = operation(image, m, sign, LOOK)
                assert out.mode == "L" and out.size == (20, 20), name


def test_draws_two_operations_each_with_probability_one_half(monkeypatch):
    calls: list[tuple[str, float, int]] = []

    def recording(name):
        return lambda image, m, sign, look: calls.append((name, m, sign)) or image

    monkeypatch.setattr(randaugment, "OPERATIONS", {name: recording(name) for name in OPERATIONS})
    policy = RandAugment.parse("rand-m9-mstd0.5-inc1", Preprocessing())
    for seed in range(3000):
        policy(IMAGE, np.random.default_rng(seed))
    assert abs(len(calls) - 3000) < 150  # 2 x 0.5 per image
    names, counts = np.unique([name for name, _, _ in calls], return_counts=True)
    assert len(names) == 15 and counts.min() > 140 and counts.max() < 260
    magnitudes = np.array([m for _, m, _ in calls])
    assert abs(magnitudes.mean() - 8.99) < 0.05 and abs(magnitudes.std() - 0.49) < 0.05 and magnitudes.max() <= 10
    assert abs(np.mean([sign for _, _, sign in calls])) < 0.06


def test_spelling():
    policy = RandAugment.parse("rand-m7-n3-p0.8-inc1", Preprocessing(interpolation="bilinear"))
    assert (policy.magnitude, policy.magnitude_std, policy.count, policy.probability) == (7, 0, 3, 0.8)
    assert policy.look == Look((124, 116, 104), Image.Resampling.BILINEAR)  # round(255 x ImageNet's mean)


@pytest.mark.parametrize("spelling", ["augmix-m3", "rand-m9-inc0", "rand-m11", "rand-x3", "rand-m9-p2", "rand-m-inc1"])
def test_other_spellings_are_refused(spelling):
    with pytest.raises(ValueError, match="rand_augment="):
        RandAugment.parse(spelling, Preprocessing())
