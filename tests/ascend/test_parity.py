"""The Ascend C sources against the public interface of CANN, and their three descriptions against each other.

CANN's headers are not here; csrc/ascend/parity declares the part of them that the sources use, with its exact types, for
toolkits 8 and 9. The sources are parsed against it as the device compiler would see them, each core half apart.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vit_kernels.ops._kernels import KERNELS

REPOSITORY = Path(__file__).resolve().parents[2]
ASCEND = REPOSITORY / "csrc/ascend"
OPERATORS = sorted(p.stem for p in ASCEND.glob("*/op_host/vit_*.cpp"))
COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")


def source(kind: str, name: str) -> Path:
    """op_host or op_kernel source of an operator."""
    return next(ASCEND.glob(f"*/{kind}/{name}.cpp"))


@pytest.mark.parametrize("kind", ["op_kernel", "op_host"])
@pytest.mark.parametrize("name", OPERATORS)
def test_sources_parse_against_the_public_interface(name, kind):
    done = subprocess.run(["bash", str(ASCEND / "parity/check.sh"), str(source(kind, name))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


def test_the_guard_notices_a_wrong_type(tmp_path):
    kernel = tmp_path / "op_kernel/vit_wrong.cpp"
    kernel.parent.mkdir()
    kernel.write_text('#include "kernel_operator.h"\nusing namespace AscendC;\n'
                      "__aicore__ inline void F(const LocalTensor<bfloat16_t>& t) { Exp(t, t, 16); }\n"
                      'extern "C" __global__ __aicore__ void vit_wrong(GM_ADDR x, GM_ADDR workspace, GM_ADDR tiling) {\n'
                      "  TPipe pipe;\n  TBuf<TPosition::VECCALC> b;\n  pipe.InitBuffer(b, 256);\n"
                      "  F(b.Get<bfloat16_t>());\n}\n")
    done = subprocess.run(["bash", str(ASCEND / "parity/check.sh"), str(kernel)], capture_output=True, text=True)
    assert done.returncode != 0 and "error" in done.stderr


def test_the_guard_notices_a_name_that_the_toolkit_has_too(tmp_path):
    """kernel_operator.h brings the advanced API along, with functions called Gelu and LayerNorm."""
    kernel = tmp_path / "op_kernel/vit_wrong.cpp"
    kernel.parent.mkdir()
    kernel.write_text('#include "kernel_operator.h"\nusing namespace AscendC;\n'
                      "class Gelu {};\n__aicore__ inline void F() { Gelu gelu; (void)gelu; }\n")
    done = subprocess.run(["bash", str(ASCEND / "parity/check.sh"), str(kernel)], capture_output=True, text=True)
    assert done.returncode != 0 and "Gelu" in done.stderr


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    """What each op_host source registers, by kernel name."""
    folder = tmp_path_factory.mktemp("definitions")
    found = {}
    for name in OPERATORS:
        program = folder / name
        # Static: the loader never sees the calls into CANN's run time, which nothing here makes.
        subprocess.run([COMPILER, "-std=c++17", "-O0", f'-DVIT_OP_HOST_SOURCE="{source("op_host", name)}"',
                        "-DVIT_CANN_MAJOR=8", "-I", str(ASCEND / "parity/host"), "-I", str(ASCEND),
                        str(ASCEND / "parity/host/dump.cpp"), "-o", str(program), "-static",
                        "-Wl,--unresolved-symbols=ignore-all"],
                       check=True)
        registered = json.loads(subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout)
        assert len(registered) == 1
        found[name] = registered[0]
    return found


def test_every_operator_has_its_wrapper():
    assert sorted(KERNELS) == OPERATORS


@pytest.mark.parametrize("name", OPERATORS)
def test_definition_kernel_and_wrapper_agree(name, definitions):
    definition, wrapper = definitions[name], KERNELS[name]
    assert definition["type"] == wrapper.type
    inputs, outputs = ([p["name"] for p in definition[kind]] for kind in ("inputs", "outputs"))
    assert (tuple(inputs), tuple(outputs)) == (wrapper.inputs, wrapper.outputs)
    assert [(a["name"], a["type"]) for a in definition["attrs"]] == list(wrapper.attrs)

    text = source("op_kernel", name).read_text()
    signature = re.search(r'extern "C" __global__ __aicore__ void (\w+)\(([^)]*)\)', text)
    assert signature[1] == name
    arguments = re.findall(r"GM_ADDR (\w+)", signature[2])
    assert arguments == [*inputs, *outputs, "workspace", "tiling"]
    assert re.search(r"KERNEL_TASK_TYPE_DEFAULT\(KERNEL_TYPE_\w+\);", text)


def test_no_input_has_the_name_of_a_generated_output(definitions):
    """The generated aclnn function calls the output of an operator that has one `out`, those of others `<name>Out`."""
    for name, definition in definitions.items():
        outputs = [p["name"] for p in definition["outputs"]]
        generated = ["out"] if len(outputs) == 1 else [f"{o}Out" for o in outputs]
        inputs = [re.sub(r"_(\w)", lambda m: m[1].upper(), p["name"]) for p in definition["inputs"]]
        assert not set(inputs) & set(generated), name


def amalgamated(name: str) -> str:
    """A kernel's source with all that it includes of this project."""
    return subprocess.run([sys.executable, "-c", "import pathlib, sys; sys.path.insert(0, sys.argv[1] + '/package'); "
                           "import amalgamate; print(amalgamate.amalgamate(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[1])))",
                           str(ASCEND), str(source("op_kernel", name))], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", OPERATORS)
def test_cores_that_wait_for_each_other_are_scheduled_together(name):
    """A kernel that calls SyncAll needs batch mode, or launches on two streams can wait for each other's cores."""
    assert ("SyncAll" in amalgamated(name)) == ("kWaitForEachOther" in source("op_host", name).read_text())


def host_functions(source: str) -> list[str]:
    """The heads of the functions of a device source that are not marked as the device's."""
    source = re.sub(r"//[^\n]*|^\s*#[^\n]*(?<!\\)$|\\\n", "", source, flags=re.MULTILINE)
    heads = (" ".join(text.split()) for text in re.findall(r"([^;{}]*)\{", source))
    return [head for head in heads if re.search(r"\w\(.*\)( const)?( : .*)?$", head) and head.count("(") == head.count(")")
            and not re.match(r"(if|else|for|while|switch|return|do)\b", head) and "__aicore__" not in head]


@pytest.mark.parametrize("name", OPERATORS)
def test_device_code_has_no_host_functions(name):
    """Tiling structures must not have member functions (the manual of CANN 8.5 and 9), and whether the device compiler takes a
    host's constexpr function in a constant is not documented."""
    assert host_functions(amalgamated(name)) == []


def test_host_functions_are_found():
    assert host_functions("struct T { uint32_t a; constexpr uint32_t Cores() const { return a; } };") == [
        "constexpr uint32_t Cores() const"]
    assert host_functions("constexpr uint32_t Rows(uint32_t d) { return d <= 96 ? 128 : 112; }\n"
                          "__aicore__ inline explicit A(int b) : a_(b) { if (F(b)) { G({b}); } }\n"
                          "// constexpr int No() {\nB(int b) : b_(b) {}") == [
        "constexpr uint32_t Rows(uint32_t d)", "B(int b) : b_(b)"]


def test_no_variable_has_the_name_of_a_type():
    """The device compiler knows `half` as a type; whether it may be hidden is not documented."""
    for path in (p for p in ASCEND.rglob("*") if p.suffix in (".h", ".cpp") and "parity" not in p.parts):
        assert not re.search(r"\b(?:u?int\d+_t|auto|bool|float|T) half\b", path.read_text()), path.name


@pytest.mark.parametrize("name", OPERATORS)
def test_definition_is_complete(name, definitions):
    definition = definitions[name]
    params = definition["inputs"] + definition["outputs"]
    columns = len(params[0]["dtypes"])
    assert columns >= 2
    for p in params:
        assert len(p["dtypes"]) == columns == p["formats"], p["name"]
        assert p["unknown_formats"] in (0, columns)
        assert "other" not in p["dtypes"]
    assert all(p["contiguous"] for p in definition["inputs"])
    assert len({tuple(p["dtypes"][k] for p in definition["inputs"]) for k in range(columns)}) == columns
    assert sorted(definition["configs"]) == ["ascend910_93", "ascend910b"]
    assert definition["infer_shape"] and definition["infer_dtype"] and definition["tiling"]
