"""The idx format of MNIST and Fashion-MNIST: a big-endian header, then raw bytes; gzip or plain."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from vit_kernels.errors import DataError

_UINT8 = 8
# Real files have tens of megabytes; a header that claims more than this is damage, or an attack on memory.
_MAX_BYTES = 1 << 32


def read_idx(path: str | Path) -> np.ndarray:
    """Read one idx file of bytes.

    Args:
        path: with or without '.gz'; told apart by content.

    Returns:
        uint8 array of the shape that the header gives.

    Raises:
        DataError: missing, not an idx file of bytes, truncated, or longer than its header says.
    """
    path = Path(path)
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
        with (gzip.open if compressed else open)(path, "rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _UINT8 or not 1 <= magic[3] <= 4:
                raise DataError(f"{path} is not an idx file of bytes: it starts with {magic!r}")
            shape = tuple(int(n) for n in np.frombuffer(_exactly(path, file, 4 * magic[3]), ">u4"))
            size = math.prod(shape)
            if size > _MAX_BYTES:
                raise DataError(f"{path}: its header claims {size} bytes; the file is damaged")
            data = np.frombuffer(_exactly(path, file, size), np.uint8).reshape(shape)
            if file.read(1):
                raise DataError(f"{path} is longer than the {shape} its header says; the file is damaged")
            return data
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); copy or download it again") from error


def _exactly(path: Path, file, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise DataError(f"{path} is truncated: {len(data)} bytes where its header promises {count}; "
                        "copy or download it again")
    return data
