"""Images in whatever form a caller has them: paths, addresses, Pillow images, arrays, tensors, lists of these."""

from __future__ import annotations

import io
import os
from typing import Any, Iterator

import numpy as np
from PIL import Image, ImageOps

from vit_kernels.data.decode import open_image, to_mode
from vit_kernels.data.sources import expand
from vit_kernels.download import fetch, is_address
from vit_kernels.errors import ImageError, UsageError

# No photo needs more.
MAX_DOWNLOAD = 256 << 20


def fetch_image(address: str, channels: int = 3, timeout: float = 4.0) -> Image.Image:
    """Download and decode one image.

    Raises:
        DownloadError: a ConnectionError; the address does not answer.
        ImageError: what it answers with is not an image.
    """
    content = io.BytesIO()
    content.name = address
    fetch(address, content, timeout=timeout, limit=MAX_DOWNLOAD, quiet=True)
    content.seek(0)
    return open_image(content, channels)


def to_images(source: Any, channels: int = 3, is_hwc: bool = False) -> list[Image.Image]:
    """Decode everything at once, see `iter_images`."""
    return [image for _, image in iter_images(source, channels, is_hwc)]


def iter_images(source: Any, channels: int = 3, is_hwc: bool = False) -> Iterator[tuple[str | None, Image.Image]]:
    """(path or address or None, decoded image) of every image in `source`.

    Args:
        source: a path of an image or a folder, a glob pattern, an http(s) address, a Pillow image, an array or tensor with
            `asnumpy()` of one image or a batch, uint8 or floating point in 0..1 or 0..255, or a list or tuple of these.
        channels: 3 for RGB, 1 for grey.
        is_hwc: arrays are (H, W, C) where their shape could be either.

    Raises:
        ImageError: an image cannot be read, or an array cannot be one.
        UsageError: a path that does not exist.
        TypeError: something else.
    """
    if isinstance(source, (list, tuple)):
        for item in source:
            yield from iter_images(item, channels, is_hwc)
    elif is_address(source):
        yield source, fetch_image(source, channels)
    elif isinstance(source, (str, os.PathLike)):
        for path in expand([source]):
            yield path, open_image(path, channels)
    elif isinstance(source, Image.Image):
        yield None, to_mode(ImageOps.exif_transpose(source), channels)
    elif isinstance(source, np.ndarray) or hasattr(source, "asnumpy"):
        for image in _split(source if isinstance(source, np.ndarray) else source.asnumpy(), is_hwc):
            yield None, to_mode(image, channels)
    else:
        raise TypeError(f"{type(source).__name__} is no image: expected a path, an address, a Pillow image, an array, a Tensor, "
                        "or a list of these")


def count_of(source: Any) -> int | None:
    """How many images `iter_images` gives, where that is known before decoding."""
    if isinstance(source, (list, tuple)):
        counts = [count_of(item) for item in source]
        return None if None in counts else sum(counts)
    if isinstance(source, (str, os.PathLike)) and not is_address(source):
        return len(expand([source]))
    shape = getattr(source, "shape", None)
    return shape[0] if shape is not None and len(shape) == 4 else 1


def _split(array: np.ndarray, is_hwc: bool) -> Iterator[Image.Image]:
    if array.ndim == 4:
        for single in array:
            yield from _split(single, is_hwc)
        return
    array = _as_bytes(array)
    if array.ndim == 3:
        first, last = array.shape[0] in (1, 3, 4), array.shape[2] in (1, 3, 4)
        if not first and not last:
            raise ImageError(f"an array of shape {array.shape} is no image; expected (H, W), (H, W, C) or (C, H, W) with C = 1, 3 "
                             "or 4")
        if first and not (last and is_hwc):
            array = array.transpose(1, 2, 0)
        array = array[:, :, 0] if array.shape[2] == 1 else array
    elif array.ndim != 2:
        raise ImageError(f"an array of shape {array.shape} is no image; expected 2 to 4 dimensions")
    if 0 in array.shape:
        raise ImageError(f"an array of shape {array.shape} has no pixels")
    yield Image.fromarray(np.ascontiguousarray(array))


def _as_bytes(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8 or not array.size:
        return array.astype(np.uint8)
    if array.dtype.kind not in "fiu":
        raise ImageError(f"an array of {array.dtype} is no image; expected uint8, or numbers in 0..1 or 0..255")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 255:
        raise ImageError(f"the values of the array run from {low:g} to {high:g}, expected 0..255, or floating point in 0..1; if "
                         "they are normalised already, call the model itself")
    if array.dtype.kind == "f" and high <= 1:
        array = array * 255
    return np.rint(array).astype(np.uint8)


def require_images(source: Any) -> None:
    """Raise UsageError for None and empty lists."""
    if source is None or isinstance(source, (list, tuple)) and not source:
        raise UsageError("no images were given; pass a path, an address, a Pillow image, an array, a Tensor, or a list of these")
