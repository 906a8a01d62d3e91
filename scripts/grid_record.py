"""What the grid of Ascend C cases has shown so far, in a file: hours of runs add up, and nobody has to take them on trust.

A case counts only for the program that it ran: the operator's device code with everything that it includes, and the whole twin,
whatever their comments and line breaks. What judges it (tests/ascend) is not part of that: after a stricter check, remove the
record and run again.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from vit_kernels.training.files import write_text

_INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)

# C++ as far as telling comments from the program asks for. Literals and numbers (1'000) come first, as what looks like a
# comment or a quotation mark within them is none. Operators in a row are one token: "a + +b" is not "a++b".
_TOKEN = re.compile(rb"""
    (?P<comment> //[^\n]* | /\*.*?\*/ )
  | (?P<newline> \n )
  | (?P<token> "(?:\\.|[^"\\\n])*" | \d(?:'?[\w.])* | \w+ | '(?:\\.|[^'\\\n])*' | [][(){};,]
             | (?:(?!//|/\*)[^\w\s"'\][(){};,])+ | \S )
""", re.VERBOSE | re.DOTALL)


def included(start: Path, folders: tuple[Path, ...]) -> set[Path]:
    """A source file and all that it includes by name in quotes, directly or not.

    Args:
        start: the file to begin with.
        folders: where to look beside the including file; names found nowhere belong to a toolkit and are left out.
    """
    found, todo = set(), [start.resolve()]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        for name in _INCLUDE.findall(file.read_bytes()):
            places = (folder / name.decode() for folder in (file.parent, *folders))
            todo.extend([place.resolve() for place in places if place.is_file()][:1])
    return found


def program(text: bytes) -> bytes:
    """C++ without what the compiler does not see: one space between tokens, no comments, line ends only around directives.

    Raises:
        ValueError: the text has a raw string literal, within which all of that counts.
    """
    if re.search(rb'\bu?8?[LUu]?R"', text):
        raise ValueError("raw string literals are not understood; write an ordinary one")
    lines: list[list[bytes]] = [[]]
    first = True  # of its line
    for match in _TOKEN.finditer(text.replace(b"\\\n", b"")):
        if match["newline"]:
            first = True
            if lines[-1][:1] == [b"#"]:
                lines.append([])
        elif match["token"]:
            if first and match["token"] == b"#":
                lines.append([])
            lines[-1].append(match["token"])
            first = False
    return b"\n".join(b" ".join(tokens) for tokens in lines if tokens)


def files(root: Path, operators: tuple[str, ...]) -> set[Path]:
    """The sources that decide how operators run on the twin: theirs and the whole twin.

    Args:
        root: the checkout.
        operators: folders of csrc/ascend.
    """
    ascend, twin = root / "csrc/ascend", root / "csrc/twin"
    found = {p.resolve() for p in twin.rglob("*") if p.suffix in (".h", ".cpp")}
    for operator in operators:
        found |= included(ascend / operator / "twin.cpp", (ascend, twin / "include", twin / "src"))
    return found


def changed_since_built(root: Path, operators: tuple[str, ...], libraries: tuple[Path, ...]) -> list[Path]:
    """Those of the :func:`files` that are newer than a library built from them: what would run is not what they say."""
    built = min(library.stat().st_mtime for library in libraries)
    return sorted(file for file in files(root, operators) if file.stat().st_mtime > built)


def sources(root: Path, operators: tuple[str, ...]) -> str:
    """A digest of what the compiler sees of the :func:`files`."""
    digest = hashlib.sha256()
    for file in sorted(files(root, operators)):
        digest.update(str(file.relative_to(root.resolve())).encode() + b"\0" + program(file.read_bytes()))
    return digest.hexdigest()[:16]


class Record:
    """The cases that held.

    Args:
        path: the file, a JSON document; need not exist.
        digests: the present sources of every kernel, see :func:`sources`. What was found with others is forgotten.

    Raises:
        ValueError: the file is something else or cannot be read.
    """

    def __init__(self, path: str | Path, digests: dict[str, str]):
        self.path = Path(path)
        self.kernels = {kernel: {"sources": digest, "orders": {}} for kernel, digest in digests.items()}
        if not self.path.exists():
            return
        try:
            document = json.loads(self.path.read_text())
            for kernel, entry in document.items():
                if entry["sources"] == digests.get(kernel):
                    self.kernels[kernel]["orders"] = {str(case): int(seeds) for case, seeds in entry["orders"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"record: {self.path} is not a record of the grid ({error}); name another file") from error

    def holds(self, kernel: str, case: object, seeds: int) -> bool:
        """Whether an earlier run found so, with at least as many random orders."""
        return self.kernels[kernel]["orders"].get(str(case), -1) >= seeds

    def add(self, kernel: str, case: object, seeds: int) -> None:
        """Remember a case, at once and atomically: a run may be interrupted at any time."""
        self.kernels[kernel]["orders"][str(case)] = seeds
        ordered = {name: {**entry, "orders": dict(sorted(entry["orders"].items()))} for name, entry in self.kernels.items()}
        write_text(self.path, json.dumps(ordered, indent=0) + "\n")
