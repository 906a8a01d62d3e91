"""From pytest-benchmark's JSON to the table (CSV and Markdown) and the plot."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

COLUMNS = ("op", "direction", "batch", "engine", "median_ms", "min_ms", "max_ms", "rounds", "times_as_fast_as_stock",
           "min_times_as_fast_as_stock", "model")


def rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """One line per case, in order of op, direction, batch, engine; ratios are to the stock engine of the same case."""
    lines = []
    for entry in document["benchmarks"]:
        stats, info = entry["stats"], entry["extra_info"]
        lines.append({**{key: info[key] for key in ("op", "direction", "batch", "engine", "model")},
                      "median_ms": 1e3 * stats["median"], "min_ms": 1e3 * stats["min"], "max_ms": 1e3 * stats["max"],
                      "rounds": stats["rounds"]})
    stock = {(line["op"], line["direction"], line["batch"]): line for line in lines if line["engine"] == "stock"}
    for line in lines:
        peer = stock.get((line["op"], line["direction"], line["batch"]))
        line["times_as_fast_as_stock"] = peer["median_ms"] / line["median_ms"] if peer else None
        line["min_times_as_fast_as_stock"] = peer["min_ms"] / line["min_ms"] if peer else None
    order = {"fused": 0, "stock": 1}
    return sorted(lines, key=lambda line: (line["op"], line["direction"], line["batch"], order.get(line["engine"], 2)))


def to_csv(lines: list[dict[str, Any]]) -> str:
    """The table as CSV, four significant digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in line.items()})
    return text.getvalue()


def to_markdown(lines: list[dict[str, Any]], machine: str) -> str:
    """The table as Markdown under a line that names the machine."""
    head = (f"Measured on {machine}. Median of single calls in GRAPH_MODE, fp32; the ratio is of medians, in brackets of "
            "the fastest calls.")
    text = [head, "", "| op | direction | batch | engine | ms | times as fast as stock |",
            "| --- | --- | ---: | --- | ---: | ---: |"]
    for line in lines:
        ratio = line["times_as_fast_as_stock"]
        shown = f"{ratio:.2f} ({line['min_times_as_fast_as_stock']:.2f})" if ratio and line["engine"] != "stock" else ""
        text.append(f"| {line['op']} | {line['direction']} | {line['batch']} | {line['engine']} | {line['median_ms']:.4g} "
                    f"| {shown} |")
    return "\n".join(text) + "\n"


def plot(lines: list[dict[str, Any]], machine: str, path: str | Path) -> None:
    """Bars of how many times as fast as stock each case is, on a logarithmic axis, written as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [line for line in lines if line["engine"] == "fused" and line["times_as_fast_as_stock"]]
    labels = [f"{line['op']}, {line['direction']}, batch {line['batch']}" for line in shown]
    ratios = [line["times_as_fast_as_stock"] for line in shown]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.3 * max(len(shown), 1)), layout="constrained")
    colours = ["#2a6f97" if line["direction"] == "forward" else "#e07a5f" for line in shown]
    bars = axes.barh(labels, [ratio - 1 for ratio in ratios], left=1, color=colours)
    axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as stock MindSpore (1 = the same)")
    axes.set_title(machine, fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)
