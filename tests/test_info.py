"""python -m vit_kernels.info: what it says, as text and as JSON, when all is well and when it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from vit_kernels import _cli, info
from vit_kernels._version import __version__
from vit_kernels.ops import _library

ROOT = Path(__file__).resolve().parents[1]


def _run(*arguments, **environment):
    return subprocess.run([sys.executable, "-m", "vit_kernels.info", *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("VIT_KERNELS_BACKEND", "ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(info, "_CANN_DEFAULTS", ())


def test_json(capsys):
    assert _cli.run(info.main, ["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"] == {"vit_kernels": __version__, "mindspore": ms.__version__, "numpy": np.__version__,
                                 "python": ".".join(map(str, sys.version_info[:3]))}
    flags = Path("/proc/cpuinfo").read_text()
    assert ("avx2" in found["cpu_kernels"]["isas_found"]) == (" avx2 " in flags and " fma " in flags)
    assert ("avx512" in found["cpu_kernels"]["isas_found"]) == (" avx512vl " in flags)
    assert found["cpu_kernels"]["isa"] in found["cpu_kernels"]["isas_found"]
    assert found["cpu_kernels"]["threads"] >= 1
    assert found["backend"] == {"requested": "auto", "environment": None, "device_target": "CPU", "backend": "cpu"}
    assert found["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert found["ascend"]["cann"] is None


def test_text(capsys):
    assert _cli.run(info.main, ["--backend", "reference"]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["vit_kernels"].strip() == __version__
    assert "reference (requested reference, device target CPU)" in lines["backend"]
    assert f"using {_library.isa()}" in lines["instruction sets"]
    assert lines["CANN"].strip() == "not found"


def test_instruction_set_threads_and_environment_of_a_process():
    ran = _run("--json", VIT_KERNELS_ISA="baseline", OMP_NUM_THREADS="3", VIT_KERNELS_BACKEND="reference")
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    assert found["cpu_kernels"]["isa"] == "baseline" and found["cpu_kernels"]["threads"] == 3
    assert found["backend"]["backend"] == "reference" and found["backend"]["environment"] == "reference"


def test_what_cannot_be_used_is_reported():
    ran = _run(VIT_KERNELS_ISA="mmx", VIT_KERNELS_BACKEND="gpu")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "cannot be used: VIT_KERNELS_ISA=mmx is not available" in ran.stdout
    assert "none: VIT_KERNELS_BACKEND='gpu' is not a backend" in ran.stdout
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("variable", ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"])
@pytest.mark.parametrize("text, version", [("Version=8.5.0\nversion_dir=x\n", "8.5.0"), ("", None)])
def test_cann_is_found(tmp_path, monkeypatch, variable, text, version):
    (tmp_path / "compiler").mkdir()
    (tmp_path / "compiler/version.info").write_text(text)
    monkeypatch.setenv(variable, str(tmp_path))
    assert info.find_cann() == {"path": str(tmp_path), "version": version}


def test_a_folder_that_is_no_toolkit_is_not_one(tmp_path, monkeypatch):
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path))
    assert info.find_cann() is None


def test_npus_are_the_drivers_device_files(monkeypatch):
    monkeypatch.setattr(info.glob, "glob", lambda pattern: ["/dev/davinci1", "/dev/davinci0"] if "davinci" in pattern else [])
    assert info.find_npus() == ["/dev/davinci0", "/dev/davinci1"]
    assert "/dev/davinci0, /dev/davinci1" in info._text(info.collect())


def test_wrong_use():
    ran = _run("--jsn")
    assert ran.returncode == 2 and "unrecognized arguments: --jsn" in ran.stderr
