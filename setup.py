"""Build script: lets CMake compile the native code and puts the results inside the package.

`CMakeLists.txt` is the only description of the native build; this file only says where the results go:
into the wheel's tree for an ordinary build, into the checkout for an editable one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "vit_kernels/_version.py").read_text()).group(1)


class CMakeBuild(build_ext):
    """Run CMake once for all native targets."""

    def run(self) -> None:
        package = (ROOT if self.inplace else Path(self.build_lib).resolve()) / "vit_kernels"
        build = Path(self.build_temp).resolve() / "cmake"
        build.mkdir(parents=True, exist_ok=True)
        configure = [
            "cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DVIT_KERNELS_VERSION={VERSION}",
            f"-DVIT_KERNELS_LIB_DIR={package / '_lib'}",
            f"-DVIT_KERNELS_PKG_DIR={package}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DPython3_EXECUTABLE={sys.executable}",  # csrc/twin asks for Python3; installing again found another one
            "-DPYBIND11_FINDPYTHON=ON",
            f"-Dpybind11_DIR={_pybind11_cmake_dir()}",
        ]
        if "VIT_KERNELS_ASCEND" in os.environ:
            configure.append(f"-DVIT_KERNELS_ASCEND={os.environ['VIT_KERNELS_ASCEND']}")
        configure += os.environ.get("CMAKE_ARGS", "").split()
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(build)], check=True)

    def get_outputs(self) -> list[str]:
        package = Path(self.build_lib).resolve() / "vit_kernels"
        return [str(p) for pattern in ("_lib/*.so", "_native*.so") for p in package.glob(pattern)]


def _pybind11_cmake_dir() -> str:
    import pybind11

    return pybind11.get_cmake_dir()


# The extension object only tells setuptools that the wheel is platform specific.
setup(version=VERSION, ext_modules=[Extension("vit_kernels._native", sources=[])], cmdclass={"build_ext": CMakeBuild})
