"""MindSpore's checkpoint format, read and written without MindSpore.

A .ckpt is one protocol-buffers message: repeated field 1 holds a tag (the name) and a tensor (dims, type, raw
little-endian bytes). MindSpore cuts tensors above 512 MB into several entries with one tag, and can end the file with
`crc_num` and a CRC-32 of everything before it. The reader walks the wire format itself: it keeps offsets instead of
data, and checks every length against the bytes that are really there.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, Iterable, Mapping

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.tensor import STORAGE, File, FileTensor, LazyTensor

TYPES = {
    "Float64": "float64", "Float32": "float32", "Float16": "float16", "BFloat16": "bfloat16",
    "Int64": "int64", "Int32": "int32", "Int16": "int16", "Int8": "int8",
    "UInt64": "uint64", "UInt32": "uint32", "UInt16": "uint16", "UInt8": "uint8", "Bool": "bool",
}
TYPE_NAMES = {ours: theirs for theirs, ours in TYPES.items()}

_MAX_ENTRIES = 200_000
_MAX_NAME = 4096
_PIECE = 512 << 20
_CRC_TAG, _CRC_LENGTH = b"crc_num", 17
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Window:
    """Reads small fields of a file through a buffer, and skips large ones."""

    def __init__(self, file: File, end: int):
        self.file, self.end = file, end
        self.start, self.data = 0, b""

    def bytes(self, position: int, count: int) -> bytes:
        if position + count > self.end:
            raise CheckpointError(f"{self.file.path} is truncated or damaged: a field at byte {position} is longer than "
                                  "the file; copy or download it again")
        offset = position - self.start
        if offset < 0 or offset + count > len(self.data):
            self.start, offset = position, 0
            self.data = bytes(self.file.read(position, min(max(count, 4096), self.end - position)))
        return self.data[offset:offset + count]

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """(value, position after it)."""
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                break
            byte = self.bytes(position, 1)[0]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, position
        raise CheckpointError(f"{self.file.path} is damaged: no valid length at byte {position}")

    def fields(self, position: int, end: int) -> Iterable[tuple[int, int, int, int]]:
        """(field number, wire type, value or offset of the content, length of the content) of one message."""
        while position < end:
            key, position = self.varint(position, end)
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                value, position = self.varint(position, end)
                yield number, wire, value, 0
                continue
            if wire == _BYTES:
                length, position = self.varint(position, end)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise CheckpointError(f"{self.file.path} is damaged: wire type {wire} at byte {position}")
            if length > end - position:
                raise CheckpointError(f"{self.file.path} is truncated or damaged: a field at byte {position} claims "
                                      f"{length} bytes, {end - position} are left; copy or download it again")
            yield number, wire, position, length
            position += length


def looks_like(file: File) -> bool:
    """Whether the first entry parses as MindSpore's: a field 1 that starts with a field 1 with a printable name."""
    try:
        window = _Window(file, file.size)
        number, wire, position, length = next(iter(window.fields(0, file.size)))
        if (number, wire) != (1, _BYTES):
            return False
        number, wire, position, length = next(iter(window.fields(position, position + length)))
        return (number, wire) == (1, _BYTES) and 0 < length <= _MAX_NAME and _text(window, position, length).isprintable()
    except (CheckpointError, StopIteration):
        return False


def could_be(file: File) -> bool:
    """Whether at least the first byte fits: a damaged file then gets the reader's reason, not "unknown format"."""
    return file.size > 2 and bytes(file.read(0, 1)) == b"\x0a"


def read(file: File) -> tuple[dict[str, LazyTensor], dict[str, str]]:
    """All tensors by name, and the text entries.

    Raises:
        CheckpointError: truncated, damaged, encrypted, or a checksum that does not match.
    """
    end = _check_crc(file)
    window = _Window(file, end)
    found: dict[str, tuple[list[int], str, list[tuple[int, int]]]] = {}
    for number, wire, position, length in window.fields(0, end):
        if (number, wire) != (1, _BYTES):
            raise CheckpointError(f"{file.path} is not a MindSpore checkpoint, or is encrypted: field {number} at its top "
                                  "level")
        if len(found) >= _MAX_ENTRIES:
            raise CheckpointError(f"{file.path} holds more than {_MAX_ENTRIES} entries; no checkpoint does")
        name, dims, kind, piece = _entry(window, position, position + length)
        if name in found:
            if found[name][:2] != (dims, kind):
                raise CheckpointError(f"{file.path} is damaged: two different tensors are called {name!r}")
            found[name][2].append(piece)
        else:
            found[name] = (dims, kind, [piece])
    tensors: dict[str, LazyTensor] = {}
    texts: dict[str, str] = {}
    for name, (dims, kind, pieces) in found.items():
        if kind == "str":
            texts[name] = _string(file, pieces)
        elif kind in TYPES:
            stored = sum(count for _, count in pieces)
            # Releases before 2.0 write scalars as shape [1] or with a dims entry of 0.
            shape = [] if dims == [0] and stored == STORAGE[TYPES[kind]].itemsize else dims
            tensors[name] = FileTensor(name, shape, TYPES[kind], file, pieces)
        else:
            raise CheckpointError(f"{file.path}: tensor {name!r} has type {kind[:40]!r}, expected one of "
                                  f"{', '.join(TYPES)}; the file is damaged or made by quantisation tools")
    return tensors, texts


