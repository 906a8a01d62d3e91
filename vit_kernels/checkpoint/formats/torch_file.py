"""PyTorch files, zip (since 1.6) and legacy, read and written without PyTorch.

Both hold a pickle that describes the structure and refers to storages, flat arrays kept outside the pickle. The pickle
goes through `pickles.load`, which runs no code; a tensor becomes a `LazyTensor` over its storage's bytes.
"""

from __future__ import annotations

import struct
import zipfile
from typing import Any, BinaryIO, Mapping

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.formats import pickles
from vit_kernels.checkpoint.formats.archive import Archive
from vit_kernels.checkpoint.tensor import STORAGE, File, FileTensor, LazyTensor, count_elements

# Storage class -> dtype.
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "UntypedStorage": "uint8",
}
STORAGE_NAMES = {dtype: name for name, dtype in STORAGES.items() if name != "UntypedStorage"}

LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa850192e")
_PROTOCOL = 1001
# Keys under which training scripts keep the weights, in order of preference, and how deep to look for them.
_WRAPPERS = ("model", "state_dict", "model_state_dict", "teacher", "student", "module", "net", "network")


class _Storage:
    """A storage named by the pickle; where its bytes lie is known once the whole file has been looked at."""

    __slots__ = ("key", "dtype", "count", "pieces", "compressed", "crc32")

    def __init__(self, key: str, dtype: str, count: int):
        self.key, self.dtype, self.count = key, dtype, count
        self.pieces: list[tuple[int, int]] | None = None
        self.compressed: tuple[Archive, str] | None = None
        self.crc32: int | None = None


class _Tensor:
    __slots__ = ("storage", "offset", "shape", "stride")

    def __init__(self, storage: _Storage, offset: int, shape: tuple, stride: tuple):
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride


def _rebuild_tensor(storage: Any = None, offset: Any = None, shape: Any = None, stride: Any = None, *rest: Any) -> Any:
    whole = isinstance(storage, _Storage) and type(offset) is int and isinstance(shape, tuple) and isinstance(stride, tuple)
    return _Tensor(storage, offset, shape, stride) if whole else pickles.Stub("tensor")


def _rebuild_parameter(data: Any = None, *rest: Any) -> Any:
    return data


def _ordered_dict(items: Any = (), *rest: Any) -> dict:
    pairs = items if isinstance(items, (list, tuple)) else ()
    return {pair[0]: pair[1] for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2
            and isinstance(pair[0], str)}


_ALLOWED = {
    "collections OrderedDict": _ordered_dict,
    "collections defaultdict": lambda *_: {},
    "torch._utils _rebuild_tensor": _rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "torch._utils _rebuild_parameter_with_state": _rebuild_parameter,
    **{f"torch {name}": None for name in STORAGES},
    **{f"torch.storage {name}": None for name in STORAGES},
}


class _Storages:
    """The storages a pickle refers to, by key."""

    def __init__(self, path: str):
        self.path = path
        self.by_key: dict[str, _Storage] = {}

    def __call__(self, reference: Any) -> Any:
        """A persistent id: ('storage', class, key, device, elements[, view])."""
        if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
            return pickles.Stub("persistent id")
        kind, key, count = reference[1], reference[2], reference[4]
        name = kind.name.split(" ")[1] if isinstance(kind, pickles.Global) else ""
        if name not in STORAGES:
            raise CheckpointError(f"{self.path}: unsupported storage {getattr(kind, 'name', '?')!r}; expected one of "
                                  f"{', '.join(STORAGES)}")
        if not isinstance(key, (str, int)) or type(count) is not int:
            raise CheckpointError(f"{self.path} is damaged: a storage without key or size")
        count_elements((count,), f"storage {key}"[:80])
        root = self.by_key.get(str(key))
        if root is None:
            root = self.by_key[str(key)] = _Storage(str(key), STORAGES[name], count)
        elif (root.dtype, root.count) != (STORAGES[name], count):
            raise CheckpointError(f"{self.path} is damaged: storage {key!r} has two sizes or types")
        view = reference[5] if len(reference) > 5 else None
        if isinstance(view, tuple) and len(view) == 3 and type(view[1]) is int:
            return _View(root, view[1])
        return root


class _View(_Storage):
    """A storage that begins inside another one (legacy files)."""

    __slots__ = ("root", "start")

    def __init__(self, root: _Storage, start: int):
        super().__init__(root.key, root.dtype, root.count)
        self.root, self.start = root, start


