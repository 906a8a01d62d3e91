"""The embedded data set: 1,797 handwritten digits of 8 x 8 pixels, so that training needs no download.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (test part), UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0. One line per image in digits.csv.gz: 64 pixels from 0 to 16, then the digit.

The split is fixed: of each digit, in file order, images 4, 9, 14, ... (counting from 0) are the test images. That
makes 1,442 for training and 355 for testing, with every digit in both to the same share.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("digits.csv.gz")
_EVERY = 5


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """All images in file order: pixels (1797, 8, 8) uint8 scaled to 0..255, digits (1797,) int64."""
    with gzip.open(FILE, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    pixels = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    return pixels, table[:, 64]


def is_test(targets: np.ndarray) -> np.ndarray:
    """Which images are test images: (N,) bool, by the rule in this module's description."""
    mask = np.zeros(len(targets), bool)
    for label in np.unique(targets):
        of_label = np.flatnonzero(targets == label)
        mask[of_label[_EVERY - 1::_EVERY]] = True
    return mask
