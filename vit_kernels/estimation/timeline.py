"""A picture of what the pipes of one AI Core would do over time."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from vit_kernels.training.files import replacing

_COLOURS = {"MTE2": "tab:blue", "MTE1": "tab:cyan", "M": "tab:red", "FIX": "tab:purple", "V": "tab:green", "MTE3": "tab:orange",
            "S": "lightgrey"}


def plot_timeline(path: str | Path, events: Sequence[tuple[str, str, str, float, float]], clock_ghz: float, title: str,
                  core: int = 0) -> None:
    """Draw the pipes of one AI Core (its cube core and its vector cores) as bars.

    Args:
        path: of the PNG.
        events: (core, pipe, instruction, begin, end) in cycles, of `twin_run(timeline=True)`.
        clock_ghz: cycles per nanosecond.
        title: of the picture.
        core: number of the AI Core.

    Raises:
        OutputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cores = [f"AIC {core}", f"AIV {2 * core}", f"AIV {2 * core + 1}"]
    if not any(e[0] == cores[0] for e in events):
        cores = [f"AIV {core}"]
    lanes = sorted({(cores.index(e[0]), e[1]) for e in events if e[0] in cores},
                   key=lambda lane: (lane[0], list(_COLOURS).index(lane[1].removeprefix("PIPE_"))))
    figure = Figure(figsize=(13, 0.8 + 0.42 * len(lanes)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, (index, pipe) in enumerate(lanes):
        bars = [(b / clock_ghz / 1e3, (e - b) / clock_ghz / 1e3) for c, p, _, b, e in events if c == cores[index] and p == pipe]
        axes.broken_barh(bars, (row - 0.4, 0.8), color=_COLOURS[pipe.removeprefix("PIPE_")])
    axes.set_yticks(range(len(lanes)), [f"{cores[i]}  {pipe.removeprefix('PIPE_')}" for i, pipe in lanes])
    axes.invert_yaxis()
    axes.set(xlabel="estimated time, microseconds", title=title)
    axes.grid(axis="x", alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
