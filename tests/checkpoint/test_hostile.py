"""Damaged and hostile files of every format: one exception that names the file, no code run, no memory filled."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.checkpoint._models import timm_weights
from vit_kernels.checkpoint import CheckpointError, load, save

REPOSITORY = Path(__file__).resolve().parents[2]
FORMATS = {"ckpt": "x.ckpt", "safetensors": "x.safetensors", "pth": "x.pth", "google": "x.npz", "legacy": "x.bin"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A good file of every format."""
    folder = tmp_path_factory.mktemp("good")
    weights = {n: t.numpy() for n, t in timm_weights(width=64, depth=1).items()}
    for target, name in FORMATS.items():
        if target == "legacy":
            torch.save({n: torch.tensor(a) for n, a in weights.items()}, folder / name, _use_new_zipfile_serialization=False)
        else:
            save(folder / name, weights, target, config={"num_heads": 1})
    return folder


def read_all(path) -> None:
    for tensor in load(path).tensors.values():
        tensor.read()


@pytest.mark.parametrize("target", FORMATS)
def test_good_files_read(files, target):
    read_all(files / FORMATS[target])


@pytest.mark.parametrize("target", FORMATS)
def test_truncated_anywhere(files, tmp_path, target):
    data = (files / FORMATS[target]).read_bytes()
    cuts = sorted({0, 1, 7, 8, 9, 64, 200, *np.random.default_rng(0).integers(1, len(data), 40).tolist(), len(data) - 1})
    for cut in cuts:
        path = tmp_path / FORMATS[target]
        path.write_bytes(data[:cut])
        with pytest.raises(CheckpointError, match="x\\."):
            read_all(path)


@pytest.mark.parametrize("target", FORMATS)
def test_flipped_bits(files, tmp_path, target):
    """Either noticed, or the file still reads: a flip among the values of a format without checksums cannot be told."""
    data = (files / FORMATS[target]).read_bytes()
    rng = np.random.default_rng(1)
    places = [*range(0, min(len(data), 400), 7), *rng.integers(0, len(data), 60).tolist(), *range(len(data) - 200, len(data), 11)]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / FORMATS[target]
        path.write_bytes(damaged)
        try:
            read_all(path)
        except CheckpointError:
            pass


@pytest.mark.parametrize("target", ["pth", "google"])
def test_flipped_values_are_noticed_where_there_is_a_checksum(files, tmp_path, target):
    data = bytearray((files / FORMATS[target]).read_bytes())
    data[len(data) // 2] ^= 0x10
    path = tmp_path / FORMATS[target]
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="checksum"):
        read_all(path)


@pytest.mark.parametrize("target", FORMATS)
def test_the_extension_does_not_matter(files, tmp_path, target):
    for name in ("weights.txt", "weights.pth", "weights.npz", "weights"):
        path = tmp_path / name
        path.write_bytes((files / FORMATS[target]).read_bytes())
        read_all(path)


@pytest.mark.parametrize("content, says", [
    (b"", "is empty"), (b"hello world, this is text\n" * 40, "none of the known formats"),
    (b"<!DOCTYPE html><html>404</html>", "a web page"), (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
    (b"\x1f\x8b\x08" + b"x" * 100, "gzip-compressed"), (b"\x89PNG\r\n" + b"0" * 99, "an image"),
    (b"\x89HDF\r\n\x1a\n" + b"0" * 99, "HDF5"), (b"\x93NUMPY" + b"\x01\x00" * 40, "a single NumPy array"),
    (pickle.dumps({"a": np.zeros(3)}), "pickles can run code and are not opened"),
])
def test_other_files_are_told_apart(tmp_path, content, says):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=says):
        load(path)


