"""load_image: one image from a file, an address or memory."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from vit_kernels.data.decode import open_image
from vit_kernels.data.inputs import fetch_image, to_images
from vit_kernels.download import is_address


def load_image(content: Any, timeout: float = 4.0) -> Any:
    """Load an image as RGB, turned as its EXIF flag says.

    Args:
        content: a path, an http(s) address, a Pillow image, an array (H, W, C) or (C, H, W); a MindSpore Tensor is returned
            as it is.
        timeout: seconds to wait for an address.

    Returns:
        A Pillow image in mode 'RGB', or the Tensor.

    Raises:
        ImageError: a ValueError; missing, or not an image.
        ConnectionError: the address does not answer.
        TypeError: something else.
    """
    if is_address(content):
        return fetch_image(content, timeout=timeout)
    if isinstance(content, (str, os.PathLike)):
        return open_image(content)
    if hasattr(content, "asnumpy"):
        return content
    if isinstance(content, Image.Image) or hasattr(content, "shape"):
        images = to_images(content)
        if len(images) != 1:
            raise ValueError(f"content has {len(images)} images, expected one")
        return images[0]
    raise TypeError(f"content is {type(content).__name__}, expected a path, an address, a Pillow image, an array or a Tensor")
