"""Whether a written file computes what the model computes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from vit_kernels.errors import ExportError
from vit_kernels.exporting import INPUT
from vit_kernels.exporting.cell import ExportedViT

_DYNAMIC_BATCH = 2


def can_run(file_format: str) -> bool:
    """Whether there is a runtime for the format on this machine."""
    return file_format == "mindir" or importlib.util.find_spec("onnxruntime") is not None


def limit(outputs: np.ndarray) -> float:
    """The difference from `outputs` that is still rounding: 1e-4, less for outputs below 1 (a new classifier's logits are
    nearly zero), more for outputs above 10 (tokens before their norm)."""
    scale = float(np.abs(outputs).max())
    return max(1e-4 * min(scale, 1.0), 1e-5 * scale)


def largest_difference(path: Path, file_format: str, model: ExportedViT, batch: int | None) -> float:
    """The largest absolute difference between the outputs of a file and of its model, on random images.

    A file for any batch size is also run on a single image.

    Raises:
        ExportError: they differ by more than `limit`, or the model's own outputs are not finite.
    """
    config = model.config
    count = batch or _DYNAMIC_BATCH
    images = np.random.default_rng(0).standard_normal((count, config.in_chans, *config.image_hw)).astype(np.float32)
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)  # PyNative mode is several times slower on CPUs; GraphCell wants graph mode
    try:
        expected = _arrays(model(Tensor(images)))
        if not all(np.isfinite(array).all() for array in expected):
            raise ExportError("the model's own outputs are not finite (NaN or infinity), so the file cannot be compared "
                              "with it: its weights are damaged. --no-check leaves out the comparison")
        run = (_mindir if file_format == "mindir" else _onnx)(path)
        found = [(count, run(images))] + ([(1, run(images[:1]))] if batch is None else [])
    finally:
        ms.set_context(mode=mode)
    worst = 0.0
    for rows, arrays in found:
        for name, got, wanted in zip(model.returns, arrays, expected):
            error = float(np.abs(got - wanted[:rows]).max()) if got.shape == wanted[:rows].shape else float("inf")
            if not error <= limit(wanted):
                raise ExportError(f"the written file is not right: {name} differ from the model's by {error:.3g}, expected "
                                  f"at most {limit(wanted):.3g}; it was removed. Please report this with the configuration")
            worst = max(worst, error)
    return worst


def _arrays(outputs: Tensor | tuple) -> list[np.ndarray]:
    return [output.asnumpy() for output in (outputs if isinstance(outputs, (tuple, list)) else (outputs,))]


def _mindir(path: Path):
    cell = nn.GraphCell(ms.load(str(path)))
    return lambda images: _arrays(cell(Tensor(images)))


def _onnx(path: Path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})
