"""A MindSpore dataset of ready batches in the place of a `Loader`."""

from __future__ import annotations

import types
from typing import Any, Callable, Iterator

import numpy as np

from vit_kernels.data.loader import Batch
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.errors import DataError


class DatasetLoader:
    """Batches of a MindSpore dataset with the columns 'image', (B, C, H, W) floating point, normalised, and 'label', (B,)
    integers or (B, classes) target distributions.

    Args:
        source: the dataset, batched.
        preprocessing: what its images went through, as far as is known; goes into checkpoints.
        classes: names of the classes.
        mix: `(images, labels, rng) -> (images, targets)` for integer labels; default: one-hot.
        seed: of `mix`.

    Raises:
        DataError: not batched, or without the two columns.
    """

    def __init__(self, source: Any, preprocessing: Preprocessing, classes: list[str], mix: Callable | None = None, seed: int = 0):
        columns = source.get_col_names()
        if "image" not in columns or "label" not in columns:
            raise DataError(f"the dataset has the columns {', '.join(columns)}, expected image and label; rename them")
        self.source, self.preprocessing, self.mix, self.seed = source, preprocessing, mix, seed
        self.dataset = types.SimpleNamespace(classes=list(classes))
        self.batch_size = source.get_batch_size()
        self._shape = (preprocessing.channels, *preprocessing.image_size)

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.source.get_dataset_size()

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from step `start` on. A last, smaller one is filled up with its first image where
        labels are integers that nothing mixes, so that evaluation compiles one graph only.

        Raises:
            DataError: images or labels of another shape or type.
        """
        for step, row in enumerate(self.source.create_dict_iterator(num_epochs=1, output_numpy=True)):
            if step >= start:
                yield self._batch(row["image"], row["label"], np.random.default_rng((self.seed, epoch, step)))

    def _batch(self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Batch:
        classes = len(self.dataset.classes)
        if images.dtype.kind != "f" or images.shape[1:] != self._shape:
            raise DataError(f"the dataset's images are {images.dtype} {images.shape}, expected floating point (batch, "
                            f"{', '.join(map(str, self._shape))}), normalised")
        images = images.astype(np.float32)
        count = len(images)
        if labels.ndim == 2 and labels.shape[1] == classes:
            return Batch(images, labels.argmax(1), labels.astype(np.float32), count)
        if labels.dtype.kind not in "iu" or labels.shape not in ((count,), (count, 1)):
            raise DataError(f"the dataset's labels are {labels.dtype} {labels.shape}, expected ({count},) integers or ({count}, "
                            f"{classes}) targets")
        labels = labels.reshape(-1).astype(np.int64)
        if labels.min() < 0 or labels.max() >= classes:
            raise DataError(f"the dataset's labels run from {labels.min()} to {labels.max()}, the model has {classes} classes")
        if self.mix is not None:
            images, targets = self.mix(images, labels, rng)
            return Batch(images, labels, targets, count)
        short = self.batch_size - count
        if short > 0:
            images, labels = np.concatenate([images, np.repeat(images[:1], short, 0)]), np.pad(labels, (0, short), mode="edge")
        return Batch(images, labels, np.eye(classes, dtype=np.float32)[labels], count)
