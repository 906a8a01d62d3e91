"""MINDIR files in a process that knows nothing of this package, against a plain float64 torch ViT."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.train import mind_ir_pb2, serialization

from tests.exporting._models import VARIANTS, close, expected, images_for, random_model
from vit_kernels import ViTModel
from vit_kernels.export import export

_RELOAD = """
import json, os, sys
import numpy as np
import mindspore as ms
ms.set_context(mode=ms.GRAPH_MODE)
for name in sorted(os.listdir()):
    if name.endswith(".mindir"):
        cell, images = ms.nn.GraphCell(ms.load(name)), np.load(name[:-7] + ".npy")
        np.savez(name[:-7] + ".npz", *[cell(ms.Tensor(images[:batch])).asnumpy() for batch in (1, 3, 8)])
assert not any(module.startswith("vit_kernels") for module in sys.modules)
"""
_CHOSEN = ("token", "wide_image", "all")


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory):
    """variant -> (model, images), after the files were loaded and run in a fresh process."""
    folder = tmp_path_factory.mktemp("mindir")
    made = {}
    for variant in _CHOSEN:
        model = random_model(**VARIANTS[variant])
        images = images_for(model)
        np.save(folder / f"{variant}.npy", images)
        export(model, folder / f"{variant}.mindir", check=False)
        made[variant] = model, images
    ran = subprocess.run([sys.executable, "-c", _RELOAD], cwd=folder, capture_output=True, text=True, timeout=300,
                         env={**os.environ, "GLOG_v": "3"})
    assert ran.returncode == 0, ran.stderr[-2000:]
    return folder, made


@pytest.mark.parametrize("variant", _CHOSEN)
def test_reloaded_in_a_fresh_process(reloaded, variant):
    folder, made = reloaded
    model, images = made[variant]
    wanted = expected(model, images)
    with np.load(folder / f"{variant}.npz") as arrays:
        for name, batch in zip(arrays.files, (1, 3, 8)):
            close(arrays[name], wanted[:batch])


def test_fixed_batch_outputs_and_modes(mode):
    """Exported in either of MindSpore's modes; several outputs; the context is left as it was."""
    model = random_model(ViTModel, reg_tokens=1)
    before = ms.get_context("jit_syntax_level")
    done = export(model, "model.mindir", batch=2, returns=("tokens", "features"))
    assert ms.get_context("jit_syntax_level") == before
    assert ms.get_context("mode") == (ms.GRAPH_MODE if mode == "graph" else ms.PYNATIVE_MODE)
    assert done["max_abs_error"] < 1e-5 and "opset" not in done
    assert [o["shape"] for o in done["outputs"]] == [[2, 11, 32], [2, 32]]
    proto = read("model.mindir")
    assert [d for d in proto.graph.input[0].tensor[0].dims] == [2, 3, 24, 24]


def read(path):
    proto = mind_ir_pb2.ModelProto()
    with open(path, "rb") as file:
        proto.ParseFromString(file.read())
    return proto


def test_notes():
    export(random_model(), "model.mindir", check=False)
    proto = read("model.mindir")
    assert json.loads(proto.user_info["config"])["depth"] == 2
    assert proto.producer_name == "vit_kernels"
    assert proto.graph.input[0].name.rpartition(":")[2] == "images"


def test_the_graph_has_stock_operators_only():
    export(random_model(), "model.mindir", check=False)
    kinds = {primitive.op_type for primitive in read("model.mindir").primitives}
    assert {"Erf", "LayerNorm", "BatchMatMul", "Softmax"} <= kinds and "Custom" not in kinds
    export(random_model(hidden_act="gelu_tanh"), "model.mindir", check=False)
    assert "Erf" not in {primitive.op_type for primitive in read("model.mindir").primitives}


@pytest.mark.parametrize("name", ["model", "odd name äß"])
def test_parameters_beside_the_graph(monkeypatch, name):
    """What MindSpore does above 1 GB, with its limit lowered; twice, over the files of the first time; then moved."""
    monkeypatch.setattr(serialization, "TOTAL_SAVE", 1)
    model = random_model()
    export(random_model(seed=1), f"a folder/{name}.mindir", check=False)
    done = export(model, f"a folder/{name}.mindir", check=False)
    variables = "model_variables" if name == "model" else "odd_name____variables"
    assert sorted(os.listdir("a folder")) == sorted([f"{name}.mindir", variables])
    written = sorted([f"{name}.mindir", f"{variables}/data_0"])
    assert sorted(os.path.relpath(file, "a folder") for file in done["files"]) == written
    os.rename("a folder", "moved")
    images = images_for(model)
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        got = nn.GraphCell(ms.load(f"moved/{name}.mindir"))(Tensor(images)).asnumpy()
    finally:
        ms.set_context(mode=mode)
    close(got, expected(model, images))
