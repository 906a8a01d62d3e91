"""Models: plain MindSpore cells that call the fused operators. Nothing here knows of training."""

from __future__ import annotations

from vit_kernels.models import vit

__all__ = ["ViTConfig", "ViTForImageClassification", "ViTModel", "count_macs", "count_parameters", "create_config",
           "model_names"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(vit, name)
