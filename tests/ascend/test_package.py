"""The build of the Ascend C op package, against stand-in toolkits that record what they are asked to do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.ascend._toolkit import make_toolkit

REPOSITORY = Path(__file__).resolve().parents[2]
ASCEND = REPOSITORY / "csrc/ascend"


def configure(tmp_path: Path, option: str, toolkit: Path | None, build: bool = False) -> subprocess.CompletedProcess:
    """Configures (and builds) csrc/ascend alone, into tmp_path/pkg/vendors."""
    project = tmp_path / "top"
    project.mkdir(exist_ok=True)
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(top LANGUAGES CXX)\n"
        f'set(VIT_KERNELS_VERSION "9.9.9")\nset(VIT_KERNELS_PKG_DIR "{tmp_path / "pkg"}")\n'
        f'add_subdirectory("{ASCEND}" ascend)\n')
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ASCEND_")}
    if toolkit:
        environment["ASCEND_HOME_PATH"] = str(toolkit)
    command = ["cmake", "-S", str(project), "-B", str(tmp_path / "build"), f"-DVIT_KERNELS_ASCEND={option}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if build and done.returncode == 0:
        done = subprocess.run(["cmake", "--build", str(tmp_path / "build")], capture_output=True, text=True,
                              env=environment)
    return done


def operators() -> list[str]:
    """Every operator by its kernel's name, from the sources."""
    return sorted(p.stem for p in ASCEND.glob("*/op_host/vit_*.cpp"))


def said(done: subprocess.CompletedProcess) -> str:
    """The output as one line: CMake wraps long messages."""
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


def test_auto_without_toolkit_is_one_status_line(tmp_path):
    done = configure(tmp_path, "AUTO", None)
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if "vit_kernels" in line]
    assert len(lines) == 1 and "skipped" in lines[0] and "/usr/local/Ascend" in lines[0]


def test_on_without_toolkit_says_where_it_looked(tmp_path):
    done = configure(tmp_path, "ON", tmp_path / "nowhere")
    assert done.returncode != 0
    assert "VIT_KERNELS_ASCEND=ON" in said(done)
    assert str(tmp_path / "nowhere") in said(done) and "set_env.sh" in said(done)


def test_off(tmp_path):
    done = configure(tmp_path, "OFF", make_toolkit(tmp_path / "cann", "8.5.0", "functions"))
    assert done.returncode == 0 and "left out" in done.stdout


def test_unknown_choice(tmp_path):
    done = configure(tmp_path, "MAYBE", None)
    assert done.returncode != 0 and "'MAYBE', expected AUTO, ON or OFF" in said(done)


def test_toolkit_too_old(tmp_path):
    toolkit = make_toolkit(tmp_path / "cann", "8.2.RC1", "template")
    done = configure(tmp_path, "ON", toolkit)
    assert done.returncode != 0 and "is 8.2, too old: 8.3 or newer" in said(done)
    assert configure(tmp_path, "AUTO", toolkit).returncode == 0


def test_version_file_without_version(tmp_path):
    toolkit = make_toolkit(tmp_path / "cann", "8.5.0", "functions")
    (toolkit / "compiler/version.info").write_text("nothing here\n")
    done = configure(tmp_path, "ON", toolkit)
    assert done.returncode != 0 and "does not say which version" in said(done)


def test_toolkit_without_means_to_build(tmp_path):
    done = configure(tmp_path, "ON", make_toolkit(tmp_path / "cann", "8.5.0", "none"), build=True)
    assert done.returncode != 0 and "neither the npu_op_* CMake functions nor the project template" in said(done)
    assert not (tmp_path / "pkg/vendors").exists()


def check_vendor(tmp_path: Path, cann: str) -> Path:
    """The installed package; returns what the toolkit received."""
    vendor = tmp_path / "pkg/vendors/vit_kernels"
    assert json.loads((vendor / "vit_kernels.json").read_text()) == {"version": "9.9.9", "cann": cann}
    assert (vendor / "op_api/lib/libcust_opapi.so").exists()
    received = vendor / "received"
    for kind in ("op_host", "op_kernel"):
        assert sorted(p.stem for p in (received / kind).glob("*.cpp")) == operators()
        for source in (received / kind).glob("*.cpp"):
            text = source.read_text()
            local = re.findall(r'#include "((?:common|[a-z_]+)/(?!op_def|platform)[^"]+)"', text)
            assert all("platform_ascendc" in name or "op_def_registry" in name for name in local), source
            assert str(REPOSITORY) not in text
    return received


def test_functions_flow(tmp_path):
    toolkit = make_toolkit(tmp_path / "cann", "9.1.0", "functions")
    done = configure(tmp_path, "AUTO", toolkit, build=True)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = (check_vendor(tmp_path, "9.1.0") / "calls.txt").read_text().splitlines()
    assert calls[0] == "units ascend910b;ascend910_93"
    kernels = [c for c in calls if c.startswith("npu_op_kernel_sources")]
    expected = ["".join(word.capitalize() for word in name.split("_")) for name in operators()]
    assert [re.search(r"OP_TYPE;(\w+);KERNEL_FILE;(\w+)\.cpp", k).groups() for k in kernels] == \
        list(zip(expected, operators()))
    for call in ("npu_op_package vit_kernels;TYPE;RUN", "npu_op_code_gen SRC;", "npu_op_library cust_optiling;TILING;",
                 "npu_op_library cust_op_proto;GRAPH;", "npu_op_library cust_opapi;ACLNN",
                 "npu_op_kernel_options ascendc_kernels;ALL;OPTIONS;--cce-auto-sync=off",
                 "npu_op_kernel_library ascendc_kernels;SRC_BASE;", "npu_op_package_add vit_kernels;LIBRARY;ascendc_kernels"):
        assert any(c.startswith(call) for c in calls), call


def test_template_flow(tmp_path):
    toolkit = make_toolkit(tmp_path / "cann", "8.3.RC1", "template")
    done = configure(tmp_path, "ON", toolkit, build=True)
    assert done.returncode == 0, done.stdout + done.stderr
    received = check_vendor(tmp_path, "8.3.RC1")
    variables = json.loads((received / "CMakePresets.json").read_text())["configurePresets"][0]["cacheVariables"]
    assert {k: v["value"] for k, v in variables.items()} == {
        "ASCEND_COMPUTE_UNIT": "ascend910b;ascend910_93", "ASCEND_CANN_PACKAGE_PATH": str(toolkit),
        "vendor_name": "vit_kernels"}
    assert "--cce-auto-sync=off" in (received / "op_kernel/CMakeLists.txt").read_text()
    assert (received / "op_host/CMakeLists.txt").read_text() == "# the template's"
    assert (received / "cmake/util/func.cmake").exists()


def test_rebuild_replaces_the_package(tmp_path):
    toolkit = make_toolkit(tmp_path / "cann", "8.5.0", "functions")
    stale = tmp_path / "pkg/vendors/vit_kernels/stale.txt"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier build")
    assert configure(tmp_path, "ON", toolkit, build=True).returncode == 0
    assert not stale.exists()
