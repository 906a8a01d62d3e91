"""Stand-in CANN toolkits: the files that a build looks at, and tools that write down what they are asked to do."""

from __future__ import annotations

import json
from pathlib import Path

# What both flows leave: an installer that, like the real one, unpacks vendors/<vendor> below --install-path.
_INSTALLER = """#!/bin/bash
for argument in "$@"; do case $argument in --install-path=*) target=${argument#--install-path=};; esac; done
mkdir -p "$target/vendors/vit_kernels/op_api/lib"
cp -r PAYLOAD "$target/vendors/vit_kernels/received"
touch "$target/vendors/vit_kernels/op_api/lib/libcust_opapi.so"
"""

_ASC_CONFIG = """
set(ASC_FOUND TRUE)
if(NOT IS_DIRECTORY "$ENV{ASCEND_HOME_PATH}/compiler/tikcpp/ascendc_kernel_cmake")  # where the real one includes from
  message(FATAL_ERROR "ASCEND_HOME_PATH is '$ENV{ASCEND_HOME_PATH}', not the toolkit")
endif()
foreach(name npu_op_package npu_op_code_gen npu_op_library npu_op_kernel_sources npu_op_kernel_options
             npu_op_kernel_library npu_op_package_add)
  file(WRITE "${CMAKE_BINARY_DIR}/${name}.cmake"
       "function(${name})\\nfile(APPEND \\"${CMAKE_BINARY_DIR}/calls.txt\\" \\"${name} \\${ARGN}\\\\n\\")\\nendfunction()\\n")
  include("${CMAKE_BINARY_DIR}/${name}.cmake")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/calls.txt" "units ${ASCEND_COMPUTE_UNIT}\\n")
add_custom_target(package COMMAND bash "${CMAKE_CURRENT_LIST_DIR}/package.sh" "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
"""

# CPack stages the installer in a folder of its name.
_PACKAGE = """#!/bin/bash
set -e
staging="$2/_CPack_Packages/Linux/External/custom_opp_debian_x86_64.run"
mkdir -p "$staging"
echo "exit 1" > "$staging/custom_opp_debian_x86_64.run"
cp "$2/calls.txt" "$1/calls.txt"
sed "s#PAYLOAD#$1#" "$(dirname "$0")/installer.sh" > "$2/custom_opp_debian_x86_64.run"
"""

_BUILD = """#!/bin/bash
set -e
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/build_out"
sed "s#PAYLOAD#$here#" INSTALLER > "$here/build_out/custom_opp_debian_x86_64.run"
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_toolkit(root: Path, version: str, flow: str) -> Path:
    """A toolkit of `version` that builds op packages by `flow`: 'functions', 'template' or 'none'."""
    _write(root / "compiler/version.info", f"Version={version}\ntimestamp=20260101\n")
    _write(root / "installer.sh", _INSTALLER)
    if flow == "functions":
        folder = root / "compiler/tikcpp/ascendc_kernel_cmake"
        _write(folder / "ASCConfig.cmake", _ASC_CONFIG)
        _write(folder / "package.sh", _PACKAGE)
        _write(folder / "installer.sh", _INSTALLER)
    elif flow == "template":
        folder = root / "tools/op_project_templates/ascendc"
        unit = {"type": "STRING", "value": "ascend310p"}
        presets = {"version": 1, "configurePresets": [{"name": "default", "cacheVariables": {
            "ASCEND_COMPUTE_UNIT": unit, "ASCEND_CANN_PACKAGE_PATH": {"type": "PATH", "value": "/elsewhere"},
            "vendor_name": {"type": "STRING", "value": "customize"}}}]}
        _write(folder / "customize/CMakePresets.json", json.dumps(presets))
        _write(folder / "customize/build.sh", _BUILD.replace("INSTALLER", str(root / "installer.sh")))
        _write(folder / "customize/op_host/add_custom.cpp", "// the template's own sample")
        _write(folder / "customize/op_host/CMakeLists.txt", "# the template's")
        _write(folder / "customize/op_kernel/add_custom.cpp", "// the template's own sample")
        _write(folder / "customize/op_kernel/CMakeLists.txt", "add_kernels_compile()")
        _write(folder / "common/func.cmake", "# shared by the toolkit's templates")
    return root
