"""Augmentation: what training does to images beyond the evaluation preprocessing, as one record that can be diffed."""

from __future__ import annotations

import dataclasses

from vit_kernels.data.erasing import RandomErasing
from vit_kernels.data.mixup import Mixup
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.data.randaugment import RandAugment
from vit_kernels.data.transforms import Compose, RandomHorizontalFlip, RandomResizedCrop, RandomShift


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """All fields off by default.

    Attributes:
        crop_scale: range of a random resized crop's area; None resizes as for evaluation.
        crop_ratio: range of its aspect ratio.
        flip: probability of mirroring left and right.
        shift: largest random shift, pixels of the model's input.
        rand_augment: timm's spelling, as in 'rand-m9-mstd0.5-inc1'; '' for none.
        erase: probability of random erasing.
        mixup, cutmix: alpha of the Beta distribution; 0 for none.
        mix_probability: of mixing a batch at all.
        switch_probability: of CutMix where both are on.
        label_smoothing: share of the target spread evenly over all classes.
    """

    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    shift: int = 0
    rand_augment: str = ""
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    switch_probability: float = 0.5
    label_smoothing: float = 0.0

    def transform(self, preprocessing: Preprocessing) -> Compose:
        """From a decoded image to one of the model's size."""
        steps: list = []
        if self.crop_scale is None:
            steps.append(preprocessing.transform())
        else:
            steps.append(RandomResizedCrop(preprocessing.image_size, tuple(self.crop_scale), tuple(self.crop_ratio),
                                           preprocessing.interpolation))
        if self.flip:
            steps.append(RandomHorizontalFlip(self.flip))
        if self.shift:
            steps.append(RandomShift(self.shift))
        if self.rand_augment:
            steps.append(RandAugment.parse(self.rand_augment, preprocessing))
        return Compose(steps)

    def eraser(self) -> RandomErasing | None:
        """Random erasing of normalised images, or None."""
        return RandomErasing(self.erase) if self.erase else None

    def mixer(self, num_classes: int) -> Mixup:
        """What makes targets of labels, and mixes a batch if asked to."""
        return Mixup(num_classes, self.mixup, self.cutmix, self.mix_probability, self.switch_probability,
                     self.label_smoothing)
