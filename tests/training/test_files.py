"""Atomic writing: the old file or the new one, never a part, and no leftovers."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest

from vit_kernels.errors import OutputError
from vit_kernels.training.files import replacing, write_text


def test_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one\n")
    write_text(path, "twö\r\n")
    assert path.read_bytes() == "twö\r\n".encode() and os.listdir(path.parent) == ["a.txt"]


def test_readers_see_the_old_file_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half of the ne")
        assert path.read_text() == "old"
    assert path.read_text() == "half of the ne"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_inside_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error):
        with replacing(path) as temporary:
            Path(temporary).write_text("half")
            raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"cannot write .*file/a\.txt.*choose another place"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_no_room(tmp_path):
    """A limit on the size of files stands in for a full disk; Python ignores the signal and sees the error."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*a\.txt: File too large; free space there"):
            write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]
