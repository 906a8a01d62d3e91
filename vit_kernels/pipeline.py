"""pipeline: from images in any form to labels in one call, with MindFormers' signature."""

from __future__ import annotations

import os
import sys
from typing import Any, Sequence

import numpy as np
from mindspore import nn

from vit_kernels.data.inputs import count_of, iter_images, require_images
from vit_kernels.data.labels import imagenet_labels
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.errors import UsageError
from vit_kernels.inference import Classifier, in_batches, load_classifier
from vit_kernels.manifest import manifest_of_model
from vit_kernels.pretrained import WeightsMissing
from vit_kernels.processor import ViTImageProcessor, ViTProcessor

TASK = "image_classification"


def pipeline(task: str = TASK, model: Any = "vit_base_p16", tokenizer: Any = None, image_processor: Any = None,
             audio_processor: Any = None, backend: str | None = None,
             allow_random: bool = False) -> "ImageClassificationPipeline":
    """A callable that classifies images.

    Args:
        task: 'image_classification'.
        model: a name whose weights are on disk, a checkpoint of any kind, an http(s) address, or a model.
        tokenizer, audio_processor: None; they are of other tasks.
        image_processor: how images become the model's input; None for the checkpoint's way.
        backend: of the operators; MindFormers' 'ms' is the same as None.
        allow_random: a name whose weights are not on this machine gives a model with random ones.

    Raises:
        KeyError: an unknown task.
        ValueError, CheckpointError: the model cannot be made.
        UsageError: something that has no effect on images.
    """
    if task != TASK:
        raise KeyError(f"unknown task {task!r}, expected {TASK!r}")
    for name, value in (("tokenizer", tokenizer), ("audio_processor", audio_processor)):
        if value is not None:
            raise UsageError(f"pipeline: {name} has no effect on images; leave it out")
    return ImageClassificationPipeline(classifier_of(model or "vit_base_p16", image_processor,
                                                     None if backend in (None, "ms") else backend, allow_random))


def classifier_of(model: Any, image_processor: Any = None, backend: str | None = None,
                  allow_random: bool = False) -> Classifier:
    """A `Classifier` of a name, path, address, model or `Classifier`; random weights for a name only if they are allowed.

    Raises:
        TypeError: something else.
    """
    if isinstance(model, Classifier):
        classifier = model
    elif isinstance(model, nn.Cell):
        config = getattr(model, "config", None)
        if config is None or not config.num_classes:
            raise UsageError(f"{type(model).__name__} is no classifier of this package; give a ViTForImageClassification")
        known = manifest_of_model(model)
        classifier = Classifier(model.set_train(False), known.preprocessing, known.classes, "the given model")
    elif isinstance(model, (str, os.PathLike)):
        try:
            classifier = load_classifier(model, backend, allow_random)
        except WeightsMissing as error:
            raise WeightsMissing(f"{error}\nRandom weights are used with allow_random=True only") from None
    else:
        raise TypeError(f"model is {type(model).__name__}, expected a name, a path, an address or a model")
    if image_processor is not None:
        classifier.preprocessing = preprocessing_of(image_processor)
    return classifier


def preprocessing_of(image_processor: Any) -> Preprocessing:
    """The `Preprocessing` inside a ViTImageProcessor, a ViTProcessor, or itself."""
    if isinstance(image_processor, ViTProcessor):
        image_processor = image_processor.image_processor
    if isinstance(image_processor, ViTImageProcessor):
        return image_processor.preprocessing
    if isinstance(image_processor, Preprocessing):
        return image_processor
    raise TypeError(f"image_processor is {type(image_processor).__name__}, expected a ViTImageProcessor or ViTProcessor")