def read_zip(archive: Archive) -> tuple[dict[str, LazyTensor], dict[str, str], list[str]]:
    """(tensors by name, text metadata, names of what was left out) of a PyTorch zip file.

    Raises:
        CheckpointError: damaged, big-endian, TorchScript, or without weights.
    """
    path = archive.file.path
    root = next(name for name in archive.members if name.endswith("/data.pkl"))[:-len("data.pkl")]
    if f"{root}constants.pkl" in archive.members:
        raise CheckpointError(f"{path} is a TorchScript program, not a state dict; save model.state_dict() with torch.save")
    order = f"{root}byteorder"
    if order in archive.members and bytes(archive.read(order, 64)) != b"little":
        raise CheckpointError(f"{path} was written on a big-endian machine, which is not supported")
    storages = _Storages(path)
    data = archive.read(f"{root}data.pkl", pickles.MAX_BYTES)
    top, _ = pickles.load(data, _ALLOWED, storages, path)
    for key, storage in storages.by_key.items():
        member = f"{root}data/{key}"
        if member not in archive.members:
            raise CheckpointError(f"{path} is damaged: it has no {member[:80]!r}")
        size = storage.count * STORAGE[storage.dtype].itemsize
        if archive.size(member) != size:
            raise CheckpointError(f"{path} is damaged: {member!r} has {archive.size(member)} bytes, {size} are expected")
        if archive.is_stored(member):
            storage.pieces = [(archive.offset(member), size)]
            # torch can be told not to compute checksums and then writes 0.
            storage.crc32 = archive.crc32(member) or None
        else:
            storage.compressed = (archive, member)
    return _collect(archive.file, top)


def looks_legacy(file: File) -> bool:
    """Whether the file begins with the magic number of PyTorch's legacy format."""
    return file.size > 15 and bytes(file.read(2, len(LEGACY_MAGIC))) == LEGACY_MAGIC


def read_legacy(file: File) -> tuple[dict[str, LazyTensor], dict[str, str], list[str]]:
    """As `read_zip`, for the format of PyTorch before 1.6: four pickles, a list of keys, then the storages."""
    head = bytes(file.read(0, min(file.size, pickles.MAX_BYTES)))
    storages = _Storages(file.path)
    position = 0
    parts = []
    for _ in range(5):
        part, length = pickles.load(head[position:], _ALLOWED, storages, file.path)
        parts.append(part)
        position += length
    _, protocol, system, top, keys = parts
    if protocol != _PROTOCOL or not isinstance(system, dict) or not isinstance(keys, list):
        raise CheckpointError(f"{file.path}: unknown version of PyTorch's legacy format; save it again with torch >= 1.6")
    if system.get("little_endian") is not True:
        raise CheckpointError(f"{file.path} was written on a big-endian machine, which is not supported")
    for key in keys:
        storage = storages.by_key.get(str(key)) if isinstance(key, (str, int)) else None
        if storage is None or storage.pieces is not None:
            raise CheckpointError(f"{file.path} is damaged: a storage that no tensor uses, or twice the same")
        count = int.from_bytes(file.read(position, 8), "little")
        if count != storage.count:
            raise CheckpointError(f"{file.path} is damaged: storage {key!r} has {count} elements, {storage.count} are expected")
        size = count * STORAGE[storage.dtype].itemsize
        storage.pieces = [(position + 8, size)]
        position += 8 + size
    if position > file.size:
        raise CheckpointError(f"{file.path} is truncated: {position} bytes are expected, it has {file.size}; copy or "
                              "download it again")
    return _collect(file, top)


def _collect(file: File, top: Any) -> tuple[dict[str, LazyTensor], dict[str, str], list[str]]:
    weights, left_out = _find_weights(top)
    if not weights:
        kind = f"an object of class {top.name[:80]!r}" if isinstance(top, pickles.Stub) else "no tensors"
        raise CheckpointError(f"{file.path} holds {kind} instead of a state dict; save model.state_dict() with torch.save")
    return {name: _lazy(file, name, tensor) for name, tensor in weights.items()}, {}, left_out


def _find_weights(top: Any) -> tuple[dict[str, _Tensor], list[str]]:
    """The state dict inside what was saved: itself, or under one of the usual keys."""
    left_out: list[str] = []
    for _ in range(3):
        if not isinstance(top, dict):
            return {}, left_out
        inner = next((key for key in _WRAPPERS if isinstance(top.get(key), dict) and top[key]), None)
        if inner is None:
            break
        left_out += [str(key) for key in top if key != inner]
        top = top[inner]
    weights = {key: value for key, value in top.items() if isinstance(key, str) and isinstance(value, _Tensor)}
    left_out += [str(key) for key in top if key not in weights]
    return weights, left_out


