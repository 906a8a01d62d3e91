"""How each kind of data set is trained by default: one table, so that two recipes can be compared line by line."""

from __future__ import annotations

import dataclasses
from typing import Any

from vit_kernels.data.augmentation import Augmentation
from vit_kernels.data.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Every choice of a training run that does not depend on the machine.

    Attributes:
        model: fields of `ViTConfig`; num_classes comes from the data.
        preprocessing: of the model's input.
        augmentation: of training images.
        epochs, batch_size: length of the run, images per step.
        lr: peak learning rate at this batch size.
        min_lr: where the cosine ends.
        warmup_epochs: linear warm-up.
        weight_decay: of matrices.
        layer_decay: learning-rate factor per layer below the head; 1 for none.
        beta2: decay of AdamW's second moment.
        clip_norm: largest global gradient norm; 0 for no clipping.
        beta1, eps: of AdamW.
    """

    model: dict[str, Any]
    preprocessing: Preprocessing
    augmentation: Augmentation
    epochs: int
    batch_size: int
    lr: float
    min_lr: float = 1e-6
    warmup_epochs: float = 5.0
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    beta2: float = 0.999
    clip_norm: float = 0.0
    beta1: float = 0.9
    eps: float = 1e-8


# Narrow models start from wider weights: with the usual 0.02 a width of 96 hardly moves for the first ten epochs.
_SMALL = {"global_pool": "avg", "drop_path_rate": 0.0, "mlp_ratio": 4.0, "in_chans": 1, "initializer_range": 0.1}

RECIPES = {
    "digits": Recipe(
        model={**_SMALL, "image_size": 8, "patch_size": 2, "embed_dim": 96, "depth": 4, "num_heads": 3},
        preprocessing=Preprocessing((8, 8), (0.3053,), (0.3759,), crop_pct=1.0),
        # No shifts, for one pixel is half a patch here: resampled crops move and scale by fractions of a pixel.
        augmentation=Augmentation(crop_scale=(0.6, 1.0), crop_ratio=(0.8, 1.25), label_smoothing=0.1),
        epochs=24, batch_size=64, lr=8e-4, warmup_epochs=2, clip_norm=1.0),
    "fashion-mnist": Recipe(
        model={**_SMALL, "image_size": 28, "patch_size": 4, "embed_dim": 96, "depth": 4, "num_heads": 3},
        preprocessing=Preprocessing((28, 28), (0.2860,), (0.3530,), crop_pct=1.0),
        # A few passes over 60,000 images do not overfit: augmentation would only slow this model down.
        augmentation=Augmentation(label_smoothing=0.1),
        epochs=12, batch_size=64, lr=6e-4, warmup_epochs=0.5, clip_norm=1.0),
    # From scratch on photos: augmentation and schedule of DeiT (arXiv:2012.12877), scaled to small batches.
    "folder": Recipe(
        model={"image_size": 224, "patch_size": 16, "embed_dim": 192, "depth": 12, "num_heads": 3, "in_chans": 3,
               "global_pool": "avg", "drop_path_rate": 0.1},
        preprocessing=Preprocessing(),
        augmentation=Augmentation(crop_scale=(0.08, 1.0), flip=0.5, rand_augment="rand-m9-mstd0.5-inc1", erase=0.25,
                                  mixup=0.8, cutmix=1.0, label_smoothing=0.1),
        epochs=50, batch_size=32, lr=2.5e-4, warmup_epochs=5, clip_norm=1.0),
}


def recipe_for(dataset: str) -> Recipe:
    """The recipe of a named data set, or that for folders of images."""
    return RECIPES.get(dataset, RECIPES["folder"])
