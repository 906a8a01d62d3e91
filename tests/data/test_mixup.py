"""Mixup and CutMix: the coefficient is read back from the mixed pixels and must explain every pixel and target."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_kernels.data.mixup import Mixup, cut_box, smooth

LABELS = np.array([3, 0, 4, 1])


def images(size=(12, 10)) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 2, (4, 2, *size)).astype(np.float32)


def test_smoothing_is_torchs():
    """Cross entropy with our targets is torch's with label_smoothing."""
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for smoothing in (0.0, 0.1, 0.5):
        targets = torch.from_numpy(smooth(LABELS, 5, smoothing))
        ours = -(targets * torch.log_softmax(logits, 1)).sum(1).mean()
        expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS), label_smoothing=smoothing)
        torch.testing.assert_close(ours, expected)


def test_off_by_default():
    x = images()
    got, targets = Mixup(5)(x, LABELS, np.random.default_rng(0))
    assert got is x
    np.testing.assert_array_equal(targets, np.eye(5)[LABELS])


def test_mixup_mixes_pixels_and_targets_alike():
    x, one_hot, seen = images().astype(np.float64), np.eye(5)[LABELS], []
    for seed in range(400):
        got, targets = Mixup(5, mixup_alpha=0.8, label_smoothing=0.1)(images(), LABELS, np.random.default_rng(seed))
        keep = (got[0, 0, 0, 0] - x[3, 0, 0, 0]) / (x[0, 0, 0, 0] - x[3, 0, 0, 0])
        np.testing.assert_allclose(got, keep * x + (1 - keep) * x[::-1], atol=1e-5)
        smoothed = 0.9 * one_hot + 0.1 / 5
        np.testing.assert_allclose(targets, keep * smoothed + (1 - keep) * smoothed[::-1], atol=1e-5)
        seen.append(keep)
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
    assert abs(np.mean(seen) - 0.5) < 0.05 and abs(np.var(seen) - 1 / (4 * 2.6)) < 0.015


def test_cutmix_pastes_a_rectangle_and_weighs_targets_by_its_area():
    x, one_hot, areas = images(), np.eye(5)[LABELS], []
    for seed in range(300):
        before = x.copy()
        got, targets = Mixup(5, cutmix_alpha=1.0)(x, LABELS, np.random.default_rng(seed))
        np.testing.assert_array_equal(x, before)
        pasted = got != x
        assert (pasted == pasted[:1, :1]).all()  # the same place in every image and channel
        mask = pasted[0, 0]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            assert mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].all()
        np.testing.assert_array_equal(got, np.where(mask, x[::-1], x))
        np.testing.assert_allclose(targets, (1 - mask.mean()) * one_hot + mask.mean() * one_hot[::-1], atol=1e-6)
        areas.append(mask.mean())
    assert min(areas) < 0.05 and max(areas) > 0.6


def test_cut_box_has_the_area_it_should_unless_clipped():
    rng = np.random.default_rng(0)
    boxes = np.array([cut_box(100, 200, 0.75, rng) for _ in range(1000)])
    top, bottom, left, right = boxes.T
    assert (top >= 0).all() and (left >= 0).all() and (bottom <= 100).all() and (right <= 200).all()
    # sqrt(1 - 0.75) = half of each side; the middle of the image never clips
    inside = (top > 0) & (bottom < 100) & (left > 0) & (right < 200)
    assert inside.any() and set(bottom[inside] - top[inside]) == {50} and set(right[inside] - left[inside]) == {100}


def test_probability_and_switch():
    mixer, counts = Mixup(5, 1.0, 1.0, probability=0.6, switch_probability=0.25), {"none": 0, "cut": 0, "mix": 0}
    x = images()
    for seed in range(1000):
        got, _ = mixer(x, LABELS, np.random.default_rng(seed))
        pure = np.mean((got == x) | (got == x[::-1]))
        counts["none" if got is x else "cut" if pure == 1 else "mix"] += 1
    assert abs(counts["none"] - 400) < 60 and abs(counts["cut"] - 150) < 50 and abs(counts["mix"] - 450) < 60


@pytest.mark.parametrize("fields, says", [({"probability": 2}, "probability=2"), ({"label_smoothing": -1}, "label_smoothing"),
                                          ({"mixup_alpha": -1}, "mixup_alpha=-1")])
def test_fields_out_of_range(fields, says):
    with pytest.raises(ValueError, match=says):
        Mixup(5, **fields)
