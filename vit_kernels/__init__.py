"""vit_kernels: Vision Transformer for MindSpore on hand-written fused kernels.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
import os

from vit_kernels._version import __version__

_LAZY = {
    "ViTConfig": "vit_kernels.models",
    "ViTModel": "vit_kernels.models",
    "ViTForImageClassification": "vit_kernels.models",
    "create_config": "vit_kernels.models",
    "AutoConfig": "vit_kernels.auto",
    "AutoModel": "vit_kernels.auto",
    "AutoProcessor": "vit_kernels.auto",
    "ViTImageProcessor": "vit_kernels.processor",
    "ViTProcessor": "vit_kernels.processor",
    "MindFormerBook": "vit_kernels.mindformer_book",
    "Trainer": "vit_kernels.trainer",
    "TrainingArguments": "vit_kernels.training_arguments",
    "ops": "vit_kernels.ops",
}

__all__ = ["__version__", *_LAZY]


def _announce_op_package() -> None:
    """Put the Ascend C op package, where this installation has one, on the path that CANN and MindSpore search.

    It has to be there before MindSpore loads its operator libraries.
    """
    vendor = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vendors", "vit_kernels")
    known = [path for path in os.environ.get("ASCEND_CUSTOM_OPP_PATH", "").split(":") if path]
    if os.path.isdir(vendor) and vendor not in known:
        os.environ["ASCEND_CUSTOM_OPP_PATH"] = ":".join([vendor, *known])


def _shorten_idle_spinning() -> None:
    """Let GNU OpenMP's idle threads sleep after some 25 microseconds rather than milliseconds, unless the user chose.

    Between two kernels MindSpore's own threads need the cores: models whose kernels take about a millisecond train 1.4
    times faster so, large ones neither faster nor slower. libgomp reads this once, when it is loaded, which MindSpore does.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = "2000"


_announce_op_package()
_shorten_idle_spinning()


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'vit_kernels' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    return module if name == "ops" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
