"""File formats: which one a file has is decided by its content, never by its name."""

from __future__ import annotations

import dataclasses

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.formats import ckpt, npz, safetensors_file, torch_file
from vit_kernels.checkpoint.formats.archive import Archive
from vit_kernels.checkpoint.tensor import File, LazyTensor

# What other files begin with, and what to tell whoever confused them with a checkpoint.
_NOT_CHECKPOINTS = {
    b"\x93NUMPY": "a single NumPy array; a checkpoint needs a name for each tensor (.npz)",
    b"\x89HDF": "an HDF5 file, which is not supported; convert it to safetensors or .npz",
    b"\x1f\x8b": "gzip-compressed; unpack it first",
    b"<!DOCTYPE": "a web page, probably an error message instead of the download",
    b"<html": "a web page, probably an error message instead of the download",
    b"version https://git-lfs": "a Git LFS pointer; fetch the real file with 'git lfs pull'",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
}


@dataclasses.dataclass
class RawCheckpoint:
    """A file's tensors under the names it has for them.

    Attributes:
        format: 'ckpt', 'safetensors', 'torch', 'torch-legacy' or 'npz'.
        tensors: by name.
        metadata: text entries of the file.
        left_out: names of entries that are not weights (optimizer, arguments, ...).
    """

    format: str
    tensors: dict[str, LazyTensor]
    metadata: dict[str, str]
    left_out: list[str]


def read_file(path: str) -> RawCheckpoint:
    """Open a checkpoint file of any supported format.

    Raises:
        CheckpointError: unreadable, unknown or damaged.
    """
    file = File(path)
    if file.size == 0:
        raise CheckpointError(f"{path} is empty; copy or download it again")
    head = bytes(file.read(0, min(file.size, 64)))
    for magic, what in _NOT_CHECKPOINTS.items():
        if head.lower().startswith(magic.lower()):
            raise CheckpointError(f"{path} is {what}")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = Archive(file)
        if any(name.endswith("/data.pkl") for name in archive.members):
            return RawCheckpoint("torch", *torch_file.read_zip(archive))
        if npz.looks_like(archive):
            return RawCheckpoint("npz", *npz.read(archive), [])
        raise CheckpointError(f"{path} is a zip archive with neither PyTorch's data.pkl nor NumPy arrays in it")
    if torch_file.looks_legacy(file):
        return RawCheckpoint("torch-legacy", *torch_file.read_legacy(file))
    if head.startswith(b"\x80") and head[1:2] in b"\x02\x03\x04\x05":
        raise CheckpointError(f"{path} is a pickle but not a PyTorch file; pickles can run code and are not opened")
    # Before safetensors: a header length can begin with any byte, but never continues like a ckpt entry.
    if ckpt.looks_like(file):
        return RawCheckpoint("ckpt", *ckpt.read(file), [])
    if safetensors_file.looks_like(file):
        return RawCheckpoint("safetensors", *safetensors_file.read(file), [])
    if b"ustar" in bytes(file.read(0, min(file.size, 300))):
        raise CheckpointError(f"{path} is a tar archive; unpack it, or save it again with torch >= 1.6")
    if ckpt.could_be(file):
        return RawCheckpoint("ckpt", *ckpt.read(file), [])
    raise CheckpointError(f"{path} has none of the known formats: MindSpore ckpt, PyTorch .pth/.bin, safetensors, .npz")
