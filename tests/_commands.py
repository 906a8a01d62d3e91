"""Running the commands inside the test process, where MindSpore is loaded already, with recipes that take seconds."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any, Callable, Iterator

import mindspore as ms
import numpy as np
from PIL import Image

from vit_kernels import _cli
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.training import recipes

_TINY = {"embed_dim": 32, "depth": 1, "num_heads": 2}


@dataclasses.dataclass
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> Any:
        """The JSON document after the last `--result` line, which must be the last thing on stdout."""
        lines = self.out.splitlines()
        return json.loads("\n".join(lines[len(lines) - lines[::-1].index("--result"):]))


def call(main: Callable[[list[str]], int], *arguments: Any) -> Run:
    """Run a command's main as the command line would, leaving MindSpore's mode as it was."""
    before = ms.get_context("mode")
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _cli.run(main, [str(a) for a in arguments])
    finally:
        ms.set_context(mode=before)
    return Run(code, out.getvalue(), err.getvalue())


def refused(run: Run, code: int, *words: str) -> None:
    """Assert that a command ended with one message that has these words, and nothing else."""
    assert run.code == code, run
    for word in words:
        assert word in run.err, run.err
    assert "Traceback" not in run.err and "--result" not in run.out


@contextlib.contextmanager
def tiny_recipes() -> Iterator[None]:
    """Small models and two epochs in place of the default recipes."""
    before = dict(recipes.RECIPES)
    digits, folder = before["digits"], before["folder"]
    recipes.RECIPES["digits"] = dataclasses.replace(digits, model={**digits.model, **_TINY}, epochs=2, warmup_epochs=0.2, lr=5e-3)
    recipes.RECIPES["folder"] = dataclasses.replace(
        folder, model={**folder.model, **_TINY, "image_size": 16, "patch_size": 8}, preprocessing=Preprocessing((16, 16)),
        epochs=2, batch_size=4)
    try:
        yield
    finally:
        recipes.RECIPES.clear()
        recipes.RECIPES.update(before)


def image_tree(root: Path, classes: int = 2, each: int = 6) -> Path:
    """A class-per-folder tree of small noisy images, one colour per class."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        folder = root / f"class{c}"
        folder.mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 100, (20, 24, 3), dtype=np.uint8)
            pixels[..., c % 3] += 150
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def odd_images(folder: Path) -> tuple[list[str], list[str]]:
    """Unusual images in a folder: (names that can be read, names that cannot)."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(rng.integers(0, 65536, (30, 30)).astype(np.uint16)).save(folder / "deep.png")
    photo.save(folder / "animated.gif", save_all=True, append_images=[photo.rotate(90), photo.rotate(180)])
    photo.convert("RGBA").save(folder / "alpha.png")
    Image.new("RGB", (1, 1), (9, 200, 30)).save(folder / "one.png")
    Image.new("RGB", (20_000, 2), (9, 200, 30)).save(folder / "wide.png")
    photo.save(folder / "whole.png")
    data = (folder / "whole.png").read_bytes()
    (folder / "truncated.png").write_bytes(data[:len(data) // 2])
    (folder / "text.png").write_text("no image")
    return ["alpha.png", "animated.gif", "cmyk.jpg", "deep.png", "one.png", "whole.png", "wide.png"], ["text.png", "truncated.png"]
