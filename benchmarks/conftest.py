"""GRAPH_MODE, a directory that is thrown away, and the two options of every suite."""

from __future__ import annotations

import os

os.environ.setdefault("GLOG_v", "3")

import pytest


def pytest_addoption(parser):
    group = parser.getgroup("vit_kernels")
    group.addoption("--model", default="vit_base_p16", help="the model whose shapes are timed")
    group.addoption("--rounds", type=int, default=10, help="timed calls per case")


@pytest.fixture(autouse=True)
def _graph_mode(tmp_path, monkeypatch):
    import mindspore as ms

    monkeypatch.chdir(tmp_path)
    ms.set_device("CPU")
    ms.set_context(mode=ms.GRAPH_MODE)


@pytest.fixture
def config(request):
    """The model's configuration, nothing dropped."""
    from vit_kernels import create_config

    return create_config(request.config.getoption("--model"), drop_path_rate=0.0)
