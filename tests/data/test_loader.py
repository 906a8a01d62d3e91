"""The loader: a batch depends on seed, epoch and step alone; every image comes once; errors arrive."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from tests.data.test_transforms import photo
from vit_kernels.data import ArrayImages, FileImages, Loader, Preprocessing
from vit_kernels.data.augmentation import Augmentation
from vit_kernels.errors import ImageError

PREPROCESSING = Preprocessing((8, 8), (0.5,), (0.5,), crop_pct=1.0)
EVERYTHING = Augmentation(crop_scale=(0.3, 1.0), flip=0.5, shift=1, rand_augment="rand-m9-mstd0.5-inc1", erase=0.5, mixup=0.8,
                          cutmix=1.0, label_smoothing=0.1)


def dataset(count: int = 23) -> ArrayImages:
    rng = np.random.default_rng(0)
    return ArrayImages(rng.integers(0, 256, (count, 12, 12), dtype=np.uint8), np.arange(count) % 3, ["a", "b", "c"])


def augmented(seed: int = 0, workers: int = 0, **kwargs) -> Loader:
    return Loader(dataset(), PREPROCESSING, 4, EVERYTHING.transform(PREPROCESSING), shuffle=True, erase=EVERYTHING.eraser(),
                  mix=EVERYTHING.mixer(3), seed=seed, workers=workers, **kwargs)


def content(batches) -> list[bytes]:
    return [b.images.tobytes() + b.labels.tobytes() + b.targets.tobytes() + bytes([b.count]) for b in batches]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_stream_does_not_depend_on_the_number_of_workers(workers):
    for epoch in (0, 3):
        assert content(augmented(workers=workers).epoch(epoch)) == content(augmented().epoch(epoch))


def test_seeds_and_epochs_give_different_streams():
    streams = [content(augmented(seed=seed).epoch(epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len({batch for stream in streams for batch in stream}) == 4 * 6


@pytest.mark.parametrize("start", [0, 2, 5, 6])
def test_an_epoch_can_start_anywhere(start):
    assert content(augmented(workers=2).epoch(1, start)) == content(augmented().epoch(1))[start:]


def test_evaluation_sees_every_image_once_in_order():
    data = dataset()
    loader = Loader(data, PREPROCESSING, 4)
    batches = list(loader.epoch())
    assert [b.count for b in batches] == [4, 4, 4, 4, 4, 3] and len(loader) == 6
    assert all(b.images.shape == (4, 1, 8, 8) for b in batches)
    np.testing.assert_array_equal(np.concatenate([b.labels[:b.count] for b in batches]), data.targets)
    first = np.asarray(Image.fromarray(data.pixels[20]).resize((8, 8), Image.Resampling.BICUBIC)) / 127.5 - 1
    np.testing.assert_allclose(batches[5].images[0, 0], first, atol=1e-6)
    np.testing.assert_array_equal(batches[5].images[3], batches[5].images[0])  # filled up, not counted
    np.testing.assert_array_equal(batches[0].targets, np.eye(3)[data.targets[:4]])


def test_shuffled_epochs_hold_every_image_once_but_the_dropped_rest():
    pixels = np.repeat(np.arange(23, dtype=np.uint8), 64).reshape(23, 8, 8)
    loader = Loader(ArrayImages(pixels, np.zeros(23, int), ["a"]), Preprocessing((8, 8), (0.0,), (1.0,), crop_pct=1.0), 4,
                    shuffle=True, drop_last=True)
    orders = [[round(float(i[0, 0, 0]) * 255) for b in loader.epoch(e) for i in b.images] for e in range(3)]
    assert len(loader) == 5 and all(len(set(order)) == 20 for order in orders) and orders[0] != orders[1] != orders[2]


def test_a_damaged_file_is_named(tmp_path):
    for name in ("a", "b", "c"):
        photo(60, 60).save(tmp_path / f"{name}.png")
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[:len(data) // 2])
    images = FileImages([str(tmp_path / f"{n}.png") for n in "abc"], [0, 1, 1], ["x", "y"])
    for workers in (0, 2):
        with pytest.raises(ImageError, match=r"b\.png is damaged or truncated"):
            list(Loader(images, PREPROCESSING, 2, workers=workers).epoch())


def test_leaving_an_epoch_early_ends_the_threads():
    batches = augmented(workers=2).epoch()
    next(batches)
    assert any(t.name.startswith("vit_kernels-data") for t in threading.enumerate())
    batches.close()
    assert not any(t.name.startswith("vit_kernels-data") for t in threading.enumerate())


@pytest.mark.parametrize("count, kwargs", [(5, {"batch_size": 0}), (5, {"batch_size": 2, "workers": -1}), (0, {"batch_size": 2})])
def test_arguments_out_of_range(count, kwargs):
    data = ArrayImages(np.zeros((count, 8, 8), np.uint8), np.zeros(count, int), ["a"])
    with pytest.raises(ValueError, match="batch_size=|no images"):
        Loader(data, PREPROCESSING, **kwargs)
