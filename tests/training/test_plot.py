"""The curve is a picture with the curves in it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vit_kernels.errors import OutputError
from vit_kernels.training.plot import plot_curve

BLUE, ORANGE, GREEN = (31, 119, 180), (255, 127, 14), (44, 160, 44)  # matplotlib's tab colours


def rows(count: int, **kwargs):
    return [{"epoch": e, "train_loss": 2 / e, "eval_loss": 1.5 / e, "eval_top1": 1 - 0.5 / e, **kwargs} for e in range(1, count + 1)]


def columns_with(path, colour) -> np.ndarray:
    """The columns of the picture in which a colour occurs, legends left out by taking long runs only."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return np.flatnonzero((np.abs(pixels - colour).max(-1) < 12).any(0))


@pytest.mark.parametrize("count", [1, 2, 50])
def test_each_curve_is_drawn_on_its_side(tmp_path, count):
    path = tmp_path / "curve.png"
    plot_curve(path, rows(count), "a title")
    with Image.open(path) as image:
        width, height = image.size
        assert image.format == "PNG" and width >= 1000 and height >= 400
    assert columns_with(path, BLUE).max() < width / 2 and columns_with(path, ORANGE).max() < width / 2
    assert columns_with(path, GREEN).min() > width / 2
    if count > 1:
        # from the first epoch to the last: most of the half
        assert np.ptp(columns_with(path, BLUE)) > 0.35 * width and np.ptp(columns_with(path, GREEN)) > 0.35 * width


def test_losses_that_are_not_finite_do_not_stop_it(tmp_path):
    plot_curve(tmp_path / "curve.png", rows(3, eval_loss=float("nan")), "t")
    assert (tmp_path / "curve.png").stat().st_size > 10_000


def test_nowhere_to_write(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        plot_curve(tmp_path / "file/curve.png", rows(2), "t")
