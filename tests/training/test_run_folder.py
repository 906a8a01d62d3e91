"""The output folder, and which checkpoint a name means."""

from __future__ import annotations

import csv
import os

import pytest
import yaml

from vit_kernels.errors import OutputError, UsageError
from vit_kernels.training.run_folder import BEST, LAST, RunFolder, find_checkpoint


def test_a_second_run_gets_a_folder_of_its_own(tmp_path):
    paths = [RunFolder.create(tmp_path / "run", {"seed": i}).path.name for i in range(3)]
    assert paths == ["run", "run-1", "run-2"]
    assert [yaml.safe_load((tmp_path / p / "config.yaml").read_text()) for p in paths] == [{"seed": i} for i in range(3)]


def test_metrics_are_a_table(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    folder.write_metrics([{"epoch": 1, "loss": 1.23456789}])
    folder.write_metrics([{"epoch": 1, "loss": 1.23456789}, {"epoch": 2, "loss": 1e-7}])
    with open(tmp_path / "run/metrics.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [{"epoch": "1", "loss": "1.23457"}, {"epoch": "2", "loss": "1e-07"}]


def test_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot make the output folder .*file/run: Not a directory; choose another with --output"):
        RunFolder.create(tmp_path / "file" / "run", {})
    with pytest.raises(OutputError, match="cannot make the output folder"):
        RunFolder.create(tmp_path / "file", {})
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_written_is_removed_again(tmp_path, monkeypatch):
    from vit_kernels.training import files

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.tempfile, "mkstemp", full)
    with pytest.raises(OutputError, match="No space left on device"):
        RunFolder.create(tmp_path / "a" / "b", {})
    assert os.listdir(tmp_path) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError):
        RunFolder.create(tmp_path / "mine", {})
    assert os.listdir(tmp_path) == ["mine"] and os.listdir(tmp_path / "mine") == []


def touch(path, when):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (when, when))


def test_which_checkpoint(tmp_path):
    old, new = tmp_path / "output/old", tmp_path / "output/new"
    touch(old / BEST, 100)
    touch(old / LAST, 100)
    touch(new / LAST, 200)
    root = tmp_path / "output"
    assert find_checkpoint(None, root) == new / LAST  # no best yet
    touch(new / BEST, 150)
    assert find_checkpoint(None, root) == new / BEST
    touch(old / LAST, 300)
    assert find_checkpoint(None, root) == old / BEST
    assert find_checkpoint(new, root) == new / BEST and find_checkpoint(str(new / LAST), root) == new / LAST


def test_no_checkpoint(tmp_path):
    with pytest.raises(UsageError, match="train first"):
        find_checkpoint(None, tmp_path)
    with pytest.raises(UsageError, match="holds no checkpoints/best"):
        find_checkpoint(tmp_path)
    with pytest.raises(UsageError, match="none.safetensors does not exist"):
        find_checkpoint(tmp_path / "none.safetensors")
