"""What a classifier looked at, as a picture: the model's view of an image, the heat map on it, the likeliest classes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor
from PIL import Image

from vit_kernels.inference import Classifier
from vit_kernels.models.vit import attention_rollout, class_token_map
from vit_kernels.training.files import replacing

# Class names in Chinese need one of these; the last one is always there.
_FONTS = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei",
          "PingFang SC", "DejaVu Sans")
_ROWS = 10
_SIDE = 224


def attention_heat(classifier: Classifier, image: Image.Image) -> np.ndarray:
    """Where the features that the classifier decides by come from, attention rolled out through all layers.

    For a model that reads its class token, what reaches that token; for one that averages its patches, what reaches the
    average: its class token is never read.

    Returns:
        (rows, columns), in multiples of an even spread: the mean is 1.
    """
    model = classifier.model
    maps = model.attention_maps(Tensor(classifier.prepare([image])), range(model.config.depth))
    rollout = attention_rollout([m.asnumpy() for m in maps])
    if model.averages:
        rows, columns = model.config.grid
        heat = rollout[0, model.num_prefix_tokens:, model.num_prefix_tokens:].mean(0).reshape(rows, columns)
    else:
        heat = class_token_map(rollout, model.config.grid)[0]
    return heat / heat.mean()


def write_overlay(path: str | Path, seen: Image.Image, heat: np.ndarray, ranked: Sequence[dict[str, Any]], title: str,
                  subject: str = "attention") -> None:
    """Write a PNG with the image, the image under its heat map, and the scores of the likeliest classes.

    Args:
        path: of the PNG; written under a temporary name first.
        seen: the image as the model sees it, resized and cropped.
        heat: (rows, columns), of mean 1.
        ranked: rows of `Classifier.top`, best first; the first ten are shown.
        title: above everything, the file's name for instance.
        subject: what the heat map shows.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib import font_manager, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    enlarged = max(1, math.ceil(_SIDE / min(seen.size)))  # a digit of 8 pixels is shown as large as a photo
    size = (seen.width * enlarged, seen.height * enlarged)
    picture = seen.convert("RGB").resize(size, Image.Resampling.NEAREST)
    smooth = np.asarray(Image.fromarray(np.float32(heat)).resize(size, Image.Resampling.BICUBIC))
    # An even spread must look even, whatever its noise.
    scale = ScalarMappable(Normalize(0, max(2.0, float(heat.max()))), "inferno")
    installed = {font.name for font in font_manager.fontManager.ttflist}
    with rc_context({"font.family": [name for name in _FONTS if name in installed] or ["DejaVu Sans"]}):
        figure = Figure(figsize=(12, 4.2))
        FigureCanvasAgg(figure)
        left, middle, bar, right = (figure.add_axes(box) for box in (
            (0.01, 0.04, 0.31, 0.78), (0.335, 0.04, 0.31, 0.78), (0.652, 0.08, 0.011, 0.70), (0.73, 0.04, 0.26, 0.78)))
        left.imshow(picture)
        left.set_title(f"what the model sees, {seen.width} x {seen.height} pixels", fontsize=11)
        # On grey, so that every colour is the heat map's.
        middle.imshow(picture.convert("L"), cmap="gray", vmin=0, vmax=255)
        middle.imshow(smooth, cmap=scale.cmap, norm=scale.norm, alpha=0.6)
        middle.set_title(subject, fontsize=11)
        figure.colorbar(scale, cax=bar)
        bar.set_title("x even", fontsize=8, loc="left")
        bar.tick_params(labelsize=8)
        for axes in (left, middle):
            axes.set_axis_off()
        _draw_scores(right, ranked)
        figure.text(0.5, 0.955, _short(title, 110), fontsize=12, ha="center", va="center", parse_math=False)
        with replacing(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            figure.savefig(temporary, dpi=100, format="png")


def _draw_scores(axes: Any, ranked: Sequence[dict[str, Any]]) -> None:
    """A line of text for each class, its bar below: names of any length have the whole width."""
    shown = ranked[:_ROWS]
    rows = max(len(shown), 5)
    for place, row in enumerate(shown):
        score = row["score"] if math.isfinite(row["score"]) else 0.0
        axes.text(0, place + 0.38, _short(row["label"], 34), fontsize=10, va="center", parse_math=False)
        axes.text(1, place + 0.38, f"{100 * row['score']:.2f} %", fontsize=10, va="center", ha="right")
        axes.barh(place + 0.76, 1, 0.16, color="0.92", align="center")
        axes.barh(place + 0.76, score, 0.16, color="tab:blue", align="center")
    axes.set(xlim=(0, 1), ylim=(rows, 0))
    axes.set_axis_off()
    rest = len(ranked) - len(shown)
    axes.set_title("likeliest classes" + (f" (first {len(shown)} of {len(ranked)})" if rest else ""), fontsize=11)


def _short(text: str, most: int) -> str:
    """The text on one line, its middle left out where it is too long: names differ at their ends."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    return f"{text[:(most - 1) // 2]}…{text[-(most // 2):]}"
