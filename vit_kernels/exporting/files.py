"""Results of one or several files that appear together when all of them are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

from vit_kernels.errors import OutputError


@contextlib.contextmanager
def staging(output: Path, needed: int) -> Iterator[Path]:
    """Yield a hidden folder beside `output`. When the block ends well, what is in it takes its place beside `output`, the
    file of that name last; else nothing remains, not even the folders that were made for it.

    Args:
        output: the main file.
        needed: bytes that will be written.

    Raises:
        OutputError: no such place, no permission, or not enough room.
    """
    made: list[Path] = []
    folder = None
    try:
        if output.is_dir():
            raise OutputError(f"cannot write {output}: it is a folder; name a file")
        made = [path for path in (output.parent, *output.parent.parents) if not path.exists()]
        output.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(output.parent).free
        if free < needed:
            raise OutputError(f"cannot write {output}: it needs {needed / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free; "
                              "free space there or choose another place")
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent))
        yield folder
        _place(folder, output)
        made = []
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write {output}: {error.strerror or error}; free space there or choose another place") \
            from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):  # not made after all, or somebody else's files are in it by now
                path.rmdir()


def _place(folder: Path, output: Path) -> None:
    probe = folder / "probe"
    probe.touch()
    mode = probe.stat().st_mode & 0o777  # what the user's umask gives to new files
    probe.unlink()
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            path.chmod(mode | (mode & 0o444) >> 2)
            continue
        path.chmod(mode | 0o200)
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        path.chmod(mode)
    for path in sorted(folder.iterdir(), key=lambda path: path.name == output.name):
        target = output.parent / path.name
        if path.is_dir() and target.is_dir():
            target.rename(folder.with_suffix(".old"))  # a folder that is not empty cannot be replaced at once
            path.rename(target)
            shutil.rmtree(folder.with_suffix(".old"), ignore_errors=True)
        else:
            os.replace(path, target)