def _lazy(file: File, name: str, tensor: _Tensor) -> LazyTensor:
    """Check that a tensor stays inside its storage, and say how to read it."""
    storage, start = tensor.storage, tensor.offset
    if isinstance(storage, _View):
        start, storage = start + storage.start, storage.root
    count = count_elements(tensor.shape, name)
    ranges = len(tensor.stride) == len(tensor.shape) and all(type(s) is int and s >= 0 for s in tensor.stride)
    last = start + sum((side - 1) * step for side, step in zip(tensor.shape, tensor.stride)) if ranges and count else start
    # A tensor larger than its storage (stride 0) would let a small file fill the memory.
    if not ranges or start < 0 or count > storage.count or count and last >= storage.count:
        raise CheckpointError(f"{file.path}: tensor {name[:80]!r} with shape {str(tensor.shape)[:60]} reaches outside its "
                              f"storage of {storage.count} elements; the file is damaged or malicious")
    item = STORAGE[storage.dtype].itemsize
    contiguous = tensor.stride == _strides(tensor.shape) or count <= 1
    if storage.pieces is not None and contiguous:
        whole = count == storage.count
        offset = storage.pieces[0][0] + start * item
        return FileTensor(name, tensor.shape, storage.dtype, file, [(offset, count * item)], storage.crc32 if whole else None)

    def fetch() -> np.ndarray:
        if storage.compressed:
            archive, member = storage.compressed
            flat = np.frombuffer(archive.read(member, storage.count * item), STORAGE[storage.dtype])
        else:
            flat = FileTensor(name, (storage.count,), storage.dtype, file, storage.pieces, storage.crc32).bits()
        return np.lib.stride_tricks.as_strided(flat[start:], tensor.shape, [step * item for step in tensor.stride])

    return LazyTensor(name, tensor.shape, storage.dtype, fetch)


def _strides(shape: tuple) -> tuple:
    steps, step = [], 1
    for side in reversed(shape):
        steps.append(step)
        step *= side
    return tuple(reversed(steps))


# -- writing ----------------------------------------------------------------------------------------------------------

_ALIGNMENT = 64


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _integer(value: int) -> bytes:
    if 0 <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _describe(tensors: Mapping[str, LazyTensor], dtype: str | None) -> bytes:
    """The pickle of a state dict, protocol 2, with only the constructors `torch.load(weights_only=True)` allows."""
    ordered_dict = b"ccollections\nOrderedDict\n)R"
    out = bytearray(b"\x80\x02" + ordered_dict + b"(")
    for index, (name, tensor) in enumerate(tensors.items()):
        storage = f"ctorch\n{STORAGE_NAMES[tensor.target_dtype(dtype)]}\n".encode()
        reference = _tuple(_text("storage"), storage, _text(str(index)), _text("cpu"), _integer(tensor.size)) + b"Q"
        shape = _tuple(*map(_integer, tensor.shape))
        stride = _tuple(*map(_integer, _strides(tensor.shape)))
        out += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n"
        out += _tuple(reference, _integer(0), shape, stride, b"\x89", ordered_dict) + b"R"
    return bytes(out + b"u.")


def write(handle: BinaryIO, tensors: Mapping[str, LazyTensor], dtype: str | None = None) -> None:
    """Write a state dict that `torch.load(weights_only=True)` reads; one tensor in memory at a time.

    Args:
        handle: an open binary file.
        tensors: by the names to write.
        dtype: for floating-point tensors, None keeps each one's own.

    Raises:
        CheckpointError: a dtype that PyTorch has no storage for.
    """
    for name, tensor in tensors.items():
        if tensor.target_dtype(dtype) not in STORAGE_NAMES:
            raise CheckpointError(f"tensor {name!r} has dtype {tensor.dtype}, which PyTorch files cannot hold")
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        def add(name: str, data: Any, size: int) -> None:
            info = zipfile.ZipInfo(f"archive/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            # Values start at multiples of 64 bytes, so that torch can map the file; an extra field fills the gap.
            zip64 = size >= 1 << 31
            header = 30 + len(info.filename) + (20 if zip64 else 0)
            gap = -(handle.tell() + header) % _ALIGNMENT
            gap += _ALIGNMENT if 0 < gap < 4 else 0
            info.extra = b"FB" + struct.pack("<H", gap - 4) + b"Z" * (gap - 4) if gap else b""
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(data)

        pickle = _describe(tensors, dtype)
        add("data.pkl", pickle, len(pickle))
        add("byteorder", b"little", 6)
        for index, tensor in enumerate(tensors.values()):
            data = np.ascontiguousarray(tensor.encode(dtype)).reshape(-1)
            add(f"data/{index}", data.view(np.uint8).data if data.size else b"", data.nbytes)
        add("version", b"3\n", 2)
