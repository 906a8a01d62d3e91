"""The Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929).

Names are loaded when they are first used: configurations are needed where MindSpore, which takes seconds to load, is not.
"""

from __future__ import annotations

import importlib

_LAZY = {
    "ViTConfig": "config",
    "ViTForImageClassification": "model",
    "ViTModel": "model",
    "attention_rollout": "inspection",
    "class_token_map": "inspection",
    "count_macs": "statistics",
    "count_parameters": "statistics",
    "create_config": "config",
    "model_names": "config",
}

__all__ = list(_LAZY)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
