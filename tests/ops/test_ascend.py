"""The Ascend half of the wrappers against a stand-in toolkit: what MindSpore is asked to call, on a CPU.

No NPU is involved. MindSpore is told that its device target is Ascend and then builds its own caller for every aclnn
interface; the headers it reads are made from the operators' descriptions as CANN's generator would write them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import mindspore as ms
import pytest
from mindspore import ops

from vit_kernels._version import __version__
from vit_kernels.ops import NativeLibraryError, _ascend, resolve_backend
from vit_kernels.ops._kernels import KERNELS

C_TYPES = {"float": "double", "bool": "bool", "int": "int64_t"}


def header(kernel) -> str:
    """The aclnn header of an operator: tensors, attributes, outputs, workspace size, executor."""
    arguments = [f"const aclTensor *{name}" for name in kernel.inputs]
    arguments += [f"{C_TYPES[kind]} {name}" for name, kind in kernel.attrs]
    arguments += [f"const aclTensor *{name}" for name in kernel.outputs]
    arguments += ["uint64_t *workspaceSize", "aclOpExecutor **executor"]
    return (f"__attribute__((visibility(\"default\")))\naclnnStatus aclnn{kernel.type}GetWorkspaceSize(\n    "
            + ",\n    ".join(arguments) + ");\n")


@pytest.fixture
def npu(tmp_path, monkeypatch):
    """A vendor folder on ASCEND_CUSTOM_OPP_PATH, a toolkit's include folder, and a MindSpore that believes in an NPU."""
    vendor = tmp_path / "vendors/vit_kernels"
    include = vendor / "op_api/include"
    include.mkdir(parents=True)
    (vendor / "vit_kernels.json").write_text(json.dumps({"version": __version__, "cann": "8.5.0"}))
    for kernel in KERNELS.values():
        (include / f"aclnn_{kernel.name}.h").write_text(header(kernel))
    toolkit = tmp_path / "toolkit"
    (toolkit / "include/acl").mkdir(parents=True)
    (toolkit / "opp").mkdir()
    (toolkit / "include/acl/acl_base.h").write_text(
        "#pragma once\n#include <cstdint>\n#include <cstddef>\nenum aclDataType { ACL_FLOAT };\n")
    monkeypatch.setenv("ASCEND_OPP_PATH", str(toolkit / "opp"))
    monkeypatch.setenv("ASCEND_CUSTOM_OPP_PATH", f"{vendor}:/elsewhere")
    monkeypatch.setattr(_ascend, "_VENDOR", vendor)
    real = ms.context.get_context

    def get_context(key):
        return "Ascend" if key == "device_target" else real(key)

    monkeypatch.setattr(ms.context, "get_context", get_context)
    monkeypatch.setattr(ms, "get_context", get_context)
    return vendor


def test_backend_is_chosen_by_device(npu):
    assert resolve_backend("auto") == "ascend"
    assert resolve_backend("fused") == "ascend"


def test_missing_package(npu, monkeypatch):
    (npu / "vit_kernels.json").unlink()
    with pytest.raises(NativeLibraryError, match="not part of this installation.*VIT_KERNELS_ASCEND=ON"):
        resolve_backend("ascend")


def test_package_of_another_version(npu):
    (npu / "vit_kernels.json").write_text(json.dumps({"version": "0.0.1"}))
    with pytest.raises(NativeLibraryError, match=f"version 0.0.1, the Python package is {re.escape(__version__)}"):
        resolve_backend("ascend")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_unreadable_description(npu, text):
    (npu / "vit_kernels.json").write_text(text)
    with pytest.raises(NativeLibraryError, match="cannot be read"):
        resolve_backend("ascend")


def test_search_path_changed_after_import(npu, monkeypatch):
    monkeypatch.setenv("ASCEND_CUSTOM_OPP_PATH", "/elsewhere")
    with pytest.raises(NativeLibraryError, match="ASCEND_CUSTOM_OPP_PATH no longer names"):
        resolve_backend("ascend")


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_mindspore_builds_a_caller(npu, name):
    """The primitive's own reading of the header: number and types of arguments, attributes as numbers behind them."""
    kernel = KERNELS[name]
    attrs = {key: {"float": 0.5, "bool": True, "int": 1}[kind] for key, kind in kernel.attrs}
    operator = _ascend.Operator("ascend", name, **attrs)
    assert operator.extra == tuple(attrs.values())
    primitive = operator.primitive(lambda *s: s[0], lambda *t: t[0])
    assert isinstance(primitive, ops.Custom)
    assert primitive.func == f"aclnn{kernel.type}"
    expected = ["aclTensor*"] * len(kernel.inputs) + [C_TYPES[kind] for _, kind in kernel.attrs]
    expected += ["aclTensor*"] * len(kernel.outputs)
    assert list(primitive.get_attr_dict()["custom_inputs_type"]) == expected
    library = primitive.get_attr_dict()["custom_callback_func"].split(":")[0]
    assert Path(library).exists()
    assert primitive.multi_output == (len(kernel.outputs) > 1)


def test_attributes_are_checked():
    with pytest.raises(TypeError, match="vit_attention takes the attributes"):
        _ascend.Operator("ascend", "vit_attention", eps=1.0)
