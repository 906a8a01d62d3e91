"""Class-per-folder image trees, ImageNet style.

    DIR/train/<class>/<image>, DIR/val/<class>/<image>     two splits; 'validation' and 'test' are understood for 'val'
    DIR/<class>/<image>                                    one tree: every fifth image of a class is for testing

Class indices follow the sorted folder names, which for ImageNet's wnids is the standard order. Images may lie in
sub-folders of their class folder. Hidden files and files that are not named like images are passed over.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vit_kernels.data.decode import EXTENSIONS, is_image_name
from vit_kernels.data.images import FileImages
from vit_kernels.errors import DataError

_TRAIN, _TEST = ("train",), ("val", "validation", "test")
_EVERY = 5


def load_folder(root: str | Path) -> tuple[FileImages, FileImages]:
    """The training and test images of a tree.

    Raises:
        DataError: not a folder, no or one class only, an empty class folder, splits with different classes, or too few
            images to split.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is a file, expected a folder with one sub-folder of images per class")
    train_dir = next((root / n for n in _TRAIN if (root / n).is_dir()), None)
    test_dir = next((root / n for n in _TEST if (root / n).is_dir()), None)
    if train_dir and test_dir:
        train, test = scan_folder(train_dir), scan_folder(test_dir)
        if train.classes != test.classes:
            odd = sorted(set(train.classes) ^ set(test.classes))
            raise DataError(f"{train_dir} and {test_dir} have different classes; only one of them has: "
                            f"{', '.join(odd[:10])}. Give both the same class folders")
        return train, test
    if train_dir or test_dir:
        raise DataError(f"{root} has {(train_dir or test_dir).name}/ but not its counterpart; "
                        f"expected train/ and one of {', '.join(n + '/' for n in _TEST)}")
    return split_images(scan_folder(root), root)


def load_test_folder(root: Path) -> FileImages:
    """The test images of a tree: those of val/ (or validation/, test/) where there is one, else all.

    Raises:
        DataError: as `scan_folder`.
    """
    return scan_folder(next((root / n for n in _TEST if (root / n).is_dir()), root))


def split_images(images: FileImages, root: Path) -> tuple[FileImages, FileImages]:
    """Of each class, in sorted order, images 4, 9, 14, ... for testing (at least the last one), the rest for training."""
    test = np.zeros(len(images), bool)
    for label, name in enumerate(images.classes):
        of_label = np.flatnonzero(images.targets == label)
        if len(of_label) < 2:
            raise DataError(f"{root / name} has one image; two are needed, one for training and one for testing. "
                            "Add images, or make train/ and val/ folders")
        test[of_label[min(_EVERY, len(of_label)) - 1::_EVERY]] = True
    return tuple(FileImages([f for f, t in zip(images.files, test) if t == part], images.targets[test == part],
                              images.classes) for part in (False, True))


def scan_folder(root: str | Path) -> FileImages:
    """All images of one tree of class folders.

    Raises:
        DataError: no class folders, one only, or one without images.
    """
    root = Path(root)
    try:
        classes = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise DataError(f"{root} cannot be listed: {error.strerror}") from None
    if not classes:
        raise DataError(f"{root} has no class folders; expected one sub-folder of images per class")
    if len(classes) == 1:
        raise DataError(f"{root} has one class folder only ({classes[0]}); a classifier needs at least two")
    files: list[str] = []
    targets: list[int] = []
    for index, name in enumerate(classes):
        found = list_images(root / name)
        if not found:
            raise DataError(f"class folder {root / name} has no images ({', '.join(EXTENSIONS)}); "
                            "add images or delete the folder")
        files += found
        targets += [index] * len(found)
    return FileImages(files, np.asarray(targets), classes)


def list_images(folder: str | Path) -> list[str]:
    """Paths of all files below a folder that are named like images, sorted; hidden ones are left out."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [os.path.join(parent, n) for n in names if is_image_name(n) and not n.startswith(".")]
    return sorted(found)
