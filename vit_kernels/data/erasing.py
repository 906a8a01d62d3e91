"""Random erasing (Zhong et al. 2017, arXiv:1708.04896), 'pixel' mode: a random rectangle becomes Gaussian noise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class RandomErasing:
    """A callable `(image, rng)` that changes a normalised image in place.

    Attributes:
        probability: of erasing at all.
        min_area, max_area: range of the rectangle's share of the image.
        min_aspect: the aspect ratio is drawn from min_aspect to 1 / min_aspect, evenly in the logarithm.
        count: rectangles per erased image, sharing the area.
        attempts: how many draws of a rectangle may miss the image before it is left out.

    Raises:
        ValueError: a value out of range.
    """

    probability: float = 0.25
    min_area: float = 0.02
    max_area: float = 1 / 3
    min_aspect: float = 0.3
    count: int = 1
    attempts: int = 10

    def __post_init__(self):
        if not 0 <= self.probability <= 1 or not 0 < self.min_area <= self.max_area <= 1 or not 0 < self.min_aspect <= 1:
            raise ValueError(f"{self}: expected 0 <= probability <= 1, 0 < min_area <= max_area <= 1, 0 < min_aspect <= 1")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> None:
        """image (C, H, W) float32, of zero mean and unit variance: noise of N(0, 1) per value then looks like it."""
        if rng.random() >= self.probability:
            return
        channels, height, width = image.shape
        for _ in range(self.count):
            box = self.box(height, width, rng)
            if box is not None:
                top, bottom, left, right = box
                image[:, top:bottom, left:right] = rng.standard_normal((channels, bottom - top, right - left),
                                                                       dtype=np.float32)

    def box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int] | None:
        """(top, bottom, left, right), or None when every attempt missed."""
        log_aspect = abs(math.log(self.min_aspect))
        for _ in range(self.attempts):
            area = rng.uniform(self.min_area, self.max_area) * height * width / self.count
            aspect = math.exp(rng.uniform(-log_aspect, log_aspect))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if h < height and w < width:
                top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
                return top, top + h, left, left + w
        return None
