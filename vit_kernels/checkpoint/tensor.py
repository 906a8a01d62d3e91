"""Tensors that stay in their file until somebody asks for the values.

A conversion touches one tensor at a time and an inspection touches none, so neither needs the whole file in memory.
Values are read with bounded reads instead of a memory map: a file that shrinks while it is being read then gives an
exception, where a memory map would give SIGBUS and end the process.

NumPy has no bfloat16. Such tensors are handed out as fp32, which holds every bfloat16 exactly, and remember their
dtype, so that writing them back gives the same bits.
"""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO, Callable, Sequence

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError

# Name -> (NumPy type of the stored bits, bytes per element).
STORAGE = {
    "float64": np.dtype("<f8"), "float32": np.dtype("<f4"), "float16": np.dtype("<f2"), "bfloat16": np.dtype("<u2"),
    "int64": np.dtype("<i8"), "int32": np.dtype("<i4"), "int16": np.dtype("<i2"), "int8": np.dtype("i1"),
    "uint64": np.dtype("<u8"), "uint32": np.dtype("<u4"), "uint16": np.dtype("<u2"), "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}
FLOATS = ("float32", "float16", "bfloat16", "float64")

# No Vision Transformer comes near; beyond it a shape is an attack or noise, and products could overflow.
MAX_ELEMENTS = 1 << 40
MAX_RANK = 8


def bfloat16_to_float32(bits: np.ndarray) -> np.ndarray:
    """uint16 bit patterns -> the same values as fp32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def float32_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """fp32 -> uint16 bit patterns of the nearest bfloat16, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16).astype(np.uint16)
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    if nan.any():
        # Rounding could carry a NaN into infinity. A NaN that was a bfloat16 keeps its bits; others become quiet.
        truncated = (bits[nan] >> 16).astype(np.uint16)
        rounded[nan] = np.where(truncated & 0x7F, truncated, truncated | np.uint16(0x40))
    return rounded


def count_elements(shape: Sequence[int], name: str) -> int:
    """Product of `shape`, in exact arithmetic.

    Raises:
        CheckpointError: a negative side, too many sides, or more elements than any model has.
    """
    if len(shape) > MAX_RANK:
        raise CheckpointError(f"tensor {name!r} has {len(shape)} dimensions, expected at most {MAX_RANK}; the file is damaged")
    count = 1
    for side in shape:
        if not isinstance(side, int) or isinstance(side, bool) or side < 0:
            raise CheckpointError(f"tensor {name!r} has shape {_show_shape(shape)}; sizes must be integers >= 0, so "
                                  "the file is damaged")
        count *= side
        if count > MAX_ELEMENTS:
            raise CheckpointError(f"tensor {name!r} claims shape {_show_shape(shape)}, more than any model holds; the "
                                  "file is damaged")
    return count


def _show_shape(shape: Sequence[int]) -> str:
    text = str(tuple(shape))
    return text if len(text) < 80 else text[:77] + "..."


class File:
    """A file opened for reading at absolute offsets; every read is checked against its length."""

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        try:
            self.handle: BinaryIO = open(self.path, "rb")
        except IsADirectoryError:
            raise CheckpointError(f"{self.path} is a directory, expected a file") from None
        except OSError as error:
            raise CheckpointError(f"cannot open {self.path}: {error.strerror or error}") from error
        self.size = os.fstat(self.handle.fileno()).st_size

    def read(self, offset: int, count: int) -> bytearray:
        """Exactly `count` bytes from `offset`.

        Raises:
            CheckpointError: the range is not inside the file, or the disk fails.
        """
        if offset < 0 or count < 0 or offset + count > self.size:
            raise CheckpointError(f"{self.path} is truncated: {count} bytes expected at offset {offset}, the file has "
                                  f"{self.size}; copy or download it again")
        data = bytearray(count)
        view, done = memoryview(data), 0
        try:
            self.handle.seek(offset)
            while done < count:
                got = self.handle.readinto(view[done:])
                if not got:
                    raise CheckpointError(f"{self.path} shrank while it was read; copy or download it again")
                done += got
        except OSError as error:
            raise CheckpointError(f"cannot read {self.path}: {error.strerror or error}") from error
        return data

    def close(self) -> None:
        self.handle.close()


