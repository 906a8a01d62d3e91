"""NumPy archives, as Google's JAX code writes them: a zip file of .npy members."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import BinaryIO, Mapping

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.formats.archive import Archive
from vit_kernels.checkpoint.tensor import STORAGE, FileTensor, LazyTensor, count_elements

_MAX_HEADER = 65536


def looks_like(archive: Archive) -> bool:
    return any(name.endswith(".npy") for name in archive.members)


def read(archive: Archive) -> tuple[dict[str, LazyTensor], dict[str, str]]:
    """All numeric arrays by name; nothing is unpickled.

    Raises:
        CheckpointError: damaged members, or object arrays, which are pickles.
    """
    tensors: dict[str, LazyTensor] = {}
    for member in archive.members:
        if not member.endswith(".npy"):
            raise CheckpointError(f"{archive.file.path}: member {member[:80]!r} is not a .npy array")
        name = member[:-4]
        if archive.is_stored(member):
            tensors[name] = _stored(archive, member, name)
        else:
            shape, dtype, _, start = _header(archive, bytes(archive.read(member, archive.size(member))[:_MAX_HEADER]), name)
            tensors[name] = LazyTensor(name, shape, dtype, lambda m=member, n=name: _unpack(archive, m, n))
            _check_size(archive, tensors[name], archive.size(member) - start)
    return tensors, {}


def _check_size(archive: Archive, tensor: LazyTensor, stored: int) -> None:
    if tensor.nbytes != stored:
        raise CheckpointError(f"{archive.file.path}: tensor {tensor.name!r} needs {tensor.nbytes} bytes for its shape, "
                              f"{stored} are stored; the file is damaged")


def _header(archive: Archive, data: bytes, name: str) -> tuple[tuple[int, ...], str, bool, int]:
    """(shape, dtype, Fortran order, offset of the values) of an .npy file's beginning."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the .npy format")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except Exception as error:  # NumPy parses the header as Python text and lets that parser's errors through.
        raise CheckpointError(f"{archive.file.path}: array {name[:80]!r} has a damaged header "
                              f"({str(error).splitlines()[0][:100] if str(error) else type(error).__name__})") from None
    if dtype.hasobject:
        raise CheckpointError(f"{archive.file.path}: array {name[:80]!r} holds Python objects, which would have to be "
                              "unpickled; refused")
    count_elements(shape, name)
    # NumPy has no bfloat16; JAX code stores its bits as two opaque bytes.
    kind = "bfloat16" if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None else dtype.name
    if kind not in STORAGE or dtype.byteorder == ">":
        raise CheckpointError(f"{archive.file.path}: array {name[:80]!r} has dtype {dtype}, expected little-endian "
                              f"{', '.join(STORAGE)}")
    return shape, kind, fortran, stream.tell()


def _stored(archive: Archive, member: str, name: str) -> LazyTensor:
    offset, size = archive.offset(member), archive.size(member)
    head = bytes(archive.file.read(offset, min(size, _MAX_HEADER)))
    shape, dtype, fortran, start = _header(archive, head, name)
    # The archive's checksum is that of the .npy header and the values behind it.
    checksum = archive.crc32(member), zlib.crc32(head[:start])
    if not fortran:
        return FileTensor(name, shape, dtype, archive.file, [(offset + start, size - start)], *checksum)
    column_major = FileTensor(name, shape[::-1], dtype, archive.file, [(offset + start, size - start)], *checksum)
    return column_major.derive(name, shape, lambda bits: bits.T)


def _unpack(archive: Archive, member: str, name: str) -> np.ndarray:
    data = archive.read(member, archive.size(member))
    shape, dtype, fortran, start = _header(archive, bytes(data[:_MAX_HEADER]), name)
    values = np.frombuffer(data, STORAGE[dtype], offset=start)
    return values.reshape(shape[::-1]).T if fortran else values


def write(handle: BinaryIO, tensors: Mapping[str, LazyTensor], dtype: str | None = None) -> None:
    """Write tensors one at a time; bfloat16, which NumPy lacks, is written as fp32."""
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, tensor in tensors.items():
            kind = "float32" if tensor.target_dtype(dtype) == "bfloat16" else None
            values = np.ascontiguousarray(tensor.encode(dtype) if kind is None else tensor.read())
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=values.nbytes > 1 << 31) as member:
                np.lib.format.write_array(member, values, version=(1, 0), allow_pickle=False)
