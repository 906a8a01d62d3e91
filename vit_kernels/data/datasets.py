"""The data sets that a name or a folder stands for."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from vit_kernels.data import digits
from vit_kernels.data.folder import load_folder, load_test_folder
from vit_kernels.data.idx import read_idx
from vit_kernels.data.images import ArrayImages, ImageDataset
from vit_kernels.errors import DataError, UsageError

FASHION_MNIST_DIR = "/usr/share/datasets/fashion-mnist"
FASHION_MNIST_CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                         "Ankle boot")
NAMES = ("digits", "fashion-mnist")


@dataclasses.dataclass(frozen=True)
class Splits:
    """A data set's two parts, and the name under which it was asked for."""

    name: str
    train: ImageDataset
    test: ImageDataset


def load_dataset(name: str, data_dir: str | Path | None = None) -> Splits:
    """Load a data set by name, or a folder of images.

    Args:
        name: 'digits' (embedded), 'fashion-mnist', or a class-per-folder tree, see `vit_kernels.data.folder`.
        data_dir: for 'fashion-mnist', where its four idx files are; default: where Debian's package puts them.

    Raises:
        UsageError: neither a name nor a folder, or data_dir for a data set that has none.
        DataError: missing or damaged files; the message says how to get them.
    """
    if name == "fashion-mnist":
        return _fashion_mnist(Path(data_dir or FASHION_MNIST_DIR))
    if data_dir is not None:
        raise UsageError(f"--data-dir does not apply to dataset {name!r}: it says where fashion-mnist's files are"
                         + ("" if name == "digits" else "; a folder of images is given as the dataset itself"))
    if name == "digits":
        pixels, targets = digits.load_digits()
        test, classes = digits.is_test(targets), [str(d) for d in range(10)]
        return Splits(name, ArrayImages(pixels[~test], targets[~test], classes),
                      ArrayImages(pixels[test], targets[test], classes))
    path = Path(name)
    if not path.exists():
        raise UsageError(f"dataset {name!r} is neither {' nor '.join(NAMES)} nor an existing folder; check the spelling")
    return Splits(absolute_name(name), *load_folder(path))


def absolute_name(name: str) -> str:
    """A data set's name such that it means the same in every working directory: folders get their full path."""
    return name if name in NAMES else os.path.abspath(name)


def load_test_images(name: str, data_dir: str | Path | None = None) -> ImageDataset:
    """The images to evaluate on: the test part of a data set, or all of a plain tree of class folders.

    A tree without train/ and val/ is a test set of its own here: who evaluates on a folder means every image in it.

    Raises:
        UsageError, DataError: as `load_dataset`.
    """
    path = Path(name)
    if name in NAMES or not path.is_dir():
        return load_dataset(name, data_dir).test
    return load_test_folder(path)


def _fashion_mnist(folder: Path) -> Splits:
    parts = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        arrays = []
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            candidates = [folder / f"{prefix}-{kind}.gz", folder / f"{prefix}-{kind}"]
            path = next((p for p in candidates if p.exists()), None)
            if path is None:
                raise DataError(
                    f"Fashion-MNIST: {candidates[0]} does not exist. Get it with `apt-get install dataset-fashion-mnist`, "
                    "or without root by `apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist*.deb "
                    f"fm` and --data-dir fm{FASHION_MNIST_DIR}")
            arrays.append(read_idx(path))
        images, labels = arrays
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(labels):
            raise DataError(f"Fashion-MNIST: {folder} has {prefix} images {images.shape} and labels {labels.shape}, "
                            "expected (N, 28, 28) and (N,)")
        parts[split] = ArrayImages(images, labels, list(FASHION_MNIST_CLASSES))
    return Splits("fashion-mnist", parts["train"], parts["test"])
