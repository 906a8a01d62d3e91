"""What a data set is to the loader: images by index, their integer labels, and the names of the classes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vit_kernels.data.decode import open_image, to_mode
from vit_kernels.errors import DataError


class ImageDataset:
    """What the loader needs: a length, integer targets, class names, and images by index.

    Attributes:
        targets: (N,) int64 class indices.
        classes: their names.
    """

    targets: np.ndarray
    classes: list[str]

    def __len__(self) -> int:
        return len(self.targets)

    def image(self, index: int, channels: int) -> Image.Image:
        """Image `index`, decoded, as 'L' (channels 1) or 'RGB' (3); safe to call from several threads."""
        raise NotImplementedError


class ArrayImages(ImageDataset):
    """Images that are in memory.

    Args:
        pixels: (N, H, W) grey or (N, H, W, 3) RGB, uint8.
        targets: (N,) class indices.
        classes: their names.
    """

    def __init__(self, pixels: np.ndarray, targets: np.ndarray, classes: list[str]):
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or len(pixels) != len(targets):
            raise ValueError(f"pixels {pixels.dtype} {pixels.shape} and targets {targets.shape}: expected uint8 "
                             "(N, H, W) or (N, H, W, 3), and (N,)")
        self.pixels, self.targets, self.classes = pixels, targets.astype(np.int64), list(classes)
        if len(targets) and not 0 <= self.targets.min() <= self.targets.max() < len(self.classes):
            raise DataError(f"labels run from {self.targets.min()} to {self.targets.max()}, expected 0 to "
                            f"{len(self.classes) - 1}; images and labels do not belong together")

    def image(self, index: int, channels: int) -> Image.Image:
        return to_mode(Image.fromarray(self.pixels[index]), channels)


class FileImages(ImageDataset):
    """Image files; a file is decoded each time it is asked for.

    Args:
        files: paths.
        targets: (N,) class indices.
        classes: their names.
    """

    def __init__(self, files: list[str], targets: np.ndarray, classes: list[str]):
        self.files, self.targets, self.classes = list(files), np.asarray(targets, np.int64), list(classes)

    def image(self, index: int, channels: int) -> Image.Image:
        """Image `index`, decoded, as 'L' (channels 1) or 'RGB' (3).

        Raises:
            ImageError: the file cannot be decoded.
        """
        return open_image(self.files[index], channels)
