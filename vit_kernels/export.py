"""python -m vit_kernels.export --format mindir|onnx --output FILE: a model as a file for other runtimes."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vit_kernels import _cli
from vit_kernels.errors import ExportError, UsageError
from vit_kernels.exporting import OUTPUTS

if TYPE_CHECKING:
    from vit_kernels.models import ViTModel

FORMATS = ("mindir", "onnx")


def _parser() -> argparse.ArgumentParser:
    parser = _cli.parser("export", "Write a model as MINDIR or ONNX: the reference graph (stock operators) in fp32, for any "
                         "batch size. The file is run and compared with the model before it appears.")
    parser.add_argument("--format", type=str.lower, choices=FORMATS, help="default: by the output's extension")
    parser.add_argument("--output", "--output_path", required=True, help="the file to write, ending in .mindir or .onnx")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--checkpoint", "--load_checkpoint",
                       help="a checkpoint file of any supported kind or a run's output folder; default: the newest run in "
                       "output/")
    which.add_argument("--model", help="a named model such as vit_base_p16, whose weights are on this machine")
    parser.add_argument("--allow-random", "--allow_random", action="store_true",
                        help="with --model: where its weights are not on this machine, export random ones")
    parser.add_argument("--batch", "--batch-size", "--batch_size", "-b", type=_cli.positive_int,
                        help="a fixed batch size; default: any")
    parser.add_argument("--image-size", "--image_size", "--img-size", "--img_size", type=_cli.positive_int, nargs="+",
                        metavar="PIXELS", help="side, or height and width, of the input; default: the checkpoint's")
    parser.add_argument("--returns", nargs="+", choices=list(OUTPUTS), default=[],
                        help="outputs; default: logits, features of a backbone")
    parser.add_argument("--no-check", "--no_check", action="store_true",
                        help="do not run the file and compare it with the model")
    return parser


def main(argv: list[str]) -> int:
    """Parse, export, print the result."""
    args = _parser().parse_args(argv)
    if args.backend not in ("auto", "reference"):
        raise UsageError(f"--backend {args.backend} has no effect: what is exported is the reference graph; leave it out")
    if args.allow_random and not args.model:
        raise UsageError("--allow-random goes with --model NAME; a checkpoint brings its own weights")
    size = args.image_size
    if size and len(size) > 2:
        raise UsageError(f"--image-size {' '.join(map(str, size))}: expected the side, or height and width")
    from vit_kernels.models import create_config
    from vit_kernels.pretrained import WeightsMissing

    if args.model:
        try:
            create_config(args.model)
        except ValueError as error:
            raise UsageError(f"--model {args.model}: {error}") from error
    _cli.graph_mode()
    pixels = (size[0] if len(size) == 1 else tuple(size)) if size else None
    try:
        _cli.print_result(export(args.model or args.checkpoint, args.output, args.format, args.batch, args.returns, pixels,
                                 args.allow_random, not args.no_check))
    except WeightsMissing as error:
        raise WeightsMissing(f"{error}\nRandom weights are exported with --allow-random only") from None
    return 0


def export(source: "str | os.PathLike | ViTModel | None", output: str | os.PathLike, format: str | None = None,
           batch: int | None = None, returns: Sequence[str] = (), image_size: int | tuple[int, int] | None = None,
           allow_random: bool = False, check: bool = True) -> dict[str, Any]:
    """Export a model and print what was written.

    What goes in and comes out is described in `vit_kernels.exporting`.

    Args:
        source: a checkpoint file of any supported kind, a run's output folder, a model's name, an http(s) address, a
            `ViTModel`, or None for the newest run in output/.
        output: the file to write, ending in .mindir or .onnx; missing folders are made.
        format: 'mindir' or 'onnx'; None goes by the output's extension.
        batch: a fixed batch size; None for any.
        returns: some of 'logits', 'features', 'tokens'; empty for the logits, or the features of a backbone.
        image_size: pixels of the input, or (height, width), for which position embeddings are resampled; None for the model's.
        allow_random: a name whose weights are not on this machine means random ones.
        check: run the file and compare it with the model before it appears; ONNX only where onnxruntime is installed.

    Returns:
        The figures that were printed, ready for JSON.

    Raises:
        UsageError: arguments that do not fit each other, or no checkpoint.
        CheckpointError: the weights are not there or cannot be read.
        ExportError: the onnx package is missing, or the file does not compute what the model does. Nothing is written.
        OutputError: the file cannot be written. Nothing is left half-written.
    """
    path = Path(output)
    extension = path.suffix.lower()[1:]
    format = (format or extension).lower()
    if format not in FORMATS or extension != format:
        raise UsageError(f"output {path}: expected a name ending in "
                         + (f".{format} for --format {format}" if format in FORMATS else "." + " or .".join(FORMATS)))
    if format == "onnx" and importlib.util.find_spec("onnx") is None:
        raise ExportError('ONNX files need the onnx package, which is not installed: pip install "vit_kernels[export]"')

    from vit_kernels.exporting import check as checks
    from vit_kernels.exporting.files import staging
    from vit_kernels.exporting.mindir import write_mindir
    from vit_kernels.exporting.onnx_file import write_onnx
    from vit_kernels.exporting.onnx_graph import OPSET, OnnxGraph
    from vit_kernels.exporting.source import open_source

    started = time.perf_counter()
    opened = open_source(source, returns, image_size, allow_random)
    model, config = opened.model, opened.model.config
    count = sum(parameter.size for parameter in model.get_parameters())
    print(f"{opened.path}: {count:,} parameters, {config.image_hw[0]} x {config.image_hw[1]} pixels", flush=True)
    error = None
    with staging(path, 4 * count) as folder:
        if format == "mindir":
            write_mindir(folder / path.name, model, batch, opened.notes())
        else:
            write_onnx(folder / path.name, OnnxGraph(model, batch), 4 * count, opened.notes())
        if check and checks.can_run(format):
            error = checks.largest_difference(folder / path.name, format, model, batch)
        elif check:
            print("not compared with the model: onnxruntime is not installed", flush=True)
        names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        size = sum((folder / name).stat().st_size for name in names)
    described = "any batch size" if batch is None else f"batch size {batch}"
    print(f"{path} ({format}, {described}): {size / 1e6:,.1f} MB"
          + (f" in {len(names)} files" if len(names) > 1 else "")
          + (f"; largest difference from the model {error:.2g}" if error is not None else ""), flush=True)
    return {"file": str(path), "format": format, **({"opset": OPSET} if format == "onnx" else {}),
            "files": [str(path.parent / name) for name in names], "bytes": size, "parameters": count, "source": opened.path,
            "inputs": _described(model.inputs(batch)), "outputs": _described(model.outputs(batch)), "max_abs_error": error,
            "seconds": round(time.perf_counter() - started, 2)}


def _described(shapes: dict[str, tuple]) -> list[dict[str, Any]]:
    return [{"name": name, "shape": list(shape), "dtype": "float32"} for name, shape in shapes.items()]


if __name__ == "__main__":
    sys.exit(_cli.run(main))
