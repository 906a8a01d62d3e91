"""The safetensors format: eight bytes of header length, a JSON header, raw little-endian tensors.

Read here rather than with the safetensors library because its NumPy side refuses bfloat16 and loads eagerly; the tests
compare this reader and writer with the library in both directions.
"""

from __future__ import annotations

import json
from typing import BinaryIO, Mapping

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.tensor import File, FileTensor, LazyTensor, count_elements, STORAGE

TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}
TYPE_NAMES = {ours: theirs for theirs, ours in TYPES.items()}

# The format's own limit.
_MAX_HEADER = 100_000_000


def looks_like(file: File) -> bool:
    """Whether the ninth byte opens a JSON object; the header's claimed length is judged by `read`."""
    return file.size > 8 and bytes(file.read(8, 1)) == b"{"


def read(file: File) -> tuple[dict[str, LazyTensor], dict[str, str]]:
    """All tensors by name, and the `__metadata__` of the header.

    Raises:
        CheckpointError: a header that is too long or not JSON, offsets that overlap, leave gaps or leave the file.
    """
    length = int.from_bytes(file.read(0, 8), "little")
    if length > _MAX_HEADER:
        raise CheckpointError(f"{file.path}: its safetensors header claims {length} bytes, at most {_MAX_HEADER} are "
                              "allowed; the file is damaged")
    if 8 + length > file.size:
        raise CheckpointError(f"{file.path} is truncated: a header of {length} bytes in a file of {file.size}; copy or "
                              "download it again")
    try:
        header = json.loads(bytes(file.read(8, length)).decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.path}: its safetensors header is damaged ({_short(error)})") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{file.path}: its safetensors header is not a JSON object; the file is damaged")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{file.path}: __metadata__ is not a JSON object; the file is damaged")
    base = 8 + length
    tensors: dict[str, LazyTensor] = {}
    spans = []
    for name, entry in header.items():
        shape, dtype, begin, end = _entry(file, name, entry)
        tensors[name] = FileTensor(name, shape, dtype, file, [(base + begin, end - begin)])
        spans.append((begin, end, name))
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            what = "overlaps the one before it" if begin < position else "leaves a gap before it"
            raise CheckpointError(f"{file.path}: tensor {name!r} {what} (bytes {begin} to {end}, expected to start at "
                                  f"{position}); the file is damaged or malicious")
        position = end
    if base + position != file.size:
        raise CheckpointError(f"{file.path}: {file.size - base - position} bytes after the last tensor; the file is "
                              "damaged or malicious")
    return tensors, {str(key): str(value) for key, value in metadata.items()}


def _unique(pairs: list) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:120]


def _entry(file: File, name: str, entry: object) -> tuple[list, str, int, int]:
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{file.path}: tensor {name[:80]!r} lacks dtype, shape or data_offsets; the file is "
                              "damaged") from None
    if not isinstance(kind, str) or kind not in TYPES:
        raise CheckpointError(f"{file.path}: tensor {name!r} has dtype {str(kind)[:20]!r}, expected one of "
                              f"{', '.join(TYPES)}")
    if not isinstance(shape, list):
        raise CheckpointError(f"{file.path}: the shape of tensor {name!r} is not a list; the file is damaged")
    if not all(type(at) is int for at in (begin, end)) or not 0 <= begin <= end:
        raise CheckpointError(f"{file.path}: tensor {name!r} has impossible data_offsets; the file is damaged")
    return shape, TYPES[kind], begin, end


def write(handle: BinaryIO, tensors: Mapping[str, LazyTensor], dtype: str | None = None,
          metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors one at a time; parameters as for `ckpt.write`, metadata as text pairs."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    position = 0
    for name, tensor in tensors.items():
        kind = tensor.target_dtype(dtype)
        size = count_elements(tensor.shape, name) * STORAGE[kind].itemsize
        header[name] = {"dtype": TYPE_NAMES[kind], "shape": list(tensor.shape),
                        "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    handle.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        handle.write(tensor.encode(dtype).data)
