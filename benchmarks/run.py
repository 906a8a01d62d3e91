"""python -m benchmarks.run: run the suites and write the table (CSV and Markdown) and the plot to benchmarks/results/."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import report
from vit_kernels import _cli, info
from vit_kernels.training.files import replacing, write_text

HERE = Path(__file__).resolve().parent


def machine() -> str:
    """The machine and versions in one line."""
    found = info.collect("fused")
    kernels, versions = found["cpu_kernels"], found["versions"]
    return (f"{found['machine']['processor']}, {kernels['threads']} threads, {kernels['isa']}, "
            f"vit_kernels {versions['vit_kernels']}, MindSpore {versions['mindspore']}")


def main(argv: list[str]) -> int:
    """Parse, run pytest, write the report."""
    parser = _cli.parser("benchmark suites", "Time every operator and the whole model, fused beside stock MindSpore.")
    parser.prog = "python -m benchmarks.run"
    parser.add_argument("--model", default="vit_base_p16", help="the model whose shapes are timed")
    parser.add_argument("--rounds", type=_cli.positive_int, default=10, help="timed calls per case")
    parser.add_argument("-k", "--select", default="", help="only the suites that match, as pytest -k")
    parser.add_argument("--output", default=str(HERE / "results"), help="folder for the results")
    args = parser.parse_args(argv)
    from vit_kernels.errors import UsageError
    from vit_kernels.models import create_config

    try:
        create_config(args.model)
    except ValueError as error:
        raise UsageError(f"--model: {error}") from error
    title = machine()
    print(f"backend fused beside stock; {title}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", str(HERE), "-q", "-p", "no:cacheprovider", "--benchmark-columns=min,median,max",
                   f"--benchmark-json={results}", f"--model={args.model}", f"--rounds={args.rounds}"]
        code = subprocess.run(command + (["-k", args.select] if args.select else []), cwd=HERE.parent).returncode
        if code == 5:
            raise UsageError(f"-k {args.select}: no suite matches")
        if code:
            raise RuntimeError(f"the suites failed (pytest's exit code {code}); nothing was written")
        document = json.loads(results.read_text())
    lines = report.rows(document)
    output = Path(args.output)
    table = report.to_markdown(lines, title)
    write_text(output / "benchmark.csv", report.to_csv(lines))
    write_text(output / "benchmark.md", table)
    with replacing(output / "benchmark.png") as temporary:
        report.plot(lines, title, temporary)
    print(table)
    print(f"written to {output}: benchmark.csv, benchmark.md, benchmark.png")
    return 0


if __name__ == "__main__":
    sys.exit(_cli.run(main))
