"""The output folder of a training run: config.yaml, metrics.csv, curve.png and checkpoints/{last,best}.safetensors."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
from pathlib import Path
from typing import Any

import yaml

from vit_kernels.errors import OutputError, UsageError
from vit_kernels.training.files import write_text

ROOT = "output"
CONFIG, METRICS, CURVE = "config.yaml", "metrics.csv", "curve.png"
LAST, BEST = "checkpoints/last.safetensors", "checkpoints/best.safetensors"


class RunFolder:
    """Paths and writers of one run's results."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.last, self.best, self.curve = self.path / LAST, self.path / BEST, self.path / CURVE

    @classmethod
    def create(cls, wanted: str | Path, config: dict[str, Any]) -> "RunFolder":
        """Make the folder with the run's configuration in it; if `wanted` holds another run already, `wanted-1`, `-2`, ...

        Args:
            wanted: the folder.
            config: the resolved configuration, written as YAML.

        Raises:
            OutputError: it cannot be made or written; what was made is removed again.
        """
        for suffix in itertools.chain([""], (f"-{i}" for i in itertools.count(1))):
            path = Path(f"{wanted}{suffix}")
            if not (path / CONFIG).exists():
                break
        checkpoints = (path / LAST).parent
        made = [p for p in (checkpoints, *checkpoints.parents) if not p.exists()]
        try:
            checkpoints.mkdir(parents=True, exist_ok=True)
            write_text(path / CONFIG, yaml.safe_dump(config, sort_keys=False))
        except OSError as error:
            for folder in made:
                with contextlib.suppress(OSError):  # not made after all, or somebody else's files are in it by now
                    folder.rmdir()
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"cannot make the output folder {path}: {error.strerror}; choose another with --output") \
                from error
        return cls(path)

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """One line per finished epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
        write_text(self.path / METRICS, text.getvalue())


def find_checkpoint(where: str | Path | None, root: str | Path = ROOT) -> Path:
    """The checkpoint file that `where` means.

    Args:
        where: a file; a run's output folder (its best checkpoint, else its last); None for the newest run in `root`.

    Raises:
        UsageError: nothing is there.
    """
    if where is None:
        found = [p for name in (LAST, BEST) for p in Path(root).glob(f"*/{name}")]
        if not found:
            raise UsageError(f"no checkpoint in {os.path.join(root, '')}: train first (python -m vit_kernels.train), or "
                             "name a checkpoint or a run's output folder with --checkpoint")
        return _best_in(max(found, key=lambda p: p.stat().st_mtime).parent.parent)
    where = Path(where)
    if where.is_dir():
        return _best_in(where)
    if not where.exists():
        raise UsageError(f"checkpoint {where} does not exist; check the path")
    return where


def _best_in(run: Path) -> Path:
    for name in (BEST, LAST):
        if (run / name).is_file():
            return run / name
    raise UsageError(f"{run} holds no {BEST} and no {LAST}; name a run's output folder or a checkpoint file")
