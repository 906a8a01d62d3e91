"""The choice of backend: argument, environment, device, what is built; and that no fallback is silent."""

from __future__ import annotations

import logging
import shutil

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from vit_kernels import ops
from vit_kernels._version import __version__
from vit_kernels.ops import NativeLibraryError, _backend, _library, resolve_backend


@pytest.fixture(autouse=True)
def _cpu(monkeypatch):
    ms.set_device("CPU")
    monkeypatch.delenv("VIT_KERNELS_BACKEND", raising=False)


@pytest.fixture
def library_at(tmp_path, monkeypatch):
    """Makes the package look for its kernels at a path of the test's own; as in a new process, nothing is loaded yet."""
    _library.library.cache_clear()
    _backend.notice.cache_clear()
    path = tmp_path / "libvit_cpu.so"
    monkeypatch.setattr(_library, "_LIBRARY", path)
    yield path
    monkeypatch.undo()
    _library.library.cache_clear()
    _backend.notice.cache_clear()


@pytest.mark.parametrize("requested, expected", [(None, "cpu"), ("auto", "cpu"), ("fused", "cpu"), ("cpu", "cpu"),
                                                 ("reference", "reference")])
def test_argument(requested, expected):
    assert resolve_backend(requested) == expected


@pytest.mark.parametrize("value, requested, expected", [
    ("reference", None, "reference"), ("reference", "auto", "reference"), ("fused", None, "cpu"), ("auto", None, "cpu"),
    ("", None, "cpu"),
    ("reference", "fused", "cpu"), ("fused", "reference", "reference"),  # the argument wins
])
def test_environment(monkeypatch, value, requested, expected):
    monkeypatch.setenv("VIT_KERNELS_BACKEND", value)
    assert resolve_backend(requested) == expected
    assert ops.LinearOp(requested).backend == expected


def test_unknown_names(monkeypatch):
    with pytest.raises(ValueError, match="backend='gpu' is not a backend: expected one of auto, fused, reference"):
        resolve_backend("gpu")
    monkeypatch.setenv("VIT_KERNELS_BACKEND", "fsat")
    with pytest.raises(ValueError, match="VIT_KERNELS_BACKEND='fsat' is not a backend"):
        resolve_backend()


def test_another_devices_backend():
    with pytest.raises(ValueError, match=r"'ascend' does not fit .*'CPU'.*set_device\('Ascend'\)"):
        resolve_backend("ascend")


def test_missing_library(library_at, caplog):
    with caplog.at_level(logging.WARNING, "vit_kernels"):
        assert resolve_backend("auto") == "reference"
        assert resolve_backend("auto") == "reference"
    assert len(caplog.records) == 1, "the notice comes once"
    message = caplog.records[0].getMessage()
    assert "\n" not in message
    assert "all operators" in message and "reference" in message and "libvit_cpu.so is missing" in message
    for requested in ("fused", "cpu"):
        with pytest.raises(NativeLibraryError, match="not built.*pip install"):
            resolve_backend(requested)


def test_operators_without_a_library(library_at):
    """auto computes all the same, on stock operators."""
    op = ops.LinearOp("auto")
    assert op.backend == "reference"
    assert op(Tensor(np.ones((2, 3), np.float32)), Tensor(np.ones((4, 3), np.float32))).asnumpy().tolist() == [[3.0] * 4] * 2


def test_library_of_another_version(library_at):
    stale = "9" * len(__version__)
    image = (_library.Path(_library.__file__).parent.parent / "_lib" / "libvit_cpu.so").read_bytes()
    assert image.count(__version__.encode() + b"\0") == 1
    library_at.write_bytes(image.replace(__version__.encode() + b"\0", stale.encode() + b"\0"))
    with pytest.raises(NativeLibraryError, match=f"version {stale}, the Python package is {__version__}. Reinstall"):
        resolve_backend("fused")


@pytest.mark.parametrize("content", [b"", b"not a library\n"])
def test_library_that_is_none(library_at, content):
    library_at.write_bytes(content)
    with pytest.raises(NativeLibraryError, match="cannot load the CPU kernels.*Reinstall"):
        resolve_backend("fused")


def test_library_without_the_entry_points(library_at):
    """A shared library, but another one."""
    import ctypes.util

    name = ctypes.util.find_library("m")
    with open("/proc/self/maps") as maps:
        found = [line.split()[-1] for line in maps if name in line]
    if not found:
        pytest.skip("libm is not mapped under its own name here")
    shutil.copyfile(found[0], library_at)
    with pytest.raises(NativeLibraryError, match="cannot load the CPU kernels"):
        resolve_backend("fused")


def test_the_notice_names_operator_and_reason(caplog):
    """head_dim beyond the kernels' limit: that operator alone runs on stock operators and says so, once."""
    _backend.notice.cache_clear()
    op = ops.AttentionOp(152, None, "cpu")
    x = Tensor(np.random.default_rng(0).standard_normal((1, 3, 3, 1, 152)).astype(np.float32))
    with caplog.at_level(logging.WARNING, "vit_kernels"):
        got = op(x)
        op(x)
    assert (got.asnumpy() == ops.AttentionOp(152, None, "reference")(x).asnumpy()).all()
    assert [r.getMessage() for r in caplog.records] == [
        "vit_kernels: attention: using the reference backend: head_dim 152 is over the fused kernels' limit of 128"]
