"""Shared fixtures: both execution modes, synchronous launches, and a working directory that is thrown away."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import platform

os.environ.setdefault("GLOG_v", "3")  # MindSpore's own warnings; errors stay visible

import pytest


@pytest.fixture(autouse=True)
def _scratch_directory(tmp_path, monkeypatch):
    """MindSpore drops rank_0/ and kernel_meta/ where it stands; tests must not litter the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _synchronous_launches():
    """PyNative's errors are otherwise reported by a later, unrelated operator. This can only be asked for before the
    first kernel of the process runs, whichever test that is in."""
    import mindspore as ms

    ms.set_device("CPU")
    ms.runtime.launch_blocking()


@pytest.fixture(params=["flushing", "rounding up"])
def odd_arithmetic(request):
    """A context in which the calling thread's floating-point unit is set as other libraries leave it: MindSpore's main
    thread flushes subnormals to zero."""
    @contextlib.contextmanager
    def flushing():
        import torch

        if not torch.set_flush_denormal(True):
            pytest.skip("this processor cannot flush subnormals to zero")
        try:
            yield
        finally:
            torch.set_flush_denormal(False)

    @contextlib.contextmanager
    def rounding_up():
        library = ctypes.CDLL(ctypes.util.find_library("m"))
        before = library.fegetround()
        upwards = {"x86_64": 0x800, "aarch64": 0x400000}.get(platform.machine())
        if upwards is None or library.fesetround(upwards):
            pytest.skip("FE_UPWARD of this processor is not known here")
        try:
            yield
        finally:
            library.fesetround(before)

    return flushing if request.param == "flushing" else rounding_up


@pytest.fixture(params=["pynative", "graph"])
def mode(request):
    """Run the test in both of MindSpore's modes."""
    import mindspore as ms

    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE if request.param == "graph" else ms.PYNATIVE_MODE)
    yield request.param
    ms.set_context(mode=before)


@pytest.fixture
def pynative_mode():
    """PYNATIVE_MODE for tests that need only one mode."""
    import mindspore as ms

    before = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=before)


@pytest.fixture
def graph_mode():
    """GRAPH_MODE for tests that need only one mode."""
    import mindspore as ms

    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    yield
    ms.set_context(mode=before)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """The output folder of a short training run on the digits; tests only read it."""
    from tests._commands import call, tiny_recipes
    from vit_kernels import train

    folder = tmp_path_factory.mktemp("digits") / "output" / "run"
    with tiny_recipes():
        ran = call(train.main, "--output", folder)
    assert ran.code == 0, ran.err
    return folder
