"""One self-contained source per operator: every include of this tree expanded in place.

An op package compiles each operator from a single file in a flat folder, and ships kernel sources to be compiled again
on the target; neither leaves room for include paths of ours. `#line` keeps the compiler's messages pointing at the
real files.
"""

from __future__ import annotations

import re
from pathlib import Path

_INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


def amalgamate(source: Path, root: Path) -> str:
    """The text of `source` with every quoted include that is found beside the including file or below `root` expanded,
    each file once. Includes that are found in neither place (the toolkit's headers) stay."""
    seen: set[Path] = set()

    def expand(path: Path) -> list[str]:
        seen.add(path)
        name = path.relative_to(root).as_posix()
        lines = [f'#line 1 "{name}"']
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = _INCLUDE.match(line)
            target = match and _resolve(match[1], path.parent, root)
            if line.strip() == "#pragma once":
                lines.append("")
            elif not target:
                lines.append(line)
            elif target in seen:
                lines.append("")
            else:
                lines += expand(target)
                lines.append(f'#line {number + 1} "{name}"')
        return lines

    return "\n".join(expand(source.resolve())) + "\n"


def _resolve(include: str, folder: Path, root: Path) -> Path | None:
    for base in (folder, root):
        path = (base / include).resolve()
        if path.is_file() and path.is_relative_to(root):
            return path
    return None
