"""ViTImageProcessor and ViTProcessor: images in any form to the model's input, under MindFormers' names."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from mindspore import Tensor

from vit_kernels.config_files import read_yaml
from vit_kernels.data.inputs import to_images
from vit_kernels.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_kernels.models import ViTConfig

# MindFormers' spelling of Pillow's filters.
INTERPOLATIONS = {"cubic": "bicubic", "linear": "bilinear", "area": "bilinear", "antialias": "lanczos", "pilcubic": "bicubic"}


def interpolation_named(name: str) -> str:
    """MindFormers', MindSpore's or Pillow's name of a filter as `Preprocessing` spells it."""
    name = str(name).rpartition(".")[2].lower()
    return INTERPOLATIONS.get(name, name)


def resize_to_crop_pct(size: tuple[int, int], resize: int | None) -> float:
    """crop_pct with which the shorter side becomes `resize` pixels.

    None follows MAE: 256 for 224, in that proportion for smaller inputs, and no cropping of larger ones. MindFormers
    resizes to 256 whatever the size, and pads when that is too small.
    """
    side = max(size)
    if resize is None:
        return 0.875 if side <= 224 else 1.0
    if not isinstance(resize, int) or resize < side:
        raise ValueError(f"resize={resize!r}, expected at least size={side} pixels: the crop is cut out of the resized image")
    # floor(side / crop_pct) must come out as `resize`.
    return side / resize if int(side / (side / resize)) == resize else side / (resize + 0.5)


class ViTImageProcessor:
    """Resize, centre crop, normalise.

    Args:
        size: of the model's square input, pixels, or (height, width).
        resize: the shorter side before the crop; None for MAE's rule (256 for 224; for larger sizes the size itself).
        mean, std: per channel, of pixels scaled to 0..1.
        is_hwc: NumPy arrays and tensors are (H, W, C) rather than (C, H, W), where the shape leaves it open.
        interpolation: 'cubic', 'linear', 'nearest', ... or Pillow's names.
        preprocessing: all of the above in one; of a checkpoint, for instance.

    Raises:
        ValueError: a value out of range.
    """

    def __init__(self, size: int | tuple[int, int] = 224, resize: int | None = None, mean: Any = IMAGENET_MEAN,
                 std: Any = IMAGENET_STD, is_hwc: bool = False, interpolation: str = "cubic",
                 preprocessing: Preprocessing | None = None):
        pair = (size, size) if isinstance(size, int) else tuple(size)
        self.preprocessing = preprocessing or Preprocessing(pair, tuple(mean), tuple(std), resize_to_crop_pct(pair, resize),
                                                            interpolation=interpolation_named(interpolation))
        self.is_hwc = is_hwc

    def __call__(self, images: Any) -> Tensor:
        """A path, an address, a Pillow image, an array or Tensor (H, W, C), (C, H, W) or batches of them, or a list of these
        -> Tensor (N, C, height, width) float32.

        Raises:
            ImageError: an image cannot be read.
            ValueError, TypeError: something else than images.
        """
        return Tensor(self.preprocess(images))

    def preprocess(self, images: Any) -> np.ndarray:
        """As a call, but NumPy."""
        decoded = to_images(images, self.preprocessing.channels, self.is_hwc)
        return prepare(self.preprocessing, decoded)


def prepare(preprocessing: Preprocessing, images: list) -> np.ndarray:
    """Decoded images -> the model's input (B, C, H, W) float32."""
    transform, (height, width) = preprocessing.transform(), preprocessing.image_size
    pixels = np.empty((len(images), height, width, preprocessing.channels), np.uint8)
    for row, image in enumerate(images):
        pixels[row] = np.asarray(transform(image, None)).reshape(pixels.shape[1:])
    return preprocessing.normalize(pixels)


class ViTProcessor:
    """Wraps an image processor; a call returns {'image': Tensor}.

    Args:
        image_processor: a `ViTImageProcessor`; None for the default.
        return_tensors: 'ms' for MindSpore tensors; nothing else.
    """

    def __init__(self, image_processor: ViTImageProcessor | None = None, return_tensors: str = "ms"):
        if return_tensors != "ms":
            raise ValueError(f"return_tensors={return_tensors!r}, expected 'ms'")
        self.image_processor = image_processor or ViTImageProcessor()
        self.return_tensors = return_tensors

    def __call__(self, image_input: Any) -> dict[str, Tensor]:
        return {"image": self.image_processor(image_input)}

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike) -> "ViTProcessor":
        """By a model's name, or from the `processor.image_processor` of a YAML file.

        Raises:
            ValueError: an unknown name, or not such a file.
        """
        if os.path.isfile(name_or_path):
            document = read_yaml(name_or_path)
            if isinstance(document.get("preprocessing"), dict):  # what `convert` writes beside weights
                return cls(ViTImageProcessor(preprocessing=Preprocessing.from_dict(document["preprocessing"])))
            section = document.get("processor") or {}
            fields = dict(section.get("image_processor") or {}) if isinstance(section, dict) else {}
            fields.pop("type", None)
            return cls(ViTImageProcessor(**fields))
        return cls(ViTImageProcessor(ViTConfig.from_pretrained(name_or_path).image_hw))
