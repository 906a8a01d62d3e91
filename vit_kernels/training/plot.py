"""The training curve: losses on the left, accuracy on the right, with the best epoch marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vit_kernels.training.files import replacing


def plot_curve(path: str | Path, rows: list[dict[str, Any]], title: str) -> None:
    """Draw the rows of metrics.csv (at least one) as a PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    # The object interface leaves the process's pyplot state and backend alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    best = max(rows, key=lambda row: row["eval_top1"])
    marker = "o" if len(rows) < 30 else None
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row["train_loss"] for row in rows], label="training (as augmented and smoothed)", marker=marker, markersize=3)
    left.plot(epochs, [row["eval_loss"] for row in rows], label="test", marker=marker, markersize=3)
    left.set(title="Loss", ylabel="cross entropy")
    right.plot(epochs, [100 * row["eval_top1"] for row in rows], color="tab:green", label="test", marker=marker, markersize=3)
    right.plot(best["epoch"], 100 * best["eval_top1"], "*", color="black", markersize=11,
               label=f"best: {100 * best['eval_top1']:.2f} % in epoch {best['epoch']}")
    right.set(title="Top-1 accuracy", ylabel="%")
    for axes, place in ((left, "upper right"), (right, "lower right")):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend(loc=place)
    figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
