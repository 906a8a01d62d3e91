"""From what a user names to image files: paths, glob patterns, folders, addresses."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Iterable

from vit_kernels.data.folder import list_images
from vit_kernels.download import is_address
from vit_kernels.errors import UsageError


def expand(sources: Iterable[str | Path]) -> list[str]:
    """Paths and addresses of image files, each once, in the order given; the contents of folders and patterns are sorted.

    A path that is named outright is taken whatever its ending; folders give the files that are named like images.

    Raises:
        UsageError: a path that does not exist, a pattern without match, a folder without images.
    """
    found: dict[str, None] = {}
    for source in map(str, sources):
        if is_address(source):
            files = [source]
        elif Path(source).is_dir():
            files = list_images(source)
            if not files:
                raise UsageError(f"the folder {source} has no images in it")
        elif Path(source).exists():
            files = [source]
        elif glob.has_magic(source):
            matches = sorted(glob.glob(source, recursive=True))
            files = [f for match in matches for f in (list_images(match) if Path(match).is_dir() else [match])]
            if not files:
                raise UsageError(f"nothing matches {source}; quote patterns that the shell should leave alone")
        else:
            raise UsageError(f"{source} does not exist; give image files, addresses, folders or patterns such as 'photos/*.jpg'")
        found.update(dict.fromkeys(files))
    return list(found)
