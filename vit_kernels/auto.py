"""AutoConfig, AutoModel, AutoProcessor: MindFormers' entry points that choose the class by name. There is one family here."""

from __future__ import annotations

import os
from typing import Any

from vit_kernels.models import ViTConfig, ViTForImageClassification
from vit_kernels.pretrained import show_support_list
from vit_kernels.processor import ViTProcessor


class _Auto:
    @classmethod
    def show_support_list(cls) -> None:
        """Print the names whose weights were published."""
        show_support_list(cls.__name__)

    @classmethod
    def get_support_list(cls) -> list[str]:
        """The names that `show_support_list` prints."""
        return ViTConfig.get_support_list()


class AutoConfig(_Auto):
    """Configurations by name or YAML file."""

    @classmethod
    def from_pretrained(cls, yaml_name_or_path: str | os.PathLike, **overrides: Any) -> ViTConfig:
        """See `ViTConfig.from_pretrained`."""
        return ViTConfig.from_pretrained(yaml_name_or_path, **overrides)


class AutoModel(_Auto):
    """Classifiers by name, path, address or configuration."""

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, **options: Any) -> ViTForImageClassification:
        """See `ViTForImageClassification.from_pretrained`."""
        return ViTForImageClassification.from_pretrained(name_or_path, **options)

    @classmethod
    def from_config(cls, config: ViTConfig | dict | str | os.PathLike, **options: Any) -> ViTForImageClassification:
        """A model of a configuration, a mapping of its fields, or a YAML file."""
        if isinstance(config, dict):
            config = ViTConfig(**config)
        elif not isinstance(config, ViTConfig):
            config = ViTConfig.from_pretrained(config)
        return ViTForImageClassification(config, **options)


class AutoProcessor(_Auto):
    """Processors by name or YAML file."""

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike) -> ViTProcessor:
        """See `ViTProcessor.from_pretrained`."""
        return ViTProcessor.from_pretrained(name_or_path)
