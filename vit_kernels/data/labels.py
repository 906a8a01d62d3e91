"""Names of classes: ImageNet's, and those of a file."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

from vit_kernels.errors import UsageError


@functools.lru_cache(maxsize=None)
def imagenet_synsets() -> tuple[tuple[str, str], ...]:
    """(WordNet id, all its names) of the 1,000 classes of ImageNet-1k, in their usual order."""
    text = resources.files("vit_kernels.data").joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    return tuple(tuple(line.split("\t", 1)) for line in text.splitlines())


def imagenet_labels() -> list[str]:
    """The first name of each class. Two names stand for two classes each (crane, maillot): keep the index beside them."""
    return [names.split(",")[0] for _, names in imagenet_synsets()]


def read_labels(path: str | Path, count: int) -> list[str]:
    """Names from a text file, one class a line.

    Args:
        path: the file.
        count: how many classes the model has.

    Raises:
        UsageError: unreadable, or another number of lines.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"labels file {path} cannot be read ({error}); expected text with one class name a line") from error
    names = [line.strip() for line in lines if line.strip()]
    if len(names) != count:
        raise UsageError(f"labels file {path} has {len(names)} names, the model has {count} classes; give one name a line in "
                         "the order of the model's outputs")
    return names
