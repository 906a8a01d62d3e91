"""A checkpoint ready for use: the model with its weights, how its input is made, what its outputs are called."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

import numpy as np
from mindspore import Tensor
from PIL import Image

from vit_kernels import checkpoint as checkpoints
from vit_kernels import pretrained
from vit_kernels.data.labels import imagenet_labels
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.download import is_address
from vit_kernels.manifest import foreign_classes, foreign_preprocessing, mae_preprocessing
from vit_kernels.models import ViTConfig, ViTForImageClassification, create_config
from vit_kernels.processor import prepare
from vit_kernels.training import checkpoint_io
from vit_kernels.training.run_folder import find_checkpoint

logger = logging.getLogger("vit_kernels")


@dataclasses.dataclass
class Classifier:
    """A model and everything that has to be known to use it.

    Attributes:
        model: images -> logits, in evaluation mode.
        preprocessing: how an image becomes the model's input.
        classes: names of the outputs, in order.
        path: where the weights come from.
        training: what the checkpoint says of its training ('dataset' and so on); empty for other projects' files.
    """

    model: ViTForImageClassification
    preprocessing: Preprocessing
    classes: list[str]
    path: str
    training: dict[str, Any] = dataclasses.field(default_factory=dict)

    def prepare(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Decoded images -> the model's input (B, C, H, W)."""
        return prepare(self.preprocessing, images)

    def probabilities(self, inputs: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """inputs (B, C, H, W) -> softmax of the logits (B, classes), float64.

        Args:
            inputs: of `prepare`.
            batch_size: size to fill the batch up to, so that the last one does not compile another graph.
        """
        count = len(inputs)
        if batch_size and count < batch_size:
            inputs = np.concatenate([inputs, np.repeat(inputs[:1], batch_size - count, 0)])
        logits = self.model(Tensor(inputs)).asnumpy()[:count].astype(np.float64)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True)

    def top(self, probabilities: np.ndarray, count: int) -> list[list[dict[str, Any]]]:
        """The `count` likeliest classes of each row as {'rank', 'index', 'label', 'score'}, best first."""
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
        return [[{"rank": rank, "index": int(k), "label": self.classes[k], "score": float(row[k])}
                 for rank, k in enumerate(best, 1)] for row, best in zip(probabilities, order)]


def load_classifier(where: str | Path | None, backend: str | None = None, allow_random: bool = False) -> Classifier:
    """A classifier from a checkpoint.

    Args:
        where: a checkpoint file of any supported kind, a training run's output folder, a folder of Hugging Face's or
            `save_pretrained`'s, a name such as 'vit_base_p16' or an http(s) address (see `vit_kernels.pretrained`); None for
            the newest run under output/.
        backend: see `vit_kernels.ops.resolve_backend`.
        allow_random: a name whose weights are not on this machine gives a model with random ones.

    Raises:
        UsageError: nothing is there.
        WeightsMissing: a CheckpointError; a name whose weights are not on this machine.
        CheckpointError: it cannot be read, or is no classifier.
    """
    try:
        path = locate(where)
    except pretrained.WeightsMissing:
        if not allow_random:
            raise
        return random_classifier(create_config(str(where)), f"the weights of {str(where)!r}", backend)
    opened = checkpoints.load(path)
    if checkpoint_io.is_own(opened.metadata):
        own = checkpoint_io.load(path)
        if not own.config.num_classes:
            raise checkpoints.CheckpointError(f"{path} is a backbone without a classifier")
        try:
            model = own.build(backend)
        except checkpoints.CheckpointError as error:
            raise checkpoints.CheckpointError(f"{path}: {error}") from None
        return Classifier(model.set_train(False), own.preprocessing, own.classes, str(path), own.training)
    config = ViTConfig(**{**pretrained.config_fields(opened), "checkpoint_name_or_path": None})
    if not config.num_classes:
        raise checkpoints.CheckpointError(f"{opened.path} is a backbone without a classifier; train one on top of it with "
                                          f"python -m vit_kernels.train --checkpoint {opened.path}")
    model = ViTForImageClassification(config, backend=backend, draw=False)
    checkpoints.load_checkpoint_into(model, opened)
    return Classifier(model.set_train(False), foreign_preprocessing(opened, config), foreign_classes(opened, config), opened.path)


def random_classifier(config: ViTConfig, what: str, backend: str | None = None, seed: int | None = None) -> Classifier:
    """A classifier that was never trained; a warning says of `what` that it is random."""
    logger.warning("%s are not on this machine, random ones take their place: what the model says means nothing", what)
    model = ViTForImageClassification(config, backend=backend, seed=seed)
    classes = imagenet_labels() if config.num_classes == 1000 else [str(i) for i in range(config.num_classes)]
    return Classifier(model.set_train(False), mae_preprocessing(config.image_hw, config.in_chans), classes, "random weights")


def locate(where: str | Path | None) -> Path:
    """The file or folder with the weights that `load_classifier` means by `where`."""
    if is_address(where) or where is not None and not Path(where).exists() and is_model_name(str(where)):
        return pretrained.find_weights(where)
    if where is not None and Path(where).is_dir() and not (Path(where) / "checkpoints").is_dir():
        return Path(where)  # a Hugging Face folder, or one with a single file
    return find_checkpoint(where)


def is_model_name(text: str) -> bool:
    """Whether `create_config` knows the name."""
    try:
        create_config(text)
    except ValueError:
        return False
    return True


def in_batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items; the last may be shorter."""
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
