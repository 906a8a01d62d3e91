"""What is exported: a model with its weights, and what its checkpoint says about feeding it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

from vit_kernels import checkpoint as checkpoints
from vit_kernels.errors import UsageError
from vit_kernels.exporting.cell import ExportedViT, exported_copy
from vit_kernels.inference import locate
from vit_kernels.manifest import Manifest, manifest_of
from vit_kernels.models import ViTConfig, ViTModel, create_config
from vit_kernels.pretrained import WeightsMissing


@dataclasses.dataclass
class Source:
    """What is exported.

    Attributes:
        model: on the reference backend, fp32.
        path: where the weights come from.
        manifest: how an image becomes the input and what the logits are called; None where there is no checkpoint to say so.
    """

    model: ExportedViT
    path: str
    manifest: Manifest | None = None

    def notes(self) -> dict[str, str]:
        """What the file says about itself: JSON by key, without any path."""
        config = self.model.config
        notes: dict[str, Any] = {"config": config.to_dict()}
        if self.manifest is not None:
            preprocessing = dataclasses.replace(self.manifest.preprocessing, image_size=config.image_hw)
            if preprocessing.channels == config.in_chans:  # the rules of photographs are no rules for other images
                notes["preprocessing"] = preprocessing.to_dict()
                notes["preprocessing_from"] = self.manifest.preprocessing_from or "MAE's rule; the checkpoint says nothing"
            if config.num_classes:
                notes["classes"] = self.manifest.classes
        return {name: json.dumps(value, ensure_ascii=False) for name, value in notes.items()}


def open_source(source: str | os.PathLike | ViTModel | None, returns: Sequence[str] = (),
                image_size: int | tuple[int, int] | None = None, allow_random: bool = False) -> Source:
    """Find, read and build what is to be exported.

    Args:
        source: what `vit_kernels.inference.load_classifier` takes, a backbone too; or a model, whose weights are copied.
        returns: keys of `vit_kernels.exporting.OUTPUTS`.
        image_size: pixels of the input; the position embedding is resampled. None for the checkpoint's.
        allow_random: a name whose weights are not on this machine means random ones.

    Raises:
        UsageError: nothing is there, the image size does not fit, or an output that the model does not have.
        CheckpointError: the weights are not there, cannot be read, or do not fit.
    """
    opened = _open(source, returns, allow_random)
    if image_size is not None:
        try:
            opened.model.set_image_size(image_size)
        except ValueError as error:
            raise UsageError(str(error)) from None
    return opened


def _open(source: str | os.PathLike | ViTModel | None, returns: Sequence[str], allow_random: bool) -> Source:
    if isinstance(source, ViTModel):
        return Source(exported_copy(source, returns), "the given model")
    try:
        path = locate(source)
    except WeightsMissing:
        if not allow_random:
            raise
        return Source(ExportedViT(create_config(os.fspath(source)), returns), f"{source} with random weights")
    opened = checkpoints.load(path)
    manifest = manifest_of(opened)
    model = ExportedViT(ViTConfig(**manifest.config), returns)
    checkpoints.load_checkpoint_into(model, opened)
    return Source(model, opened.path, manifest)