class LazyTensor:
    """A tensor of a checkpoint: name, shape and dtype at once, values on request.

    Args:
        name: for messages.
        shape: sides, integers.
        dtype: a key of `STORAGE`.
        fetch: returns the values in `STORAGE[dtype]`, any layout that reshapes to `shape`.
    """

    def __init__(self, name: str, shape: Sequence[int], dtype: str, fetch: Callable[[], np.ndarray]):
        self.name = name
        self.shape = tuple(shape)
        self.dtype = dtype
        self.size = count_elements(self.shape, name)
        self._fetch = fetch

    @property
    def nbytes(self) -> int:
        """Bytes in the file's own dtype."""
        return self.size * STORAGE[self.dtype].itemsize

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    def bits(self) -> np.ndarray:
        """The values as stored (bfloat16 as uint16), C-contiguous."""
        return np.ascontiguousarray(self._fetch()).reshape(self.shape)

    def read(self) -> np.ndarray:
        """The values; bfloat16 comes as fp32."""
        bits = self.bits()
        return bfloat16_to_float32(bits) if self.dtype == "bfloat16" else bits

    def encode(self, dtype: str | None) -> np.ndarray:
        """The bits to store for `dtype`; None, or a tensor that is not floating point, keeps the dtype it has.

        Raises:
            CheckpointError: a finite value does not fit into fp16.
        """
        if dtype is None or dtype == self.dtype or not self.is_float:
            return self.bits()
        values = self.read()
        if dtype == "bfloat16":
            return float32_to_bfloat16(values.astype(np.float32, copy=False)).reshape(self.shape)
        with np.errstate(over="ignore"):
            result = values.astype(STORAGE[dtype])
        if dtype == "float16" and np.isinf(result).sum() > np.isinf(values).sum():
            largest = float(np.abs(values[np.isfinite(values)]).max())
            raise CheckpointError(f"tensor {self.name!r} holds {largest:.6g}, fp16 ends at 65504; write bf16 or fp32")
        return result

    def target_dtype(self, dtype: str | None) -> str:
        """The dtype that `encode(dtype)` gives."""
        return dtype if dtype and self.is_float else self.dtype

    def derive(self, name: str, shape: Sequence[int], change: Callable[[np.ndarray], np.ndarray]) -> "LazyTensor":
        """A tensor whose bits are `change(bits)`: for transposes, slices and reshapes, which never touch a value."""
        return LazyTensor(name, shape, self.dtype, lambda: change(self.bits()))

    def astype(self, dtype: str) -> "LazyTensor":
        """The same tensor to be stored as `dtype`."""
        return LazyTensor(self.name, self.shape, dtype, lambda: self.encode(dtype))

    def narrow(self, start: int, stop: int) -> "LazyTensor":
        """Indices start to stop of the first axis."""
        return self.derive(f"{self.name}[{start}:{stop}]", (stop - start, *self.shape[1:]), lambda bits: bits[start:stop])


class FileTensor(LazyTensor):
    """A tensor stored as one or more contiguous pieces of a file.

    Args:
        name: for messages.
        shape: sides, integers.
        dtype: a key of `STORAGE`.
        file: where it lies.
        pieces: (offset, bytes) in order.
        crc32: checksum of the whole, None if the format has none.
        crc32_before: checksum of what the format counts in before the tensor's first byte.

    Raises:
        CheckpointError: the pieces do not add up to the shape, or leave the file.
    """

    def __init__(self, name: str, shape: Sequence[int], dtype: str, file: File, pieces: Sequence[tuple[int, int]],
                 crc32: int | None = None, crc32_before: int = 0):
        super().__init__(name, shape, dtype, self._read_pieces)
        self.file, self.pieces, self.crc32, self.crc32_before = file, list(pieces), crc32, crc32_before
        stored = sum(count for _, count in self.pieces)
        if stored != self.nbytes:
            raise CheckpointError(f"{file.path}: tensor {name!r} has shape {_show_shape(self.shape)} and dtype {dtype}, "
                                  f"{self.nbytes} bytes, but {stored} are stored; the file is damaged")
        for offset, count in self.pieces:
            if offset < 0 or offset + count > file.size:
                raise CheckpointError(f"{file.path} is truncated: tensor {name!r} ends at byte {offset + count}, the "
                                      f"file at {file.size}; copy or download it again")

    def _read_pieces(self) -> np.ndarray:
        if len(self.pieces) == 1:
            data = self.file.read(*self.pieces[0])
        else:
            data = bytearray().join(self.file.read(*piece) for piece in self.pieces)
        if self.crc32 is not None and zlib.crc32(data, self.crc32_before) != self.crc32:
            raise CheckpointError(f"{self.file.path}: the checksum of tensor {self.name!r} does not match; the file is "
                                  "damaged, copy or download it again")
        return np.frombuffer(data, STORAGE[self.dtype])

    def narrow(self, start: int, stop: int) -> LazyTensor:
        """Overridden so that a part costs a part, not the whole tensor, where nothing has to be checked over the whole."""
        if len(self.pieces) != 1 or self.crc32 is not None or not self.shape[0]:
            return super().narrow(start, stop)
        row = self.nbytes // self.shape[0]
        piece = (self.pieces[0][0] + start * row, (stop - start) * row)
        return FileTensor(f"{self.name}[{start}:{stop}]", (stop - start, *self.shape[1:]), self.dtype, self.file, [piece])


def from_array(name: str, values: np.ndarray, dtype: str | None = None) -> LazyTensor:
    """An array in memory as a LazyTensor.

    Args:
        name: for messages.
        values: any numeric array; uint16 bit patterns when dtype is 'bfloat16'.
        dtype: a key of `STORAGE`; None takes the array's own.
    """
    array = np.asarray(values)
    dtype = dtype or array.dtype.name
    if dtype not in STORAGE:
        raise CheckpointError(f"tensor {name!r} has dtype {array.dtype}, expected one of {', '.join(STORAGE)}")
    stored = array.astype(STORAGE[dtype], copy=False)
    return LazyTensor(name, array.shape, dtype, lambda: stored)
