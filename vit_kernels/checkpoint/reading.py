"""From a path to a checkpoint under our names: files, directories and sharded Hugging Face folders."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any, Iterator

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.formats import RawCheckpoint, read_file
from vit_kernels.checkpoint.inference import OWN_HEADER, infer_config
from vit_kernels.checkpoint.tensor import LazyTensor
from vit_kernels.checkpoint.vocabularies import translate

_MAX_JSON = 64 << 20
_MAX_SHARDS = 1000
# What a model's folder keeps its weights in, most specific first.
_IN_DIRECTORY = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin",
                 "open_clip_model.safetensors", "flax_model.npz",
                 "checkpoints/best.safetensors", "checkpoints/last.safetensors")  # of a training run here
_EXTENSIONS = (".ckpt", ".safetensors", ".pth", ".pt", ".bin", ".npz")


@dataclasses.dataclass
class Checkpoint:
    """An opened checkpoint. Values stay in the file until they are read.

    Attributes:
        path: the file.
        format: 'ckpt', 'torch', 'torch-legacy', 'safetensors' or 'npz'.
        vocabulary: the names it has, a key of `vocabularies.VOCABULARIES`.
        tensors: our (timm's) name -> LazyTensor with name, shape, dtype and `read()`.
        sources: our name -> the names in the file.
        unexpected: names in the file that no vocabulary explains.
        ignored: names in the file that are not needed -> why.
        adjusted: our name -> how it differs from what is stored, where it does.
        metadata: the file's own text entries; 'config' and 'preprocessor' from a Hugging Face folder; 'num_heads'.
    """

    path: str
    format: str
    vocabulary: str
    tensors: dict[str, LazyTensor]
    sources: dict[str, tuple[str, ...]]
    unexpected: list[str]
    ignored: dict[str, str]
    adjusted: dict[str, str]
    metadata: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """Keyword arguments of `ViTConfig` for the model these weights belong to: what the file says itself if this project
        wrote it, else see `infer_config`."""
        if OWN_HEADER in self.metadata:
            try:
                return dict(json.loads(self.metadata[OWN_HEADER])["config"])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise CheckpointError(f"{self.path}: its {OWN_HEADER} header is damaged ({str(error)[:100]})") from None
        try:
            return infer_config(self.tensors, self.vocabulary, self.metadata)
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error}") from None

    @property
    def dtype(self) -> str:
        """The dtype most of the weights have."""
        counts: dict[str, int] = {}
        for tensor in self.tensors.values():
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.size
        return max(counts, key=counts.__getitem__)

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """(our name, values) one after the other; bfloat16 comes as fp32."""
        for name, tensor in self.tensors.items():
            yield name, tensor.read()


def load(path: str | os.PathLike, vocabulary: str | None = None) -> Checkpoint:
    """Open a checkpoint of any supported format and vocabulary, recognised by content.

    Args:
        path: a file, a Hugging Face index (*.index.json), or a folder with either in it; a training run's output folder.
        vocabulary: insist on one; None or 'auto' finds out.

    Returns:
        The checkpoint; tensors are read when asked for.

    Raises:
        CheckpointError: no such file, unknown format, damaged, or names of no known Vision Transformer.
    """
    file = _find(os.fspath(path))
    raw = _read_index(file) if file.endswith(".index.json") else read_file(file)
    found = translate(raw.tensors, file, None if vocabulary in (None, "auto") else vocabulary)
    metadata: dict[str, Any] = dict(raw.metadata)
    metadata.update(_companions(file, found.vocabulary))
    if found.num_heads:
        metadata["num_heads"] = found.num_heads
    ignored = {**found.ignored, **{name: "not weights" for name in raw.left_out}}
    adjusted = _fold_positions(found.tensors)
    return Checkpoint(file, raw.format, found.vocabulary, found.tensors, found.sources, found.unexpected, ignored, adjusted,
                      metadata)


def _find(path: str) -> str:
    if not os.path.exists(path):
        raise CheckpointError(f"{path} does not exist")
    if not os.path.isdir(path):
        return path
    for name in _IN_DIRECTORY:
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    files = sorted(name for name in os.listdir(path) if name.endswith(_EXTENSIONS))
    if len(files) == 1:
        return os.path.join(path, files[0])
    what = f"several checkpoints ({', '.join(files[:4])})" if files else "no checkpoint"
    raise CheckpointError(f"the folder {path} holds {what}; give the file")


def _read_json(path: str) -> Any:
    try:
        if os.path.getsize(path) > _MAX_JSON:
            raise CheckpointError(f"{path} has {os.path.getsize(path)} bytes, too many for a JSON file of a checkpoint")
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is not readable as JSON ({str(error)[:100]})") from None


def _read_index(path: str) -> RawCheckpoint:
    """A Hugging Face shard index: tensor name -> file beside it."""
    index = _read_json(path)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} has no weight_map; it is not a shard index")
    shards = sorted({shard if isinstance(shard, str) else "" for shard in weight_map.values()})
    if len(shards) > _MAX_SHARDS:
        raise CheckpointError(f"{path} names {len(shards)} files, at most {_MAX_SHARDS} are read")
    parts: dict[str, RawCheckpoint] = {}
    for shard in shards:
        if not shard or os.path.basename(shard) != shard or shard in (".", ".."):
            raise CheckpointError(f"{path} names the file {shard[:80]!r}; shards must lie in the same folder")
        full = os.path.join(os.path.dirname(path), shard)
        if not os.path.exists(full):
            raise CheckpointError(f"{full} is missing; {os.path.basename(path)} lists it")
        parts[shard] = read_file(full)
    tensors = {}
    for name, shard in weight_map.items():
        if name not in parts[shard].tensors:
            raise CheckpointError(f"{path} places {name[:80]!r} in {shard}, which does not hold it")
        tensors[name] = parts[shard].tensors[name]
    first = parts[shards[0]]
    return RawCheckpoint(first.format, tensors, first.metadata, [])


def _companions(file: str, vocabulary: str) -> dict[str, Any]:
    """config.json and preprocessor_config.json beside a Hugging Face file; unreadable ones are errors, not surprises."""
    result = {}
    if vocabulary.startswith("hf") or os.path.basename(file) in _IN_DIRECTORY:
        for key, name in (("config", "config.json"), ("preprocessor", "preprocessor_config.json")):
            path = os.path.join(os.path.dirname(file), name)
            if os.path.isfile(path):
                result[key] = _read_json(path)
    return result


def _is_square(count: int) -> bool:
    return count > 0 and math.isqrt(count) ** 2 == count


def _fold_positions(tensors: dict[str, LazyTensor]) -> dict[str, str]:
    """Bring position embeddings to our form: one entry for the class token, none for registers, then the grid.

    Models without a position for the class token add nothing to it, so a row of zeros says the same. Where registers
    have positions, their sum with the register tokens says the same.
    """
    pos, cls, registers = (tensors.get(name) for name in ("pos_embed", "cls_token", "reg_token"))
    if pos is None or cls is None or len(pos.shape) != 3 or pos.shape[0] != 1 or _is_square(pos.shape[1] - 1):
        return {}
    length, width = pos.shape[1:]
    if _is_square(length):
        def prepend(bits: np.ndarray) -> np.ndarray:
            return np.concatenate([np.zeros((1, 1, width), bits.dtype), bits], axis=1)

        tensors["pos_embed"] = pos.derive("pos_embed", (1, length + 1, width), prepend)
        return {"pos_embed": "a row of zeros was added for the class token, which has no position in the file"}
    count = registers.shape[1] if registers is not None and len(registers.shape) == 3 else 0
    if count and registers.shape[2] == width and _is_square(length - 1 - count):
        tensors["pos_embed"] = pos.derive(
            "pos_embed", (1, length - count, width), lambda bits: np.concatenate([bits[:, :1], bits[:, 1 + count:]], axis=1))
        tensors["reg_token"] = LazyTensor(
            "reg_token", registers.shape, "float32",
            lambda: (registers.read() + pos.read()[:, 1:1 + count]).astype(np.float32))
        return {"reg_token": "the registers' positions were added to them", "pos_embed": "the registers' positions were taken out"}
    return {}
