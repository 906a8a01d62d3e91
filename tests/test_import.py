"""Importing the package: nothing until it is used, and nothing heavy beyond MindSpore then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                         env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ran.returncode == 0, ran.stderr[-2000:]
    return set(ran.stdout.split())


def test_the_package_alone_loads_nothing():
    assert not _modules_after("import vit_kernels") & {"mindspore", "numpy", "torch", "PIL", "yaml", "matplotlib"}


def test_the_classes_need_mindspore_and_no_more():
    """Whatever MindSpore itself imports is not counted."""
    extra = _modules_after("from vit_kernels import ViTForImageClassification, ViTConfig") - _modules_after("import mindspore")
    assert extra <= {"vit_kernels"} | set(sys.stdlib_module_names), extra


def test_parsing_arguments_needs_no_mindspore():
    for command in ("info", "benchmark", "train"):
        assert "mindspore" not in _modules_after(f"import vit_kernels.{command}")
