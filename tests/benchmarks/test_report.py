"""The report of the benchmark suites: ratios, table and plot from pytest-benchmark's JSON, and one suite from end to end."""

from __future__ import annotations

import csv
import io

import pytest
from PIL import Image

from benchmarks import report
from benchmarks import run as benchmark_run
from vit_kernels import _cli


def _entry(op, engine, batch, median, fastest):
    return {"stats": {"median": median, "min": fastest, "max": 2 * median, "rounds": 7},
            "extra_info": {"op": op, "direction": "forward", "batch": batch, "engine": engine, "model": "vit_tiny_p16"}}


DOCUMENT = {"benchmarks": [
    _entry("model", "reference", 8, 0.030, 0.02), _entry("model", "stock", 8, 0.080, 0.05), _entry("model", "fused", 8, 0.020, 0.01),
    _entry("linear", "fused", 1, 0.0010, 0.0005), _entry("linear", "stock", 1, 0.0030, 0.0010), _entry("orphan", "fused", 1, 1.0, 1.0)]}


def test_ratios():
    lines = report.rows(DOCUMENT)
    assert [(line["op"], line["engine"]) for line in lines] == [
        ("linear", "fused"), ("linear", "stock"), ("model", "fused"), ("model", "stock"), ("model", "reference"), ("orphan", "fused")]
    ratios = {(line["op"], line["engine"]): line["times_as_fast_as_stock"] for line in lines}
    assert ratios["linear", "fused"] == pytest.approx(3) and ratios["model", "fused"] == pytest.approx(4)
    assert ratios["model", "reference"] == pytest.approx(80 / 30) and ratios["model", "stock"] == 1
    assert ratios["orphan", "fused"] is None
    assert lines[2]["min_times_as_fast_as_stock"] == pytest.approx(5) and lines[2]["median_ms"] == pytest.approx(20)


def test_tables():
    lines = report.rows(DOCUMENT)
    read = list(csv.DictReader(io.StringIO(report.to_csv(lines))))
    assert tuple(read[0]) == report.COLUMNS
    assert read[2]["median_ms"] == "20" and read[2]["times_as_fast_as_stock"] == "4" and read[5]["times_as_fast_as_stock"] == ""
    table = report.to_markdown(lines, "a machine")
    assert "Measured on a machine" in table
    assert "| model | forward | 8 | fused | 20 | 4.00 (5.00) |" in table
    assert "| model | forward | 8 | stock | 80 |  |" in table


def test_plot(tmp_path):
    report.plot(report.rows(DOCUMENT), "a machine", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size[0] > 800 and len(image.convert("RGB").getcolors(1 << 20)) > 10


def test_a_suite_from_end_to_end(tmp_path, capfd):
    arguments = ["--model", "vit_tiny_p32", "--rounds", "1", "-k", "test_layer_norm and not add and forward and 1-", "--output", str(tmp_path)]
    assert _cli.run(benchmark_run.main, arguments) == 0
    with open(tmp_path / "benchmark.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert {(row["op"], row["engine"], row["batch"]) for row in read} == {("layer_norm", "fused", "1"), ("layer_norm", "stock", "1")}
    assert all(float(row["median_ms"]) > 0 for row in read)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmark.csv", "benchmark.md", "benchmark.png"]


@pytest.mark.parametrize("arguments, message", [(["--model", "vit_giant"], "unknown model 'vit_giant'"),
                                                (["-k", "nothing_matches_this"], "no suite matches"),
                                                (["--rounds", "0"], "0 is not at least 1")])
def test_wrong_use(tmp_path, capfd, arguments, message):
    assert _cli.run(benchmark_run.main, [*arguments, "--output", str(tmp_path / "results")]) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "results").exists()
