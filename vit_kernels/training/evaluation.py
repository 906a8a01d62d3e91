"""Evaluation: loss, top-1 and top-5 over every image, the last partial batch included."""

from __future__ import annotations

import dataclasses
import time
from typing import Callable, Iterator

import numpy as np
from mindspore import Tensor, nn

from vit_kernels.data.loader import Batch, Loader


@dataclasses.dataclass
class Metrics:
    """Means over `count` images; top1 and top5 are fractions. With fewer than six classes top5 is 1 unless logits are
    not finite."""

    top1: float
    top5: float
    loss: float
    count: int
    samples_per_sec: float


def label_ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the right one: (B, C), (B,) -> (B,); 0 is a hit.

    Ties go to the lower index, as with argmax. Rows that are not finite rank last, so that a broken model cannot score.
    """
    own = np.take_along_axis(logits, labels[:, None], 1)
    before = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < labels[:, None]))
    return np.where(np.isfinite(logits).all(1), before.sum(1), logits.shape[1])


def cross_entropies(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-likelihoods in float64: (B, C), (B,) -> (B,)."""
    logits = logits.astype(np.float64)
    top = logits.max(1)
    return np.log(np.exp(logits - top[:, None]).sum(1)) + top - np.take_along_axis(logits, labels[:, None], 1)[:, 0]


def batched_logits(model: nn.Cell, batches: Iterator[Batch]) -> Iterator[tuple[Batch, np.ndarray]]:
    """Run a model in evaluation mode; yields each batch with the logits (count, C) of its real images."""
    model.set_train(False)
    for batch in batches:
        yield batch, model(Tensor(batch.images)).asnumpy()[:batch.count].astype(np.float32)


def evaluate(model: nn.Cell, loader: Loader, progress: Callable[[int], None] | None = None) -> Metrics:
    """Score a classifier.

    Args:
        model: images -> logits.
        loader: neither shuffled nor dropping the last batch, so that every image counts once.
        progress: called with the number of images of each finished batch.

    Raises:
        ImageError: an image cannot be decoded.
    """
    loss = hits1 = hits5 = count = 0
    begin = time.perf_counter()
    for batch, logits in batched_logits(model, loader.epoch()):
        labels = batch.labels[:batch.count]
        ranks = label_ranks(logits, labels)
        hits1 += int((ranks < 1).sum())
        hits5 += int((ranks < min(5, logits.shape[1])).sum())
        loss += float(cross_entropies(logits, labels).sum())
        count += batch.count
        if progress is not None:
            progress(batch.count)
    seconds = max(time.perf_counter() - begin, 1e-9)
    return Metrics(hits1 / count, hits5 / count, loss / count, count, count / seconds)
