"""What a caller of the Trainer gives as data: folders, names, image data sets, MindSpore datasets."""

from __future__ import annotations

import os
from typing import Any

from vit_kernels.data.datasets import NAMES, load_dataset, load_test_images
from vit_kernels.data.folder import scan_folder
from vit_kernels.data.images import ImageDataset
from vit_kernels.data.labels import imagenet_labels
from vit_kernels.errors import UsageError


def checked(name: str, dataset: Any, configured: str) -> Any:
    """A data set, a folder checked; one that only the configuration names may be missing until it is needed."""
    explicit = dataset is not None
    dataset = dataset if explicit else configured or None
    if isinstance(dataset, (str, os.PathLike)) and str(dataset) not in NAMES and not os.path.isdir(dataset):
        if explicit:
            raise UsageError(f"Trainer: {name} {os.fspath(dataset)!r} is no folder; give a folder with one sub-folder per class")
        return None
    return dataset


def images_of(dataset: Any, training: bool) -> ImageDataset | None:
    """An image data set of a folder, a name or itself; None for MindSpore datasets."""
    if isinstance(dataset, (str, os.PathLike)):
        name = os.fspath(dataset)
        if name in NAMES:
            splits = load_dataset(name)
            return splits.train if training else splits.test
        return scan_folder(name) if training else load_test_images(name)
    if isinstance(dataset, ImageDataset):
        return dataset
    if hasattr(dataset, "create_dict_iterator"):
        return None
    raise TypeError(f"Trainer: a data set is {type(dataset).__name__}, expected a folder, an image data set or a MindSpore "
                    "dataset")


def described(dataset: Any) -> str:
    """A data set in the record of a run."""
    if isinstance(dataset, (str, os.PathLike)):
        return str(dataset) if str(dataset) in NAMES else os.path.abspath(dataset)
    return type(dataset).__name__


def class_names(count: int) -> list[str]:
    """Names for classes that nobody named."""
    return imagenet_labels() if count == 1000 else [str(i) for i in range(count)]
