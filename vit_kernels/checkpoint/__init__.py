"""Checkpoints: read every plain-ViT checkpoint, whatever its file format and names; write the ones others read.

`load` opens a file and brings its tensors under our names, `load_checkpoint_into` puts them into a model and reports,
`save` writes, `infer_config` says which model a checkpoint belongs to. Nothing here needs PyTorch, and only loading
into a model needs MindSpore.
"""

from __future__ import annotations

from vit_kernels.checkpoint.errors import CheckpointError, CheckpointMismatch
from vit_kernels.checkpoint.inference import OWN_HEADER, infer_config
from vit_kernels.checkpoint.loading import load_checkpoint_into
from vit_kernels.checkpoint.reading import Checkpoint, load
from vit_kernels.checkpoint.report import LoadReport
from vit_kernels.checkpoint.resize import resize_patch_weight, resize_pos_embed
from vit_kernels.checkpoint.writing import TARGETS, atomic_file, hf_config, save

__all__ = ["OWN_HEADER", "TARGETS", "Checkpoint", "CheckpointError", "CheckpointMismatch", "LoadReport", "atomic_file", "hf_config",
           "infer_config", "load", "load_checkpoint_into", "resize_patch_weight", "resize_pos_embed", "save"]
