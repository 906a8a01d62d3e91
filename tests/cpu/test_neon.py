"""The NEON build: cross-compiled and checked under emulation, where the tools for that are installed."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "test-neon.sh"


@pytest.mark.skipif(
    platform.machine() == "aarch64", reason="this machine runs the NEON kernels in the other tests"
)
@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-g++") and shutil.which("qemu-aarch64")),
    reason="needs g++-aarch64-linux-gnu and qemu-user",
)
def test_self_check_under_emulation(tmp_path):
    done = subprocess.run([_SCRIPT, tmp_path], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "neon" in done.stdout and ", 0 failures" in done.stdout
