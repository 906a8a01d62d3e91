"""Preprocessing: how pixels become the model's input. It travels with the weights, in every checkpoint."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from vit_kernels.data.transforms import INTERPOLATION, CenterCrop, Compose, Resize, ResizeShorter

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Evaluation preprocessing, and the normalisation that training shares with it.

    Attributes:
        image_size: (height, width) of the model's input, pixels.
        mean, std: per channel, for pixels scaled to 0..1; their length is the number of channels.
        crop_pct: the shorter side is resized to floor(side / crop_pct), then the centre is cropped (timm's name).
        crop_mode: 'center', or 'squash' to resize straight to image_size as Hugging Face's ViT processor does.
        interpolation: 'bicubic', 'bilinear', 'nearest' or 'lanczos'.

    Raises:
        ValueError: a field out of range; the message names it.
    """

    image_size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    crop_pct: float = 0.875
    crop_mode: str = "center"
    interpolation: str = "bicubic"

    def __post_init__(self):
        for name in ("image_size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.image_size) != 2 or not all(isinstance(s, int) and s > 0 for s in self.image_size):
            raise ValueError(f"Preprocessing: image_size={self.image_size}, expected (height, width) in pixels")
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3) or min(self.std) <= 0:
            raise ValueError(f"Preprocessing: mean={self.mean}, std={self.std}, expected one positive std per mean, "
                             "for 1 or 3 channels")
        if not 0 < self.crop_pct <= 1:
            raise ValueError(f"Preprocessing: crop_pct={self.crop_pct}, expected 0 < crop_pct <= 1")
        if self.crop_mode not in ("center", "squash"):
            raise ValueError(f"Preprocessing: crop_mode={self.crop_mode!r}, expected 'center' or 'squash'")
        if self.interpolation not in INTERPOLATION:
            raise ValueError(f"Preprocessing: interpolation={self.interpolation!r}, expected one of "
                             + ", ".join(INTERPOLATION))

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return len(self.mean)

    def transform(self) -> Compose:
        """The evaluation transform: a Pillow image in, one of `image_size` out."""
        if self.crop_mode == "squash":
            return Compose([Resize(self.image_size, self.interpolation)])
        return Compose([ResizeShorter(math.floor(max(self.image_size) / self.crop_pct), self.interpolation),
                        CenterCrop(self.image_size)])

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """pixels (B, H, W, C) uint8 -> (B, C, H, W) float32, (pixels / 255 - mean) / std."""
        mean = np.asarray(self.mean, np.float32)
        std = np.asarray(self.std, np.float32)
        scaled = pixels.astype(np.float32) * np.float32(1 / 255)
        return np.ascontiguousarray(((scaled - mean) / std).transpose(0, 3, 1, 2))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """The inverse of `to_dict`."""
        return cls(**values)
