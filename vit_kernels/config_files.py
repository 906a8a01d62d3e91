"""YAML files of configurations: MindFormers' layout, and the ones beside weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vit_kernels.checkpoint import Checkpoint

_MAX_YAML = 1 << 20
_MAX_NODES = 100_000


def config_fields(opened: Checkpoint) -> dict[str, Any]:
    """Fields of the model's configuration for an opened checkpoint: of the YAML file that `save_pretrained` put beside it
    where there is one, else `Checkpoint.config`."""
    beside = Path(opened.path).with_suffix(".yaml")
    return read_config(beside) if beside.is_file() else opened.config


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """The fields of `model.model_config` in a YAML file of MindFormers' layout; a plain mapping of fields is taken too.

    Raises:
        ValueError: not such a file.
    """
    document = read_yaml(path)
    model = document.get("model", document)
    fields = model.get("model_config", model) if isinstance(model, dict) else None
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise ValueError(f"{path} has no model.model_config; expected MindFormers' layout or a mapping of configuration fields")
    return dict(fields)


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """A YAML file whose top level is a mapping.

    Raises:
        ValueError: unreadable, too large, not YAML, or something else at the top.
    """
    import yaml  # here and below: importing the models must cost no more than MindSpore does

    try:
        if os.path.getsize(path) > _MAX_YAML:
            raise ValueError(f"{path} has {os.path.getsize(path):,} bytes, the limit for a configuration is {_MAX_YAML:,}")
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds {type(document).__name__}, expected a mapping")
    if _expands_beyond(document, _MAX_NODES):
        raise ValueError(f"{path} refers to itself, or repeats parts until it has more than {_MAX_NODES:,} values; it is no "
                         "configuration")
    return document


def _expands_beyond(document: Any, limit: int) -> bool:
    """Whether a document with its aliases written out has more than `limit` values: a few lines can stand for billions."""
    rest, count = [document], 0
    while rest:
        value = rest.pop()
        count += 1
        if count + len(rest) > limit:
            return True
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, (list, tuple, set)):
            rest.extend(value)
    return False
