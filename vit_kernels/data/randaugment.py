"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719) as timm's 'rand-m9-mstd0.5-inc1' spells it.

Two of fifteen operations per image, drawn with replacement, each applied with probability 0.5 at a magnitude drawn
around m. With 'inc1' every operation gets stronger with the magnitude. Where an operation has a sign, it is random.
Areas that a geometric operation uncovers take the mean colour.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.data.transforms import INTERPOLATION

MAX_MAGNITUDE = 10.0


@dataclasses.dataclass(frozen=True)
class Look:
    """How geometric operations fill and sample."""

    fill: tuple[int, ...]
    interpolation: Image.Resampling


def _affine(image: Image.Image, matrix: tuple[float, ...], look: Look) -> Image.Image:
    fill = look.fill if image.mode == "RGB" else look.fill[0]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=look.interpolation, fillcolor=fill)


def _rotate(image: Image.Image, degrees: float, look: Look) -> Image.Image:
    fill = look.fill if image.mode == "RGB" else look.fill[0]
    return image.rotate(degrees, resample=look.interpolation, fillcolor=fill)


def _solarize_add(image: Image.Image, amount: int) -> Image.Image:
    table = [min(255, i + amount) if i < 128 else i for i in range(256)]
    return image.point(table * len(image.getbands()))


def _enhance(kind: type, image: Image.Image, change: float) -> Image.Image:
    return kind(image).enhance(1.0 + change)


# name -> (image, magnitude 0..10, sign -1 or 1, look) -> image
Operation = Callable[[Image.Image, float, int, Look], Image.Image]
OPERATIONS: dict[str, Operation] = {
    "AutoContrast": lambda image, m, sign, look: ImageOps.autocontrast(image),
    "Equalize": lambda image, m, sign, look: ImageOps.equalize(image),
    "Invert": lambda image, m, sign, look: ImageOps.invert(image),
    "Rotate": lambda image, m, sign, look: _rotate(image, sign * 3.0 * m, look),
    "Posterize": lambda image, m, sign, look: _posterize(image, 4 - int(0.4 * m)),
    "Solarize": lambda image, m, sign, look: ImageOps.solarize(image, 256 - int(25.6 * m)),
    "SolarizeAdd": lambda image, m, sign, look: _solarize_add(image, min(128, int(11 * m))),
    "Color": lambda image, m, sign, look: _enhance(ImageEnhance.Color, image, sign * 0.09 * m),
    "Contrast": lambda image, m, sign, look: _enhance(ImageEnhance.Contrast, image, sign * 0.09 * m),
    "Brightness": lambda image, m, sign, look: _enhance(ImageEnhance.Brightness, image, sign * 0.09 * m),
    "Sharpness": lambda image, m, sign, look: _enhance(ImageEnhance.Sharpness, image, sign * 0.09 * m),
    "ShearX": lambda image, m, sign, look: _affine(image, (1, sign * 0.03 * m, 0, 0, 1, 0), look),
    "ShearY": lambda image, m, sign, look: _affine(image, (1, 0, 0, sign * 0.03 * m, 1, 0), look),
    "TranslateX": lambda image, m, sign, look: _affine(image, (1, 0, sign * 0.045 * m * image.width, 0, 1, 0), look),
    "TranslateY": lambda image, m, sign, look: _affine(image, (1, 0, 0, 0, 1, sign * 0.045 * m * image.height), look),
}


def _posterize(image: Image.Image, bits: int) -> Image.Image:
    # Pillow's posterize takes 1..8 bits; none left means black.
    return ImageOps.posterize(image, bits) if bits >= 1 else Image.new(image.mode, image.size)


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """A transform `(image, rng) -> image`.

    Attributes:
        magnitude: m, from 0 to 10.
        magnitude_std: of the normal distribution around it; 0 for none.
        count: operations per image.
        probability: of applying each.
        look: fill colour and sampling of geometric operations.
    """

    magnitude: float = 9.0
    magnitude_std: float = 0.5
    count: int = 2
    probability: float = 0.5
    look: Look = Look((124, 116, 104), Image.Resampling.BICUBIC)

    @classmethod
    def parse(cls, spelling: str, preprocessing: Preprocessing) -> "RandAugment":
        """From timm's spelling: 'rand-' and then 'm9' magnitude, 'mstd0.5', 'n2' count, 'p0.5', 'inc1', joined by '-'.

        Raises:
            ValueError: another policy, an unknown part, or 'inc0' (operations that weaken as m grows are not offered).
        """
        parts = spelling.split("-")
        if parts[0] != "rand":
            raise ValueError(f"rand_augment={spelling!r}: expected 'rand-...', as in 'rand-m9-mstd0.5-inc1'")
        values: dict[str, float] = {}
        for part in parts[1:]:
            match = re.fullmatch(r"(mstd|inc|m|n|p)(\d+(?:\.\d+)?)", part)
            if not match or match[1] == "inc" and float(match[2]) != 1:
                raise ValueError(f"rand_augment={spelling!r}: cannot use {part!r}; the parts are m, mstd, n, p with a "
                                 "number, and inc1")
            values[match[1]] = float(match[2])
        if not 0 <= values.get("m", 9) <= MAX_MAGNITUDE or not 0 <= values.get("p", 0.5) <= 1:
            raise ValueError(f"rand_augment={spelling!r}: expected m from 0 to 10 and p from 0 to 1")
        fill = tuple(round(255 * m) for m in preprocessing.mean)
        return cls(values.get("m", 9.0), values.get("mstd", 0.0), int(values.get("n", 2)), values.get("p", 0.5),
                   Look(fill, INTERPOLATION[preprocessing.interpolation]))

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        names = list(OPERATIONS)
        for choice in rng.integers(0, len(names), self.count):
            if rng.random() >= self.probability:
                continue
            magnitude = rng.normal(self.magnitude, self.magnitude_std) if self.magnitude_std else self.magnitude
            sign = 1 if rng.random() < 0.5 else -1
            image = OPERATIONS[names[choice]](image, float(np.clip(magnitude, 0, MAX_MAGNITUDE)), sign, self.look)
        return image
