"""This project's own checkpoints: one safetensors file with weights, and in its header all that is needed to use them.

Tensors carry timm's parameter names. A checkpoint to continue from also holds the optimizer's state under
`optimizer.*`. The header's metadata has one JSON document under "vit_kernels": the model's configuration, the
preprocessing, the class names, and where training stood.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from mindspore import Tensor, nn
from safetensors.numpy import save_file

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.formats import read_file
from vit_kernels.checkpoint.inference import OWN_HEADER as _KEY
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.manifest import header_of
from vit_kernels.models import ViTConfig, ViTForImageClassification
from vit_kernels.training.files import replacing

SUFFIX = ".safetensors"
_OPTIMIZER = "optimizer."


@dataclasses.dataclass
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        config: the model's architecture.
        preprocessing: how its input is made.
        classes: the names of its outputs.
        weights: parameter name -> array.
        optimizer: optimizer state, empty in a checkpoint that is only for use.
        training: where training stood: epoch, step, dataset, metrics.
    """

    config: ViTConfig
    preprocessing: Preprocessing
    classes: list[str]
    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    training: dict[str, Any] = dataclasses.field(default_factory=dict)

    def build(self, backend: str | None = None) -> ViTForImageClassification:
        """A model with these weights.

        Raises:
            CheckpointError: the weights are not those of a model with this configuration.
        """
        model = ViTForImageClassification(self.config, backend=backend, draw=False)
        load_weights(model, self.weights)
        return model


def is_own(metadata: dict[str, Any]) -> bool:
    """Whether a file with these text entries was written by `save`."""
    return _KEY in metadata


def weights_of(model: nn.Cell) -> dict[str, np.ndarray]:
    """A copy of every parameter of a model by name."""
    return {p.name: p.asnumpy().copy() for p in model.get_parameters()}


def load_weights(model: nn.Cell, weights: dict[str, np.ndarray]) -> None:
    """Copy arrays into a model's parameters, all or none.

    Raises:
        CheckpointError: missing, surplus or misshapen arrays; the message names the first few.
    """
    parameters = {p.name: p for p in model.get_parameters()}
    problems = [f"{n} is missing" for n in parameters if n not in weights]
    problems += [f"{n} is not in the model" for n in weights if n not in parameters]
    problems += [f"{n} has shape {weights[n].shape}, the model {tuple(p.shape)}" for n, p in parameters.items()
                 if n in weights and weights[n].shape != tuple(p.shape)]
    if problems:
        raise CheckpointError(f"the checkpoint is not of this model: {'; '.join(problems[:4])}"
                              + (f"; and {len(problems) - 4} more" if len(problems) > 4 else ""))
    for name, parameter in parameters.items():
        parameter.set_data(Tensor(weights[name], parameter.dtype))


def save(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically.

    Raises:
        OutputError: the folder cannot be written or the disk is full; an older file of that name stays whole.
    """
    header = header_of(checkpoint.config.to_dict(), checkpoint.preprocessing, checkpoint.classes, checkpoint.training)
    tensors = {**checkpoint.weights, **{_OPTIMIZER + n: a for n, a in checkpoint.optimizer.items()}}
    with replacing(path) as temporary:
        try:
            save_file({n: np.ascontiguousarray(a) for n, a in tensors.items()}, temporary,
                      metadata={_KEY: header})
        except safetensors.SafetensorError as error:  # how the library reports a full disk
            raise OSError(str(error)) from error


def load(path: str | Path, optimizer: bool = False) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a file that `save` wrote.
        optimizer: whether to read the optimizer's state too.

    Raises:
        CheckpointError: missing, truncated, not a safetensors file, or without this project's header.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} {'is a folder, expected a file' if path.is_dir() else 'does not exist'}; "
                              "give a checkpoint written by vit_kernels.train with --checkpoint")
    try:
        file = read_file(str(path))
    except CheckpointError as error:
        raise CheckpointError(f"{path} is not a checkpoint, or damaged ({error}); train again or copy it again") from error
    header = file.metadata.get(_KEY)
    if header is None:
        raise CheckpointError(f"{path} has no vit_kernels header: it was not written by vit_kernels.train")
    tensors = {n: tensor.read() for n, tensor in file.tensors.items() if optimizer or not n.startswith(_OPTIMIZER)}
    try:
        header = json.loads(header)
        return Checkpoint(
            ViTConfig.from_dict(header["config"]), Preprocessing.from_dict(header["preprocessing"]),
            [str(c) for c in header["classes"]],
            {n: a for n, a in tensors.items() if not n.startswith(_OPTIMIZER)},
            {n[len(_OPTIMIZER):]: a for n, a in tensors.items() if n.startswith(_OPTIMIZER)},
            dict(header["training"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: its vit_kernels header is damaged ({error})") from error
