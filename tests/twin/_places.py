"""Places in the test kernels, named by marks: a line that ends in `// @load` is the place "load" of its file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

KERNELS = Path(__file__).parent / "kernels"


class Places:
    """The marked lines of one file of test kernels, and what a run said about them."""

    def __init__(self, name: str) -> None:
        self.file = f"tests/twin/kernels/{name}.cpp"
        self._lines = _marks(name)

    def line(self, mark: str) -> int:
        return self._lines[mark]

    def site(self, mark: str) -> str:
        """As `mute` takes it."""
        return f"{self.file}:{self._lines[mark]}"

    def found(self, result) -> set[tuple[str, str, str]]:
        """(rule, mark, other mark) of every diagnostic; "" for a place that is not known or not in this file."""
        by_line = {line: mark for mark, line in self._lines.items()}

        def mark(file: str, line: int) -> str:
            if not line:
                return ""
            return by_line.get(line, f"line {line}") if file == self.file else f"{file}:{line}"

        return {(d["rule"], mark(d["file"], d["line"]), mark(d["other_file"], d["other_line"]))
                for d in result["diagnostics"]}


@cache
def _marks(name: str) -> dict[str, int]:
    marks: dict[str, int] = {}
    for number, text in enumerate((KERNELS / f"{name}.cpp").read_text().splitlines(), 1):
        match = re.search(r"// @(\w+)$", text)
        if match:
            assert match[1] not in marks, f"{name}.cpp: two marks @{match[1]}"
            marks[match[1]] = number
    return marks


def messages(result) -> str:
    return "\n".join(d["message"] for d in result["diagnostics"])
