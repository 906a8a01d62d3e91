"""python -m vit_kernels.estimate: what the Ascend C kernels would take on an NPU, beside the stock operators they replace.

Every time is an estimate of the twin's time model. Nothing was run on an NPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from vit_kernels import _cli
from vit_kernels.errors import UsageError

_CLOCK_GHZ = {"910B1": 1.85, "910B2": 1.80, "910B3": 1.80, "910B4": 1.50}
_TYPES = {"fp16": "float16", "bf16": "bfloat16"}
_LAUNCH_US = 10.0


def _parser() -> argparse.ArgumentParser:
    parser = _cli.parser("estimate", "Estimate the time of the Ascend C kernels on an NPU, per operator, block and model, "
                         "forward and backward, beside the sequence of stock operators under the same time model. Nothing "
                         "is run on an NPU.")
    parser.add_argument("--model", default="vit_base_p16", help="a named model")
    parser.add_argument("--batch", "--batch-size", type=_cli.positive_int, default=64, help="images")
    parser.add_argument("--sku", default="910B1", help="the chip: 910B1, 910B2, 910B3, 910B4")
    parser.add_argument("--dtype", choices=sorted(_TYPES), default="fp16", help="of the activations")
    parser.add_argument("--timeline", metavar="PNG", help="where the picture of one core's pipes goes; default: "
                        "output/estimate-<model>-<sku>.png")
    return parser


def main(argv: list[str]) -> int:
    """Parse, estimate, print."""
    args = _parser().parse_args(argv)
    from vit_kernels.estimation import price, sequences
    from vit_kernels.estimation.timeline import plot_timeline
    from vit_kernels.models.vit.config import create_config

    if args.sku not in price.skus():
        raise UsageError(f"--sku {args.sku}: expected one of {', '.join(price.skus())}")
    try:
        config = create_config(args.model)
    except (ValueError, TypeError) as error:
        raise UsageError(f"--model: {error}") from error
    d = sequences.Dimensions(args.batch, config.num_tokens, config.embed_dim, config.num_heads, config.intermediate_size,
                             _TYPES[args.dtype], args.sku)
    rows = estimate_rows(d, config)
    print(f"{args.model}, batch {args.batch}, {args.dtype}, {args.sku}: estimated, not measured; launches apart")
    print(table(rows))
    picture = Path(args.timeline or f"output/estimate-{args.model}-{args.sku}.png")
    run = price.run("vit_attention", [(args.batch, d.tokens, 3, d.heads, d.head_dim)], [d.dtype], args.sku, timeline=True,
                    scale=d.head_dim ** -0.5)
    plot_timeline(picture, run["estimate"]["timeline"], _CLOCK_GHZ[args.sku],
                  f"attention forward, {args.model}, batch {args.batch}, {args.sku}: estimated")
    print(f"pipes of one AI Core in attention: {picture}")
    _cli.print_result({"rows": [{k: v for k, v in row.items() if k != "launches"} for row in rows], "sku": args.sku,
                       "model": args.model, "batch": args.batch})
    return 0


def estimate_rows(d: Any, config: Any) -> list[dict[str, Any]]:
    """One row per operator and pass, then 'block' and 'model'. Times in microseconds, launches apart."""
    from vit_kernels.estimation import sequences

    rows = []
    for name, backward in (("forward", False), ("backward", True)):
        prices = {"layer_norm": sequences.layer_norm(d, backward), **sequences.block_operators(d, backward),
                  "block": sequences.block(d, backward),
                  "model": sequences.model(d, backward, config.depth, config.patch_size ** 2 * config.in_chans,
                                           config.num_classes)}
        for op, (fused, unfused) in prices.items():
            rows.append({"op": op, "pass": name, "estimated_us": fused.us, "bound_us": fused.bound_us, "binding": fused.binding,
                         "hbm_bytes": fused.hbm_bytes, "unfused_us": unfused.us, "unfused_hbm_bytes": unfused.hbm_bytes,
                         "launches": (fused.launches, unfused.launches)})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text. add_layer_norm and linear stand for the two of a block."""
    lines = [f"{'':24}{'estimated':>11}{'bound':>10}{'':>7}{'binds':>8}{'HBM':>10}{'unfused':>11}{'HBM':>10}{'faster':>8}"
             f"{'less HBM':>10}{'launches':>12}"]
    for row in rows:
        label = f"{row['op']} {row['pass']}"
        fused, unfused = row["launches"]
        lines.append(f"{label:24}{row['estimated_us']:>9.1f}us{row['bound_us']:>8.1f}us{row['estimated_us'] / row['bound_us']:>6.2f}x"
                     f"{row['binding']:>8}{row['hbm_bytes'] / 1e6:>8.1f}MB{row['unfused_us']:>9.1f}us"
                     f"{row['unfused_hbm_bytes'] / 1e6:>8.1f}MB{row['unfused_us'] / row['estimated_us']:>7.2f}x"
                     f"{row['unfused_hbm_bytes'] / row['hbm_bytes']:>9.2f}x{fused:>6} /{unfused:>4}")
    lines.append(f"(a launch costs about {_LAUNCH_US:g} us more where it is not hidden behind the kernel before it)")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(_cli.run(main))
