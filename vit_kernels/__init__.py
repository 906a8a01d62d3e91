"""vit_kernels: Vision Transformer for MindSpore on hand-written fused kernels.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib

from vit_kernels._version import __version__

_LAZY = {
    "ViTConfig": "vit_kernels.models",
    "ViTModel": "vit_kernels.models",
    "ViTForImageClassification": "vit_kernels.models",
    "create_config": "vit_kernels.models",
    "ops": "vit_kernels.ops",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'vit_kernels' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    return module if name == "ops" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
