"""Opening any image file as 8-bit RGB or grey, the way a person would see it, or saying clearly why not.

Pillow decodes; this module settles what Pillow leaves open: rotation flags are applied, transparency is laid over
white, 16-bit and floating-point greys are scaled instead of clipped, of an animation the first frame counts, CMYK is
converted, and files that are truncated, not images, or too large to decode safely raise `ImageError`.
"""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vit_kernels.errors import ImageError

# File name endings that count as images in a folder; matched in lower case.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")

# An RGB image of this many pixels takes half a gigabyte; larger files are refused before they are decoded.
MAX_PIXELS = 178_956_970

_MODES = {1: "L", 3: "RGB"}


def is_image_name(path: str | PathLike) -> bool:
    """Whether a file name ends like an image's."""
    return Path(path).suffix.lower() in EXTENSIONS


def open_image(source: str | PathLike | BinaryIO, channels: int = 3) -> Image.Image:
    """Decode one image.

    Args:
        source: a path or a binary file object.
        channels: 3 for RGB, 1 for grey.

    Returns:
        A decoded image in mode 'RGB' or 'L', its file closed.

    Raises:
        ImageError: missing, unreadable, truncated, not an image, or more than `MAX_PIXELS` pixels.
        ValueError: channels is neither 1 nor 3.
    """
    if channels not in _MODES:
        raise ValueError(f"channels={channels}: an image file has 3 (RGB) or 1 (grey)")
    name = str(source) if isinstance(source, (str, PathLike)) else getattr(source, "name", "image")
    try:
        with warnings.catch_warnings():
            # Pillow warns at half the size it refuses; the check below is the only limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ImageError(_too_large(name, f"{width} x {height} pixels"))
                return to_mode(_oriented(image), channels)
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name, "too many pixels")) from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not an image that Pillow can read; remove it, or convert it to JPEG or PNG") from None
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist; check the path") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder, expected an image file") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read; check its permissions") from None
    except ImageError:
        raise
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, MemoryError, IndexError, KeyError, OverflowError,
            ArithmeticError) as error:  # what Pillow's decoders raise for damaged files
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} is damaged or truncated ({reason}); remove it or copy it again") from error


def to_mode(image: Image.Image, channels: int) -> Image.Image:
    """An image of any Pillow mode as 'RGB' (channels 3) or 'L' (channels 1), transparency laid over white."""
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        image = _deep_grey(image)
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB").convert(_MODES[channels]) if image.mode not in _MODES.values() \
        else image.convert(_MODES[channels])


def _deep_grey(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and floating-point grey as 8-bit. Pillow's own conversion clips at 255, which makes photos white."""
    pixels = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = float(pixels.min()), float(pixels.max())
    if image.mode.startswith("I;16") or image.mode == "I" and low >= 0 and 255 < high < 65536:
        pixels = np.floor(pixels / 256)
    elif low < 0 or high > 255:
        pixels = (pixels - low) * (255 / (high - low))
    elif image.mode == "F" and high <= 1:
        pixels = np.round(pixels * 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _oriented(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF flag says; damaged EXIF data is no reason to refuse good pixels."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, ArithmeticError):
        return image


def _too_large(name: str, found: str) -> str:
    return f"{name} has {found}, the limit is {MAX_PIXELS:,}; make it smaller, it will be resized anyway"
