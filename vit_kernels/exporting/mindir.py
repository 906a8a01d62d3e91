"""MINDIR: written by `mindspore.export`, with the notes on preprocessing in the file's `user_info`."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mindspore as ms
from mindspore import Tensor

from vit_kernels._version import __version__
from vit_kernels.exporting.cell import ExportedViT


def write_mindir(path: Path, model: ExportedViT, batch: int | None, notes: Mapping[str, str]) -> None:
    """Write the compiled graph of a model.

    MindSpore puts the parameters of a model of more than 1 GB into files of a folder `<name>_variables` beside the graph.

    Args:
        path: a name in an empty folder, ending in .mindir.
        model: what to write.
        batch: a fixed batch size; None for any.
        notes: entries of `user_info`.

    Raises:
        OSError: it cannot be written.
    """
    images = Tensor(shape=[batch, model.config.in_chans, *model.config.image_hw], dtype=ms.float32)

    def annotate(proto) -> None:
        proto.producer_name, proto.producer_version = "vit_kernels", __version__
        proto.user_info.update(notes)

    # MindSpore takes only these characters in a path; the link keeps the folder's own name out of it.
    name = re.sub(r"[^0-9a-zA-Z@_.-]", "_", path.stem)
    level = ms.get_context("jit_syntax_level")
    with tempfile.TemporaryDirectory() as scratch:
        link = os.path.join(scratch, "folder")
        os.symlink(path.parent.resolve(), link, target_is_directory=True)
        try:
            ms.export(model, images, file_name=f"{link}/{name}.mindir", file_format="MINDIR", custom_func=annotate)
        finally:
            ms.set_context(jit_syntax_level=level)  # a failed export leaves another one behind
    split = path.parent / f"{name}_graph.mindir"
    written = split if split.exists() else path.parent / f"{name}.mindir"
    written.rename(path)
