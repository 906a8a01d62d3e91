"""The data sets: digits, idx files, folders, sources, labels."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from vit_kernels.data import load_dataset
from vit_kernels.data.datasets import FASHION_MNIST_DIR, load_test_images
from vit_kernels.data.digits import is_test, load_digits
from vit_kernels.data.idx import read_idx
from vit_kernels.data.labels import imagenet_labels, imagenet_synsets, read_labels
from vit_kernels.data.sources import expand
from vit_kernels.errors import DataError, UsageError


def test_digits_are_the_published_ones():
    pixels, targets = load_digits()
    assert pixels.shape == (1797, 8, 8) and pixels.dtype == np.uint8 and pixels.max() == 255
    # class sizes as the data set's own description gives them
    assert np.bincount(targets).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_split_is_fixed_and_even():
    data = load_dataset("digits")
    assert (len(data.train), len(data.test)) == (1442, 355)
    _, targets = load_digits()
    mask = is_test(targets)
    for digit in range(10):
        of_digit = np.flatnonzero(targets == digit)
        assert np.flatnonzero(mask[of_digit]).tolist() == list(range(4, len(of_digit), 5))


def idx(path, array, magic=(0, 0, 8), cut=None, extra=b"", compress=False):
    data = bytes([*magic, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes() + extra
    path.write_bytes(gzip.compress(data[:cut]) if compress else data[:cut])
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_idx_round_trip(tmp_path, compress):
    array = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_idx(idx(tmp_path / "x", array, compress=compress)), array)


@pytest.mark.parametrize("kwargs, says", [
    ({"cut": 40}, "truncated"), ({"cut": 3}, "not an idx file"), ({"cut": 10}, "truncated"), ({"extra": b"x"}, "is longer"),
    ({"magic": (1, 0, 8)}, "not an idx file"), ({"magic": (0, 0, 13)}, "not an idx file")])
def test_damaged_idx(tmp_path, kwargs, says):
    with pytest.raises(DataError, match=says):
        read_idx(idx(tmp_path / "x", np.zeros((5, 4, 3), np.uint8), **kwargs))


def test_idx_header_that_claims_terabytes(tmp_path):
    (tmp_path / "x").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">III", 1 << 31, 1 << 31, 1 << 31))
    with pytest.raises(DataError, match="claims"):
        read_idx(tmp_path / "x")


def test_damaged_gzip(tmp_path):
    data = bytearray(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 1000) + bytes(range(250)) * 4))
    (tmp_path / "x").write_bytes(data[:len(data) // 2])
    with pytest.raises(DataError):
        read_idx(tmp_path / "x")


def fashion(folder, images=(6, 28, 28), labels=(6,)):
    for prefix in ("train", "t10k"):
        idx(folder / f"{prefix}-images-idx3-ubyte.gz", np.zeros(images, np.uint8), compress=True)
        idx(folder / f"{prefix}-labels-idx1-ubyte", np.arange(labels[0], dtype=np.uint8) % 10)


def test_fashion_mnist_from_a_folder(tmp_path):
    fashion(tmp_path)
    data = load_dataset("fashion-mnist", tmp_path)
    assert len(data.train) == 6 and data.train.classes[9] == "Ankle boot"


def test_fashion_mnist_missing_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match="apt-get download dataset-fashion-mnist"):
        load_dataset("fashion-mnist", tmp_path)


def test_fashion_mnist_that_does_not_fit_together(tmp_path):
    fashion(tmp_path, labels=(5,))
    with pytest.raises(DataError, match=r"images \(6, 28, 28\) and labels \(5,\)"):
        load_dataset("fashion-mnist", tmp_path)


def test_real_fashion_mnist_when_it_is_installed():
    try:
        data = load_dataset("fashion-mnist")
    except DataError:
        pytest.skip(f"Fashion-MNIST is not in {FASHION_MNIST_DIR}: apt-get install dataset-fashion-mnist")
    assert (len(data.train), len(data.test)) == (60000, 10000)
    assert np.bincount(data.test.targets).tolist() == [1000] * 10


def tree(root, spec):
    """{'class': number of images} -> files."""
    for name, count in spec.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(root / name / f"{i:02}.png")
    return root


def test_folder_with_splits(tmp_path):
    tree(tmp_path / "train", {"b": 3, "a": 2})
    tree(tmp_path / "val", {"a": 1, "b": 1})
    data = load_dataset(str(tmp_path))
    assert data.train.classes == ["a", "b"] and data.train.targets.tolist() == [0, 0, 1, 1, 1] and len(data.test) == 2


def test_plain_folder_gives_every_fifth_image_for_testing(tmp_path):
    tree(tmp_path, {"a": 11, "b": 3})
    data = load_dataset(str(tmp_path))
    assert [f[-6:-4] for f in data.test.files] == ["04", "09", "02"]
    assert set(data.train.files) & set(data.test.files) == set() and len(data.train) == 11
    assert len(load_test_images(str(tmp_path))) == 14


@pytest.mark.parametrize("spec, says", [
    ({}, "has no class folders"), ({"a": 3}, "one class folder only"), ({"a": 3, "b": 0}, "class folder .*b has no images"),
    ({"a": 1, "b": 3}, "has one image; two are needed")])
def test_folders_that_are_no_data_set(tmp_path, spec, says):
    with pytest.raises(DataError, match=says):
        load_dataset(str(tree(tmp_path, spec)))


def test_splits_with_different_classes(tmp_path):
    tree(tmp_path / "train", {"a": 2, "b": 2})
    tree(tmp_path / "val", {"a": 1, "c": 1})
    with pytest.raises(DataError, match="only one of them has: b, c"):
        load_dataset(str(tmp_path))


def test_a_split_without_its_counterpart(tmp_path):
    tree(tmp_path / "train", {"a": 2, "b": 2})
    with pytest.raises(DataError, match="train/ but not its counterpart"):
        load_dataset(str(tmp_path))


def test_names_that_are_no_data_set(tmp_path):
    with pytest.raises(UsageError, match="neither digits nor fashion-mnist nor an existing folder"):
        load_dataset("imagnet")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file, expected a folder"):
        load_dataset(str(tmp_path / "file"))
    with pytest.raises(UsageError, match="--data-dir does not apply"):
        load_dataset("digits", tmp_path)


def test_hidden_and_other_files_are_passed_over(tmp_path):
    tree(tmp_path, {"a": 5, "b": 5, ".git": 2})
    (tmp_path / "a/notes.txt").write_text("x")
    Image.new("RGB", (8, 8)).save(tmp_path / "a/.hidden.png")
    data = load_dataset(str(tmp_path))
    assert len(data.train) + len(data.test) == 10


def test_sources(tmp_path):
    tree(tmp_path, {"a": 3, "b/c": 2})
    one = str(tmp_path / "a/01.png")
    assert expand([one, tmp_path / "a", one]) == [one, str(tmp_path / "a/00.png"), str(tmp_path / "a/02.png")]
    assert len(expand([tmp_path])) == 5
    assert len(expand([str(tmp_path / "a/0[01].png")])) == 2 and len(expand([str(tmp_path / "**/*.png")])) == 5
    (tmp_path / "empty").mkdir()
    for wrong, says in ((tmp_path / "nope.png", "does not exist"), (str(tmp_path / "x*.png"), "nothing matches"),
                        (tmp_path / "empty", "has no images")):
        with pytest.raises(UsageError, match=says):
            expand([wrong])


def test_imagenet_labels():
    labels = imagenet_labels()
    assert len(labels) == 1000 and imagenet_synsets()[0][0] == "n01440764"
    assert (labels[0], labels[985], labels[999]) == ("tench", "daisy", "toilet tissue")
    assert sorted({name for name in labels if labels.count(name) > 1}) == ["crane", "maillot"]


def test_labels_file(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\n\n")
    assert read_labels(path, 2) == ["cat", "dog"]
    with pytest.raises(UsageError, match="has 2 names, the model has 3 classes"):
        read_labels(path, 3)
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(tmp_path / "none.txt", 2)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(path, 1)
