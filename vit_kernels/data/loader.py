"""The loader: decoded, transformed and stacked batches, the same whatever the number of worker threads.

Each image gets a random generator of its own, seeded with (seed, epoch, index), and each batch one seeded with (seed,
epoch, step); so a batch depends on nothing but its place, and training can start anywhere in an epoch. Threads suffice
because Pillow and NumPy release the interpreter lock; processes are avoided because OpenMP kernels do not survive a
fork.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
from typing import Callable, Iterator

import numpy as np

from vit_kernels.data.images import ImageDataset
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.data.transforms import Transform

# Tell apart the random streams that share a seed and an epoch.
_ORDER, _IMAGE, _BATCH = 0, 1, 2


@dataclasses.dataclass
class Batch:
    """One step's images.

    Attributes:
        images: (B, C, H, W) float32, normalised.
        labels: (B,) int64 class indices.
        targets: (B, classes) float32, what the loss compares with: one-hot, smoothed or mixed.
        count: how many of the B images are real; the others only keep the shape and must not be counted.
    """

    images: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    count: int


class Loader:
    """Batches of a data set.

    Args:
        dataset: the images.
        preprocessing: size, channels and normalisation.
        batch_size: images per batch.
        transform: from decoded to final size; default: the evaluation transform.
        shuffle: a new order each epoch.
        drop_last: leave out the last, partial batch instead of filling it up with copies of its first image.
        erase: `(images (C, H, W), rng)`, changes a normalised image in place.
        mix: `(images, labels, rng) -> (images, targets)`, for mixup and label smoothing; default: one-hot.
        seed: of everything random.
        workers: decoding threads; 0 decodes in the calling thread.

    Raises:
        ValueError: batch_size or workers out of range, or no images.
    """

    def __init__(self, dataset: ImageDataset, preprocessing: Preprocessing, batch_size: int,
                 transform: Transform | None = None, shuffle: bool = False, drop_last: bool = False,
                 erase: Callable | None = None, mix: Callable | None = None, seed: int = 0, workers: int = 2):
        if batch_size < 1 or workers < 0:
            raise ValueError(f"batch_size={batch_size}, workers={workers}: expected at least 1 and 0")
        if not len(dataset):
            raise ValueError("the data set has no images")
        self.dataset, self.preprocessing, self.batch_size = dataset, preprocessing, batch_size
        self.transform = transform or preprocessing.transform()
        self.shuffle, self.drop_last, self.erase, self.mix = shuffle, drop_last, erase, mix
        self.seed, self.workers = seed, workers

    def __len__(self) -> int:
        """Batches per epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last else full + bool(rest)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from step `start` on.

        Raises:
            ImageError: an image cannot be decoded.
        """
        order = np.arange(len(self.dataset))
        if self.shuffle:
            self._rng(epoch, _ORDER, 0).shuffle(order)
        steps = range(start, len(self))
        if not self.workers:
            for step in steps:
                yield self._batch(order, epoch, step)
            return
        with concurrent.futures.ThreadPoolExecutor(self.workers, thread_name_prefix="vit_kernels-data") as pool:
            pending: collections.deque = collections.deque()
            try:
                for step in steps:
                    pending.append(pool.submit(self._batch, order, epoch, step))
                    # One batch in the making per worker, and one more ready to be taken.
                    if len(pending) > self.workers + 1:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def _rng(self, epoch: int, stream: int, place: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch, stream, place))

    def _batch(self, order: np.ndarray, epoch: int, step: int) -> Batch:
        indices = order[step * self.batch_size:(step + 1) * self.batch_size]
        channels, (height, width) = self.preprocessing.channels, self.preprocessing.image_size
        pixels = np.empty((self.batch_size, height, width, channels), np.uint8)
        generators = [self._rng(epoch, _IMAGE, int(i)) for i in indices]
        for row, (index, rng) in enumerate(zip(indices, generators)):
            image = self.transform(self.dataset.image(int(index), channels), rng)
            pixels[row] = np.asarray(image).reshape(height, width, channels)
        pixels[len(indices):] = pixels[0]
        images = self.preprocessing.normalize(pixels)
        if self.erase is not None:
            for image, rng in zip(images, generators):
                self.erase(image, rng)
        labels = np.full(self.batch_size, self.dataset.targets[indices[0]], np.int64)
        labels[:len(indices)] = self.dataset.targets[indices]
        if self.mix is not None:
            images, targets = self.mix(images, labels, self._rng(epoch, _BATCH, step))
        else:
            targets = np.eye(len(self.dataset.classes), dtype=np.float32)[labels]
        return Batch(images, labels, targets, len(indices))