def test_missing_and_folders(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load(tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match="several checkpoints"):
        load(tmp_path)


# ---- pickles

def torch_zip(path: Path, data: bytes, members: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        for name, content in (members or {}).items():
            archive.writestr(name, content)
    return path


class Runs:
    """Pickles to a call of `function`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def marker_calls(marker: Path) -> list:
    return [Runs(os.system, f"touch {marker}"), Runs(eval, f"open({str(marker)!r}, 'w')"), Runs(exec, f"open({str(marker)!r}, 'w')"),
            Runs(open, str(marker), "w"), Runs(__import__, "antigravity"), Runs(getattr, "text", "upper")]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("which", range(6))
def test_a_pickle_never_runs_anything(tmp_path, which, protocol):
    marker = tmp_path / "marker"
    try:
        data = pickle.dumps({"model": {"cls_token": marker_calls(marker)[which]}, "args": marker_calls(marker)[which]}, protocol)
    except pickle.PicklingError:
        pytest.skip("this protocol cannot express the call")
    modules = set(sys.modules)
    with pytest.raises(CheckpointError):
        load(torch_zip(tmp_path / "x.pth", data))
    assert not marker.exists() and "antigravity" not in set(sys.modules) - modules


def test_a_namespace_and_unknown_classes_beside_weights(tmp_path):
    import argparse
    import collections
    import datetime

    torch.save({"state_dict": timm_weights(), "args": argparse.Namespace(lr=1.0, when=datetime.date(2024, 1, 1)),
                "history": collections.Counter("abc"), "optimizer": {"state": {}}}, tmp_path / "x.pth")
    checkpoint = load(tmp_path / "x.pth")
    assert set(checkpoint.tensors) == set(timm_weights())
    assert {"args", "history", "optimizer"} <= set(checkpoint.ignored)


def tensor_pickle(shape: tuple, count: int, stride: tuple | None = None, offset: int = 0) -> bytes:
    """A state dict of one tensor, its sizes at will, as torch would pickle it."""
    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return ("storage", torch.FloatStorage, "0", "cpu", count) if item == "STORAGE" else None

    stride = stride if stride is not None else tuple(int(np.prod(shape[k + 1:], dtype=object)) for k in range(len(shape)))
    out = io.BytesIO()
    Pickler(out, 2).dump({"patch_embed.proj.weight": Runs(torch._utils._rebuild_tensor_v2, "STORAGE", offset, shape, stride, False,
                                                          {})})
    return out.getvalue()


@pytest.mark.parametrize("shape, count, stride, offset", [
    ((1 << 40,), 1 << 40, None, 0), ((1 << 20, 1 << 20, 4), 16, None, 0), ((10 ** 9,), 4, (0,), 0), ((4, 4), 16, (4, 1), 8),
    ((-1, 4), 4, None, 0), ((4,), 4, (-1,), 0), ((1 << 62, 1 << 62), 4, (1, 1), 0), ((2,) * 30, 4, (1,) * 30, 0)])
def test_a_tensor_larger_than_its_storage(tmp_path, shape, count, stride, offset):
    path = torch_zip(tmp_path / "x.pth", tensor_pickle(shape, count, stride, offset), {"archive/data/0": b"\0" * 64})
    with pytest.raises(CheckpointError):
        read_all(path)


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"(l" * depth + b"a" * (depth - 1) + b"."


@pytest.mark.parametrize("data", [
    nested(100_000), b"\x80\x02" + b"\x8c\x01a" * 200_000 + b".", b"\x80\x02h\x05.", b"\x80\x02.", b"\x80\x02(((t.", b"\x80\x02e.",
    b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".", b"\x80\x02B\xff\xff\xff\x7fabc.", b"\x80\x04\x8e" + b"\xff" * 8 + b".",
    b"\x80\x02]q\x00h\x00a.", b"\x80\x02c__builtin__\neval\n(X\x03\x00\x00\x001+1tR.", b"\x80\x09.", b"garbage",
], ids=str)
def test_pickle_bombs_and_nonsense(tmp_path, data):
    with pytest.raises(CheckpointError):
        read_all(torch_zip(tmp_path / "x.pth", data))


# ---- zip

def test_a_zip_bomb(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cls.npy", b"\0" * (200 << 20))
    with pytest.raises(CheckpointError, match="a zip bomb"):
        load(path)


def test_a_zip_that_lies_about_sizes(tmp_path):
    path = torch_zip(tmp_path / "x.pth", tensor_pickle((4,), 4), {"archive/data/0": b"\0" * 16})
    data = path.read_bytes()
    at = data.rfind(b"PK\x01\x02")
    path.write_bytes(data[:at + 20] + struct.pack("<II", 1 << 30, 1 << 30) + data[at + 28:])
    with pytest.raises(CheckpointError):
        read_all(path)


def test_members_outside_are_not_written(tmp_path):
    path = torch_zip(tmp_path / "x.pth", pickle.dumps({}), {"../../evil": b"x", "/etc/evil": b"x"})
    with pytest.raises(CheckpointError):
        load(path)
    assert os.listdir(tmp_path) == ["x.pth"]


def test_an_object_array_in_an_npz(tmp_path):
    np.savez(tmp_path / "x.npz", cls=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CheckpointError):
        read_all(tmp_path / "x.npz")


# ---- safetensors

def safetensors_file(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("header", [
    {"a": entry(0, 8, (2,)), "b": entry(4, 12, (2,))}, {"a": entry(0, 1 << 40, (1 << 38,))}, {"a": entry(8, 4)},
    {"a": entry(-4, 0)}, {"a": entry(0, 4, (2,))}, {"a": entry(0, 4, (-1,))}, {"a": entry(0, 4, "x")}, {"a": entry(0, 4, dtype="Q9")},
    {"a": 3}, [], {"a": entry(0.5, 4)}, {"a": entry(0, 4, (1 << 63, 1 << 63))}, b"{", b"\xff\xfe{}", b"[" * 100_000, b"", {},
], ids=lambda h: str(h)[:40])
def test_safetensors_headers(tmp_path, header):
    with pytest.raises(CheckpointError):
        read_all(safetensors_file(tmp_path / "x.safetensors", header, b"\0" * 12))


@pytest.mark.parametrize("length", [10 << 30, (1 << 64) - 1, 1 << 63])
def test_a_header_of_ten_gigabytes(tmp_path, length):
    with pytest.raises(CheckpointError):
        load(safetensors_file(tmp_path / "x.safetensors", {"a": entry(0, 4)}, b"\0" * 4, length))


# ---- shards

@pytest.mark.parametrize("index", [
    {"weight_map": {"cls_token": "../../etc/passwd"}}, {"weight_map": {"cls_token": "/etc/passwd"}}, {"weight_map": {}}, [],
    {"weight_map": {"cls_token": "missing.safetensors"}}, {"weight_map": {"cls_token": 3}},
    {"weight_map": {f"a{i}": f"{i}.bin" for i in range(2000)}}], ids=lambda i: str(i)[:40])
def test_shard_indexes(tmp_path, index):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError):
        load(tmp_path)


def test_hostile_files_do_not_fill_the_memory(tmp_path):
    """Under a limit of 3 GiB above the start, every bomb above is refused by an exception, not by the system."""
    torch_zip(tmp_path / "a.pth", tensor_pickle((1 << 38,), 1 << 38), {"archive/data/0": b"\0" * 64})
    safetensors_file(tmp_path / "b.safetensors", {"a": entry(0, 1 << 42, (1 << 40,))}, b"\0" * 64)
    torch_zip(tmp_path / "c.pth", nested(1_000_000))
    program = ("import resource, sys\nfrom vit_kernels.checkpoint import CheckpointError, load\n"
               "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
               "for path in sys.argv[1:]:\n    try:\n        [t.read() for t in load(path).tensors.values()]\n"
               "    except CheckpointError as error:\n        print('refused')\n")
    done = subprocess.run([sys.executable, "-c", program, *map(str, sorted(tmp_path.iterdir()))], cwd=REPOSITORY,
                          capture_output=True, text=True)
    assert done.stdout.split() == ["refused"] * 3, done.stderr
