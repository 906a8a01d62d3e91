"""Random erasing: what changed is a rectangle of the area, shape and content that it says."""

from __future__ import annotations

import numpy as np
import pytest

from vit_kernels.data.erasing import RandomErasing


def test_erases_one_rectangle_with_unit_noise():
    values, aspects, areas = [], [], []
    for seed in range(300):
        image = np.full((3, 40, 60), 7.0, np.float32)
        RandomErasing(1.0)(image, np.random.default_rng(seed))
        changed = (image != 7).any(0)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        box = image[:, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        assert (box != 7).all() and changed.sum() == box[0].size
        values.append(box.ravel())
        areas.append(box[0].size / changed.size)
        aspects.append(box.shape[1] / box.shape[2])
    noise = np.concatenate(values)
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    assert 0.015 < min(areas) < 0.05 and 0.28 < max(areas) < 0.35
    assert 0.25 < min(aspects) < 0.5 and 2 < max(aspects) < 3.7
    # Tall and wide rectangles are equally likely; in an image that is wider than tall a few tall ones do not fit.
    assert 0.35 < np.mean(np.array(aspects) > 1) < 0.55


def test_probability():
    erased = 0
    for seed in range(1000):
        image = np.zeros((1, 20, 20), np.float32)
        RandomErasing(0.25)(image, np.random.default_rng(seed))
        erased += bool(image.any())
    assert abs(erased - 250) < 50


def test_several_rectangles_share_the_area():
    image = np.zeros((1, 100, 100), np.float32)
    RandomErasing(1.0, 0.3, 0.3, min_aspect=1.0, count=4)(image, np.random.default_rng(0))
    # four squares of 0.075 of the area, 27 x 27, which may overlap
    assert 27 * 27 < (image != 0).sum() <= 4 * 27 * 27


def test_an_image_too_small_for_it_is_left_alone():
    image = np.ones((3, 1, 1), np.float32)
    RandomErasing(1.0, 0.5, 1.0)(image, np.random.default_rng(0))
    assert (image == 1).all()


@pytest.mark.parametrize("fields", [{"probability": 1.5}, {"min_area": 0}, {"min_area": 0.5, "max_area": 0.4}, {"min_aspect": 0}])
def test_fields_out_of_range(fields):
    with pytest.raises(ValueError, match="expected"):
        RandomErasing(**fields)
