"""Importing the package: nothing until it is used, and nothing heavy beyond MindSpore then."""

from __future__ import annotations

import json
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


def _environment_after_import(**given: str) -> dict[str, str]:
    code = "import os, json, vit_kernels; print(json.dumps(dict(os.environ)))"
    environment = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True,
                         env={**environment, "PYTHONPATH": str(ROOT), **given})
    return json.loads(ran.stdout)


def test_idle_openmp_threads_spin_briefly_unless_the_user_chose():
    assert _environment_after_import()["GOMP_SPINCOUNT"] == "2000"
    assert _environment_after_import(GOMP_SPINCOUNT="7")["GOMP_SPINCOUNT"] == "7"
    assert "GOMP_SPINCOUNT" not in _environment_after_import(OMP_WAIT_POLICY="active")


def test_parsing_arguments_needs_no_mindspore():
    for command in ("info", "benchmark", "train"):
        assert "mindspore" not in _modules_after(f"import vit_kernels.{command}")
