"""Zip archives as checkpoints use them: found by their directory, read at known offsets, refused when they are bombs."""

from __future__ import annotations

import struct
import zipfile
import zlib

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.tensor import File

_MAX_DIRECTORY = 64 << 20
# Trained weights hardly compress; an archive that grows more than this is made to fill the memory.
_MAX_GROWTH, _GROWTH_FLOOR = 20, 64 << 20
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Archive:
    """The members of a zip file.

    Args:
        file: opened.

    Raises:
        CheckpointError: not a complete zip file, encrypted, or a zip bomb.
    """

    def __init__(self, file: File):
        self.file = file
        self._check_directory()
        try:
            with zipfile.ZipFile(file.handle) as opened:
                infos = opened.infolist()
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError, OverflowError, OSError,
                struct.error) as error:
            raise CheckpointError(f"{file.path} is a truncated or damaged zip archive ({str(error)[:100]}); copy or "
                                  "download it again") from None
        self.members = {}
        total = 0
        for info in infos:
            if info.filename in self.members:
                raise CheckpointError(f"{file.path} is damaged: it holds {info.filename[:80]!r} twice")
            if info.flag_bits & 1:
                raise CheckpointError(f"{file.path} is an encrypted zip archive; unpack it first")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise CheckpointError(f"{file.path}: member {info.filename[:80]!r} uses zip compression method "
                                      f"{info.compress_type}, expected stored or deflate")
            total += info.file_size
            self.members[info.filename] = info
        if total > _MAX_GROWTH * file.size + _GROWTH_FLOOR:
            raise CheckpointError(f"{file.path} holds {file.size} bytes but claims to unpack to {total}: a zip bomb, "
                                  "refused")

    def _check_directory(self) -> None:
        """Bound the central directory before zipfile reads it into memory."""
        tail = bytes(self.file.read(max(0, self.file.size - (1 << 16) - 22), min(self.file.size, (1 << 16) + 22)))
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or at + 22 > len(tail):
            raise CheckpointError(f"{self.file.path} is a truncated zip archive: its directory is missing; copy or "
                                  "download it again")
        size = int.from_bytes(tail[at + 12:at + 16], "little")
        zip64 = tail.rfind(b"PK\x06\x06", 0, at)
        if zip64 >= 0 and size == 0xFFFFFFFF:
            size = int.from_bytes(tail[zip64 + 40:zip64 + 48], "little")
        if size > _MAX_DIRECTORY:
            raise CheckpointError(f"{self.file.path}: its zip directory claims {size} bytes, refused")

    def is_stored(self, name: str) -> bool:
        """Whether the member lies in the file uncompressed."""
        return self.members[name].compress_type == zipfile.ZIP_STORED

    def size(self, name: str) -> int:
        """Unpacked bytes."""
        return self.members[name].file_size

    def crc32(self, name: str) -> int:
        return self.members[name].CRC

    def offset(self, name: str) -> int:
        """Where in the file the member's data begin."""
        info = self.members[name]
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(self.file.read(info.header_offset, _LOCAL_HEADER.size))
        if magic != b"PK\x03\x04":
            raise CheckpointError(f"{self.file.path} is damaged: no member at byte {info.header_offset}")
        return info.header_offset + _LOCAL_HEADER.size + name_length + extra_length

    def read(self, name: str, limit: int) -> bytearray:
        """A whole member, its checksum verified.

        Raises:
            CheckpointError: damaged, or longer than `limit` or than the directory says.
        """
        info = self.members[name]
        if info.file_size > limit:
            raise CheckpointError(f"{self.file.path}: member {name[:80]!r} has {info.file_size} bytes, at most {limit} "
                                  "are expected there")
        data = self.file.read(self.offset(name), info.compress_size)
        if info.compress_type == zipfile.ZIP_DEFLATED:
            data = self._inflate(name, data, info.file_size)
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise CheckpointError(f"{self.file.path}: the checksum of {name[:80]!r} does not match; the file is "
                                  "damaged, copy or download it again")
        return data

    def _inflate(self, name: str, data: bytearray, size: int) -> bytearray:
        engine = zlib.decompressobj(-15)
        try:
            result = bytearray(engine.decompress(data, size + 1))
        except zlib.error as error:
            raise CheckpointError(f"{self.file.path}: member {name[:80]!r} is damaged ({error})") from None
        return result
