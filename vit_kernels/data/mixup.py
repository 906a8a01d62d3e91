"""Mixup (arXiv:1710.09412), CutMix (arXiv:1905.04899) and label smoothing (arXiv:1512.00567) on a batch.

The batch is mixed with itself in reverse order, with one coefficient for all, as timm's 'batch' mode and MindFormers do.
Targets are smoothed first (off = s / C, on = 1 - s + off), then mixed with the same coefficient as the pixels.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Mixup:
    """A callable `(images, labels, rng) -> (images, targets)`.

    Attributes:
        num_classes: width of the targets.
        mixup_alpha: mixup's coefficient is drawn from Beta(alpha, alpha); 0 for no mixup.
        cutmix_alpha: the same for CutMix.
        probability: of mixing a batch at all.
        switch_probability: of CutMix where both are on.
        label_smoothing: s above.

    Raises:
        ValueError: a value out of range.
    """

    num_classes: int
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    probability: float = 1.0
    switch_probability: float = 0.5
    label_smoothing: float = 0.0

    def __post_init__(self):
        for name in ("probability", "switch_probability", "label_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Mixup: {name}={getattr(self, name)}, expected 0 to 1")
        if self.mixup_alpha < 0 or self.cutmix_alpha < 0:
            raise ValueError(f"Mixup: mixup_alpha={self.mixup_alpha}, cutmix_alpha={self.cutmix_alpha}, expected >= 0")

    def __call__(self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) \
            -> tuple[np.ndarray, np.ndarray]:
        """images (B, C, H, W) float32, labels (B,) -> mixed images, targets (B, num_classes) float32."""
        targets = smooth(labels, self.num_classes, self.label_smoothing)
        enabled = self.mixup_alpha > 0 or self.cutmix_alpha > 0
        if not enabled or rng.random() >= self.probability:
            return images, targets
        cut = self.cutmix_alpha > 0 and (self.mixup_alpha == 0 or rng.random() < self.switch_probability)
        alpha = self.cutmix_alpha if cut else self.mixup_alpha
        keep = float(rng.beta(alpha, alpha))
        if cut:
            height, width = images.shape[2:]
            top, bottom, left, right = cut_box(height, width, keep, rng)
            mixed = images.copy()
            mixed[:, :, top:bottom, left:right] = images[::-1, :, top:bottom, left:right]
            # The border may have clipped the box: labels follow the pixels.
            keep = 1 - (bottom - top) * (right - left) / (height * width)
        else:
            mixed = images * np.float32(keep) + images[::-1] * np.float32(1 - keep)
        return mixed, targets * np.float32(keep) + targets[::-1] * np.float32(1 - keep)


def smooth(labels: np.ndarray, num_classes: int, smoothing: float) -> np.ndarray:
    """labels (B,) -> (B, num_classes) float32 with `smoothing` of the mass spread evenly over all classes."""
    off = smoothing / num_classes
    targets = np.full((len(labels), num_classes), off, np.float32)
    targets[np.arange(len(labels)), labels] = 1 - smoothing + off
    return targets


def cut_box(height: int, width: int, keep: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a box of (1 - keep) of the area around a random centre, clipped to the image."""
    side = np.sqrt(1 - keep)
    cut_h, cut_w = int(height * side), int(width * side)
    y, x = int(rng.integers(0, height)), int(rng.integers(0, width))
    return (max(y - cut_h // 2, 0), min(y + cut_h // 2, height), max(x - cut_w // 2, 0), min(x + cut_w // 2, width))
