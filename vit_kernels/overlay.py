"""What the class token looked at, as a picture: the model's view of an image, the heat map on top of it, the likeliest classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor
from PIL import Image

from vit_kernels.inference import Classifier
from vit_kernels.models.vit import attention_rollout, class_token_map
from vit_kernels.training.files import replacing


def class_token_heat(classifier: Classifier, image: Image.Image) -> np.ndarray:
    """Attention rolled out from the class token to the patches of one image: (rows, columns), its largest value 1."""
    model = classifier.model
    maps = model.attention_maps(Tensor(classifier.prepare([image])), range(model.config.depth))
    heat = class_token_map(attention_rollout([m.asnumpy() for m in maps]), model.config.grid)[0]
    return heat / heat.max()


def write_overlay(path: str | Path, seen: Image.Image, heat: np.ndarray, ranked: Sequence[dict[str, Any]], title: str) -> None:
    """Write a PNG with the image, the image under its heat map, and the scores of the likeliest classes.

    Args:
        path: of the PNG; written under a temporary name first.
        seen: the image as the model sees it, resized and cropped.
        heat: (rows, columns) in 0..1.
        ranked: rows of `Classifier.top`, best first.
        title: above everything, the file's name for instance.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (max(seen.width, 224), max(seen.height, 224))  # a digit of 8 pixels is shown as large as a photo
    picture = np.asarray(seen.convert("RGB").resize(size, Image.Resampling.NEAREST))
    smooth = np.asarray(Image.fromarray(np.float32(heat)).resize(size, Image.Resampling.BICUBIC))
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    left.imshow(picture)
    left.set_title("image")
    middle.imshow(picture)
    shown = middle.imshow(smooth, cmap="inferno", vmin=0, vmax=1, alpha=0.55)
    middle.set_title("attention of the class token (rollout)")
    figure.colorbar(shown, ax=middle, shrink=0.8)
    for axes in (left, middle):
        axes.set_axis_off()
    scores = [100 * row["score"] for row in ranked]
    right.barh(range(len(ranked)), scores, color="tab:blue")
    right.set_yticks(range(len(ranked)), [_short(row["label"]) for row in ranked])
    right.invert_yaxis()
    right.set(xlim=(0, 100), xlabel="%", title="likeliest classes")
    figure.suptitle(_short(title, 90))
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _short(text: str, most: int = 28) -> str:
    # A dollar sign would start mathematics.
    return (text if len(text) <= most else text[:most - 1] + "…").replace("$", r"\$")
