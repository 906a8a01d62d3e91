"""Geometric transforms of Pillow images: deterministic ones for evaluation, random ones for training.

A transform is a callable `(image, rng) -> image`; deterministic ones ignore the generator. The random resized crop
follows Szegedy et al. 2014 (arXiv:1409.4842, section 6) with the constants that timm and torchvision share.
"""

from __future__ import annotations

import math
from typing import Callable, Sequence

import numpy as np
from PIL import Image

Transform = Callable[[Image.Image, np.random.Generator], Image.Image]

INTERPOLATION = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# Beyond this aspect ratio only the middle of an image is resized: a centre crop shows no more of it, and a strip of
# 20,000 x 10 pixels would otherwise become one of 512,000 x 256.
_MAX_ASPECT = 16


class Compose:
    """Apply transforms one after another."""

    def __init__(self, transforms: Sequence[Transform]):
        self.transforms = list(transforms)

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for transform in self.transforms:
            image = transform(image, rng)
        return image


class ResizeShorter:
    """Resize so that the shorter side gets a given length; the longer side is rounded down, as torchvision does.

    Args:
        size: of the shorter side, pixels.
        interpolation: a key of `INTERPOLATION`.
    """

    def __init__(self, size: int, interpolation: str = "bicubic"):
        self.size, self.interpolation = size, INTERPOLATION[interpolation]

    def __call__(self, image: Image.Image, rng: np.random.Generator | None = None) -> Image.Image:
        image = _middle(image)
        width, height = image.size
        if width <= height:
            target = (self.size, int(self.size * height / width))
        else:
            target = (int(self.size * width / height), self.size)
        return image if target == image.size else image.resize(target, self.interpolation)


class Resize:
    """Resize to exactly (height, width), whatever that does to the aspect ratio."""

    def __init__(self, size: tuple[int, int], interpolation: str = "bicubic"):
        self.target, self.interpolation = (size[1], size[0]), INTERPOLATION[interpolation]

    def __call__(self, image: Image.Image, rng: np.random.Generator | None = None) -> Image.Image:
        return image if image.size == self.target else image.resize(self.target, self.interpolation)


class CenterCrop:
    """The central (height, width) pixels; what lies outside a smaller image is black."""

    def __init__(self, size: tuple[int, int]):
        self.height, self.width = size

    def __call__(self, image: Image.Image, rng: np.random.Generator | None = None) -> Image.Image:
        left = _half(image.width - self.width)
        top = _half(image.height - self.height)
        return image.crop((left, top, left + self.width, top + self.height))


class RandomResizedCrop:
    """A random part of the image, of random area and aspect ratio, resized to (height, width).

    Args:
        size: (height, width), pixels.
        scale: range of the part's area over the image's.
        ratio: range of width over height, drawn evenly in the logarithm.
        interpolation: a key of `INTERPOLATION`.
        attempts: how many draws may miss the image before the largest central part that fits is taken.
    """

    def __init__(self, size: tuple[int, int], scale: tuple[float, float] = (0.08, 1.0),
                 ratio: tuple[float, float] = (3 / 4, 4 / 3), interpolation: str = "bicubic", attempts: int = 10):
        self.size, self.scale, self.ratio, self.attempts = size, scale, ratio, attempts
        self.interpolation = INTERPOLATION[interpolation]

    def box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the part."""
        log_ratio = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        for _ in range(self.attempts):
            area = width * height * rng.uniform(*self.scale)
            aspect = math.exp(rng.uniform(*log_ratio))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
                return left, top, left + w, top + h
        aspect = min(max(width / height, self.ratio[0]), self.ratio[1])
        w, h = min(width, max(1, round(height * aspect))), min(height, max(1, round(width / aspect)))
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        part = image.crop(self.box(*image.size, rng))
        return part.resize((self.size[1], self.size[0]), self.interpolation)


class RandomHorizontalFlip:
    """Mirror left and right with a given probability."""

    def __init__(self, probability: float = 0.5):
        self.probability = probability

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < self.probability else image


class RandomShift:
    """Shift by up to `pixels` in each direction, filling with black: the augmentation for small grey images."""

    def __init__(self, pixels: int):
        self.pixels = pixels

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        dx, dy = (int(d) for d in rng.integers(-self.pixels, self.pixels + 1, 2))
        return image.crop((dx, dy, dx + image.width, dy + image.height))


def _half(difference: int) -> int:
    # Round half to even, as Python's round() in torchvision's centre crop.
    return int(round(difference / 2.0))


def _middle(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width > _MAX_ASPECT * height:
        left = (width - _MAX_ASPECT * height) // 2
        return image.crop((left, 0, left + _MAX_ASPECT * height, height))
    if height > _MAX_ASPECT * width:
        top = (height - _MAX_ASPECT * width) // 2
        return image.crop((0, top, width, top + _MAX_ASPECT * width))
    return image