def _check_crc(file: File) -> int:
    """Position where the message ends; raises when a checksum is there and does not match."""
    if file.size <= _CRC_LENGTH:
        return file.size
    tail = file.read(file.size - _CRC_LENGTH, _CRC_LENGTH)
    if not tail.startswith(_CRC_TAG):
        return file.size
    end, crc, position = file.size - _CRC_LENGTH, 0, 0
    while position < end:
        chunk = file.read(position, min(16 << 20, end - position))
        crc, position = zlib.crc32(chunk, crc), position + len(chunk)
    if crc != int.from_bytes(tail[len(_CRC_TAG):], "big"):
        raise CheckpointError(f"{file.path}: its CRC-32 does not match; the file is damaged, copy or download it again")
    return end


def _entry(window: _Window, position: int, end: int) -> tuple[str, list[int], str, tuple[int, int]]:
    """(name, dims, type, (offset, bytes)) of one Value message."""
    name, dims, kind, piece = None, [], "", (position, 0)
    path = window.file.path
    for number, wire, at, length in window.fields(position, end):
        if number == 1 and wire == _BYTES:
            name = _text(window, at, length)
        elif number == 2 and wire == _BYTES:
            for inner, inner_wire, value, size in window.fields(at, at + length):
                if inner == 1 and inner_wire == _VARINT:
                    dims.append(value - (1 << 64) if value >> 63 else value)
                elif inner == 1 and inner_wire == _BYTES:
                    stop = value + size
                    while value < stop:
                        side, value = window.varint(value, stop)
                        dims.append(side)
                elif inner == 2 and inner_wire == _BYTES:
                    kind = _text(window, value, size)
                elif inner == 3 and inner_wire == _BYTES:
                    piece = (value, size)
                if len(dims) > 64:
                    raise CheckpointError(f"{path} is damaged: a tensor with more than 64 dimensions")
        elif number == 3:
            raise CheckpointError(f"{path} holds a hash-table parameter (MapTensor), which no Vision Transformer has")
    if name is None:
        raise CheckpointError(f"{path} is damaged: an entry without a name at byte {position}")
    return name, dims, kind, piece


def _text(window: _Window, position: int, length: int) -> str:
    if length > _MAX_NAME:
        raise CheckpointError(f"{window.file.path} is damaged: a name of {length} bytes at byte {position}")
    try:
        return window.bytes(position, length).decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointError(f"{window.file.path} is damaged: a name at byte {position} is not text") from None


def _string(file: File, pieces: list[tuple[int, int]]) -> str:
    """A text entry: UTF-32 code points, as NumPy stores strings."""
    offset, count = pieces[0]
    return bytes(file.read(offset, min(count, 4 * _MAX_NAME) & ~3)).decode("utf-32-le", errors="replace")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def write(handle: BinaryIO, tensors: Mapping[str, LazyTensor], dtype: str | None = None) -> None:
    """Write tensors in MindSpore's format, one at a time.

    Args:
        handle: an open binary file.
        tensors: by the names to write.
        dtype: for floating-point tensors, None keeps each one's own.
    """
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor.encode(dtype))
        raw = memoryview(data.reshape(-1).view(np.uint8)) if data.size else memoryview(b"")
        dims = b"".join(_field(1, _VARINT) + _varint(side) for side in tensor.shape)
        kind = TYPE_NAMES[tensor.target_dtype(dtype)].encode()
        tag = name.encode()
        # The tag's field is written first; each piece repeats tag, dims and type, as MindSpore does.
        for start in range(0, max(len(raw), 1), _PIECE):
            piece = raw[start:start + _PIECE]
            inner = dims + _field(2, _BYTES) + _varint(len(kind)) + kind + _field(3, _BYTES) + _varint(len(piece))
            value = _field(1, _BYTES) + _varint(len(tag)) + tag
            value += _field(2, _BYTES) + _varint(len(inner) + len(piece)) + inner
            handle.write(_field(1, _BYTES) + _varint(len(value) + len(piece)) + value)
            handle.write(piece)
