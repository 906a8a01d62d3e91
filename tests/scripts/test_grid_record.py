"""The record of the grid: what counts as the same sources, what a changed source forgets, files that are something else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import ascend_grid
from scripts.grid_record import Record, changed_since_built, included, program, sources

COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
ROOT = Path(__file__).resolve().parents[2]


def _tree(root: Path) -> Path:
    """A checkout with two operators, one common header and a twin."""
    for name, text in {
        "csrc/ascend/one/twin.cpp": '#include "op_kernel/one.cpp"\n#include "twin/registry.h"\n',
        "csrc/ascend/one/op_kernel/one.cpp": '#include "kernel_operator.h"\n#include "steps.h"\n  #  include "common/shared.h"\n',
        "csrc/ascend/one/op_kernel/steps.h": '#include "one.cpp"  // a circle\n#include <vector>\n#include "toolkit_only.h"\n',
        "csrc/ascend/one/op_host/one.cpp": "host\n",
        "csrc/ascend/two/twin.cpp": "// alone\n",
        "csrc/ascend/common/shared.h": "shared\n",
        "csrc/twin/include/kernel_operator.h": "api\n",
        "csrc/twin/include/twin/registry.h": "registry\n",
        "csrc/twin/src/run.cpp": "run\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_includes_are_followed(tmp_path):
    root = _tree(tmp_path)
    ascend = root / "csrc/ascend"
    found = included(ascend / "one/twin.cpp", (ascend, root / "csrc/twin/include"))
    assert {str(p.relative_to(root.resolve())) for p in found} == {
        "csrc/ascend/one/twin.cpp", "csrc/ascend/one/op_kernel/one.cpp", "csrc/ascend/one/op_kernel/steps.h",
        "csrc/ascend/common/shared.h", "csrc/twin/include/kernel_operator.h", "csrc/twin/include/twin/registry.h"}


@pytest.mark.parametrize("changed, one, two", [
    ("csrc/ascend/one/op_kernel/steps.h", True, False), ("csrc/ascend/common/shared.h", True, False),
    ("csrc/ascend/two/twin.cpp", False, True), ("csrc/twin/src/run.cpp", True, True),
    ("csrc/ascend/one/op_host/one.cpp", False, False)])
def test_digest_changes_with_what_runs(tmp_path, changed, one, two):
    root = _tree(tmp_path)
    before = sources(root, ("one",)), sources(root, ("two",))
    (root / changed).write_text((root / changed).read_text() + "int changed;\n")
    assert (sources(root, ("one",)) != before[0], sources(root, ("two",)) != before[1]) == (one, two)


def test_digest_does_not_see_comments(tmp_path):
    root = _tree(tmp_path)
    before = sources(root, ("one",))
    for name in ("csrc/ascend/one/op_kernel/steps.h", "csrc/twin/src/run.cpp"):
        (root / name).write_text("// A word of explanation.\n\n" + (root / name).read_text())
    assert sources(root, ("one",)) == before


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
def test_program_is_what_the_compiler_sees():
    """Every source, without white space, against the compiler's own removal of comments."""
    for file in (p for p in (ROOT / "csrc").rglob("*") if p.suffix in (".h", ".cpp")):
        text = file.read_bytes()
        arguments = [COMPILER, "-x", "c++", "-std=c++17", "-fpreprocessed", "-dD", "-E", "-P", "-"]
        seen = subprocess.run(arguments, input=text, capture_output=True, check=True).stdout
        expected, found = (re.sub(rb"\\\n|\s|#\s*pragma\s+once", b"", t) for t in (seen, program(text)))
        assert found == expected, file


@pytest.mark.parametrize("one, other", [
    ("f(a,\n  b);", "f(\n    a, b);"), ("int a; // why", "/* why\n */ int a;"), ("{{1}}", "{ {1} }"),
    ("#define A 1 // one\nB", "# define A \\\n 1\nB"), ("a\n#if B /* if\n so */\nc", "a\n  #if B\nc")])
def test_same_program(one, other):
    assert program(one.encode()) == program(other.encode())


@pytest.mark.parametrize("one, other", [
    ("a + +b", "a++b"), ("int a", "inta"), ('"//a"', '"//b"'), ('"a  b"', '"a b"'), ("1'000 // '", "1'001 // '"),
    ("'\"' + a //", "'\"' + b //"), ("#define A\nB", "#define A B"), ("#if A\n#endif", "#if A #endif"),
    ("#define A 1\n1", "#define A\n1 1"), ("a\n#else\nb", "a #else\nb"), (r"'\\' // a", r"'\'' // a")])
def test_other_program(one, other):
    assert program(one.encode()) != program(other.encode())


@pytest.mark.parametrize("text", ['R"(//)"', 'f(u8R"x(a)x")', 'LR"(a)"'])
def test_raw_strings_are_refused(text):
    with pytest.raises(ValueError, match="raw string"):
        program(text.encode())


def test_a_library_older_than_its_sources_is_noticed(tmp_path):
    root = _tree(tmp_path)
    old, new = root / "old.so", root / "new.so"
    for time, file in enumerate((old, root / "csrc/ascend/one/op_kernel/steps.h", root / "csrc/ascend/one/op_host/one.cpp", new)):
        file.touch()
        os.utime(file, (2e9 + time, 2e9 + time))
    assert changed_since_built(root, ("one",), (new,)) == []
    assert changed_since_built(root, ("two",), (new, old)) == []
    assert changed_since_built(root, ("one",), (new, old)) == [(root / "csrc/ascend/one/op_kernel/steps.h").resolve()]


def test_every_kernel_of_the_grid_reads_its_device_code():
    ascend = ROOT / "csrc/ascend"
    for _, _, operators in ascend_grid.KERNELS.values():
        for operator in operators:
            found = included(ascend / operator / "twin.cpp", (ascend, ROOT / "csrc/twin/include", ROOT / "csrc/twin/src"))
            device = {p.resolve() for p in (ascend / operator / "op_kernel").iterdir()}
            assert device and device <= found, f"{operator}: {device - found} is not part of the digest"


def test_record_goes_on_and_forgets(tmp_path):
    path = tmp_path / "grid.json"
    record = Record(path, {"a": "1", "b": "2"})
    record.add("a", "3x197x768", 20)
    record.add("b", "3x197x768", 2)
    again = Record(path, {"a": "1", "b": "other sources"})
    assert again.holds("a", "3x197x768", 20) and again.holds("a", "3x197x768", 3)
    assert not again.holds("a", "3x197x768", 21) and not again.holds("a", "3x50x768", 0)
    assert not again.holds("b", "3x197x768", 0)
    again.add("b", "1x1x192", 0)
    assert json.loads(path.read_text())["b"] == {"sources": "other sources", "orders": {"1x1x192": 0}}
    assert [p.name for p in tmp_path.iterdir()] == ["grid.json"]


@pytest.mark.parametrize("text", ["not JSON", "[1]", '{"a": 3}', '{"a": {"sources": "1", "orders": {"x": null}}}', '{"a": {}}'])
def test_another_file_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="other.json is not a record of the grid"):
        Record(path, {"a": "1"})
    assert path.read_text() == text
