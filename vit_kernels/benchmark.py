"""python -m vit_kernels.benchmark: whole models, fused beside stock MindSpore and PyTorch, inference and training steps."""

from __future__ import annotations

import csv
import importlib.util
import io
import sys
from typing import Any

from vit_kernels import _cli
from vit_kernels.errors import UsageError


def _parser():
    parser = _cli.parser("benchmark", "Time a model's inference and training step, this package's fused kernels beside other "
                         "engines. Each runs in a process of its own on the same weights and images, after a check that their "
                         "results agree; they take turns.")
    parser.add_argument("--model", default="vit_base_p16", help="a named model such as vit_base_p16")
    parser.add_argument("--bench", choices=("inference", "train", "both"), default="both", help="what to time")
    parser.add_argument("--batch-size", "--batch_size", "-b", type=_cli.positive_int, default=8, help="images per step")
    parser.add_argument("--peers", default="stock", help="engines beside the fused one, separated by commas: stock (MindSpore's "
                        "layers), reference (this package on stock operators), torch (PyTorch); '' for none")
    parser.add_argument("--img-size", "--img_size", type=_cli.positive_int, help="side of the images; default: the model's")
    parser.add_argument("--num-warm-iter", type=_cli.positive_int, default=2, help="untimed steps of each engine")
    parser.add_argument("--num-bench-iter", type=_cli.positive_int, default=12, help="timed steps of each engine")
    parser.add_argument("--rounds", type=_cli.positive_int, default=4, help="turns of each engine")
    parser.add_argument("--seed", type=_cli.non_negative_int, default=0, help="of weights and images")
    parser.add_argument("--results-file", "--results_file", help="also write the rows to this CSV file")
    return parser


def main(argv: list[str]) -> int:
    """Parse, time, print the result."""
    args = _parser().parse_args(argv)
    from vit_kernels.benchmarking.engines import PEERS

    peers = [name for name in args.peers.split(",") if name]
    unknown = [name for name in peers if name not in PEERS]
    if unknown or len(set(peers)) != len(peers):
        raise UsageError(f"--peers {args.peers}: expected some of {', '.join(PEERS)}, separated by commas, each once")
    if "torch" in peers and importlib.util.find_spec("torch") is None:
        raise UsageError("--peers torch: PyTorch is not installed; `pip install torch` or leave it out")

    from vit_kernels.benchmarking import runner
    from vit_kernels.models import count_macs, count_parameters, create_config
    from vit_kernels.ops import resolve_backend

    sizes = {} if args.img_size is None else {"image_size": args.img_size}
    try:
        config = create_config(args.model, drop_path_rate=0.0, **sizes)
    except ValueError as error:
        raise UsageError(f"--model {args.model}: {error}") from error
    backend = resolve_backend(args.backend)
    own = "reference" if backend == "reference" else "fused"
    if own in peers:
        raise UsageError("--peers reference: the engine itself runs on the reference backend; leave it out of --peers, or "
                         "choose --backend fused")
    print(f"{args.model}: {count_parameters(config):,} parameters, {count_macs(config) / 1e9:.2f} GMACs; batch {args.batch_size}; "
          f"backend {backend}; engines {', '.join([own, *peers])}", flush=True)
    benches = ["inference", "train"] if args.bench == "both" else [args.bench]
    timings = runner.run(config, [own, *peers], benches, args.batch_size, args.num_warm_iter, args.num_bench_iter,
                         args.rounds, backend, args.seed, lambda line: print(line, flush=True), args.debug)
    rows = [runner.row(engine, timing, config, args.batch_size) for engine, timing in timings.items()]
    _print_ratios(timings, own, benches)
    if args.results_file:
        _write_csv(args.results_file, rows)
    _cli.print_result({"rows": rows})
    return 0


def _print_ratios(timings: dict[str, Any], own: str, benches: list[str]) -> None:
    """How many times as long each peer takes, from medians and from fastest steps."""
    import numpy as np

    for bench in benches:
        mine = np.array(timings[own].steps[bench])
        for engine, timing in timings.items():
            if engine != own:
                theirs = np.array(timing.steps[bench])
                print(f"{bench}: {own} is {np.median(theirs) / np.median(mine):.2f} x as fast as {engine} by the median step, "
                      f"{theirs.min() / mine.min():.2f} x by the fastest")


def _write_csv(path: str, rows: list[dict[str, Any]]) -> None:
    from vit_kernels.training.files import write_text

    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


if __name__ == "__main__":
    sys.exit(_cli.run(main))