class ImageClassificationPipeline:
    """Images -> the likeliest classes.

    Args:
        classifier: model, preprocessing and class names.
    """

    def __init__(self, classifier: Classifier):
        self.classifier = classifier

    def __call__(self, inputs: Any, batch_size: int | None = None, top_k: int = 3,
                 candidate_labels: str | Sequence[str] | None = None) -> list[list[dict[str, Any]]]:
        """Classify.

        Args:
            inputs: a path of an image or folder, a pattern, an address, a Pillow image, an array or Tensor of one image or a
                batch, a list of these of any length, an image data set of `vit_kernels.data`, or a MindSpore dataset with an
                'image' column (decoded images, or ready batches of the model's input).
            batch_size: images per step; default: all up to 32.
            top_k: classes per image.
            candidate_labels: names of the classes: 'imagenet', or one for each output; None for the checkpoint's.

        Returns:
            For each image a list of {'score': float, 'label': str, 'index': int}, best first. The index tells apart the two
            pairs of ImageNet classes that share a name.

        Raises:
            ImageError: an image cannot be read.
            UsageError: no images, or a number of labels that is not the number of outputs.
        """
        require_images(inputs)
        for name, value in (("batch_size", batch_size), ("top_k", top_k)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UsageError(f"{name}={value!r}, expected an integer >= 1")
        labels = self._labels(candidate_labels)
        results: list[list[dict[str, Any]]] = []
        for probabilities in self._probabilities(inputs, batch_size):
            for ranked in self.classifier.top(probabilities, top_k):
                results.append([{"score": row["score"], "label": labels[row["index"]], "index": row["index"]} for row in ranked])
        if not results:
            raise UsageError("there are no images in the given data set")
        return results

    def _labels(self, candidates: str | Sequence[str] | None) -> Sequence[str]:
        own = self.classifier.classes
        if candidates is None:
            return own
        labels = imagenet_labels() if candidates == "imagenet" else candidates
        if isinstance(labels, str) or len(labels) != len(own):
            found = f"{candidates!r}" if isinstance(labels, str) else f"{len(labels)} names"
            raise UsageError(f"candidate_labels: {found}, expected 'imagenet' or a name for each of the model's {len(own)} "
                             "outputs")
        return labels

    def _probabilities(self, inputs: Any, batch_size: int | None):
        from tqdm import tqdm

        classifier = self.classifier
        if hasattr(inputs, "create_dict_iterator"):
            for batch in tqdm(inputs.create_dict_iterator(num_epochs=1, output_numpy=True), unit="batch", disable=None,
                              file=sys.stderr):
                yield self._of_array(batch)
            return
        if hasattr(inputs, "image") and hasattr(inputs, "targets"):
            total, images = len(inputs), (inputs.image(i, classifier.preprocessing.channels) for i in range(len(inputs)))
        else:
            total = count_of(inputs)
            images = (image for _, image in iter_images(inputs, classifier.preprocessing.channels))
        size = min(batch_size or 32, total or batch_size or 32)
        with tqdm(total=total, unit="img", disable=None if (total or 0) > 1 else True, file=sys.stderr) as bar:
            for batch in in_batches(images, size):
                yield classifier.probabilities(classifier.prepare(batch), size)
                bar.update(len(batch))

    def _of_array(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """One row of a MindSpore dataset: an encoded or decoded image, or a batch that is ready for the model."""
        if "image" not in batch:
            raise UsageError(f"the data set has the columns {', '.join(batch)}, expected 'image'")
        array = batch["image"]
        preprocessing = self.classifier.preprocessing
        ready = (preprocessing.channels, *preprocessing.image_size)
        if array.dtype.kind == "f" and array.shape[-3:] == ready:
            return self.classifier.probabilities(array.reshape(-1, *ready).astype(np.float32))
        if array.ndim == 1 and array.dtype == np.uint8:
            import io

            from vit_kernels.data.decode import open_image

            return self.classifier.probabilities(self.classifier.prepare([open_image(io.BytesIO(array.tobytes()),
                                                                                     preprocessing.channels)]))
        images = [image for _, image in iter_images(array, preprocessing.channels, is_hwc=True)]
        return self.classifier.probabilities(self.classifier.prepare(images))
