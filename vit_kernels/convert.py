"""python -m vit_kernels.convert --input X --output Y: weights of any supported kind into any other."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vit_kernels import _cli
from vit_kernels.errors import UsageError

_MINDFORMERS_OUTPUT = ("--mindspore_path", "--ms_ckpt_path")
_SHOWN = 8


def _parser() -> argparse.ArgumentParser:
    from vit_kernels.checkpoint import TARGETS
    from vit_kernels.checkpoint.vocabularies import VOCABULARIES

    parser = _cli.parser("convert", "Convert weights of a Vision Transformer. The input's format is recognised by its content. "
                         "PyTorch is not needed.")
    parser.add_argument("--input", "--torch_path", "--torch_pth_path", "--input_path", required=True,
                        help="a checkpoint file of any supported kind, a Hugging Face folder, or a run's output folder")
    parser.add_argument("--output", *_MINDFORMERS_OUTPUT, "--output_path", required=True,
                        help="the file to write; with --to hf a name without extension is a folder")
    parser.add_argument("--from", dest="source", choices=["auto", *VOCABULARIES], default="auto", help="names in the input")
    parser.add_argument("--to", choices=list(TARGETS), default=None,
                        help="what to write; default: by the output's extension, MindFormers' names with MindFormers' flags")
    parser.add_argument("--dtype", choices=["fp32", "fp16", "bf16"], help="of the weights; default: as they are")
    parser.add_argument("--num-heads", "--num_heads", type=_cli.positive_int,
                        help="attention heads, where neither the file nor the width tells")
    parser.add_argument("--allow-unmapped", "--allow_unmapped", action="store_true",
                        help="leave out tensors that no table of names explains, instead of refusing the file")
    return parser


def main(argv: list[str]) -> int:
    """Parse, convert, print the result."""
    args = _parser().parse_args(argv)
    if args.to is None and any(word.split("=")[0] in _MINDFORMERS_OUTPUT for word in argv):
        args.to = "mindformers"
    _cli.print_result(convert(args.input, args.output, args.source, args.to, args.dtype, args.num_heads, args.allow_unmapped))
    return 0


def convert(source: str, output: str, vocabulary: str = "auto", target: str | None = None, dtype: str | None = None,
            num_heads: int | None = None, allow_unmapped: bool = False) -> dict:
    """Convert a checkpoint and print what became of its tensors.

    Args:
        source: what `vit_kernels.checkpoint.load` takes.
        output: the file to write; missing folders are made.
        vocabulary: names in the source, 'auto' to find out.
        target: a key of `vit_kernels.checkpoint.TARGETS`; None goes by the output's extension.
        dtype: 'fp32', 'fp16', 'bf16', or None to keep each tensor's own.
        num_heads: attention heads where they cannot be told.
        allow_unmapped: leave unknown tensors out.

    Returns:
        The figures that were printed, ready for JSON.

    Raises:
        UsageError: the output's name says nothing about the format.
        CheckpointError: unreadable, unknown names, or something the target has no name for. Nothing is left half-written.
    """
    from vit_kernels import checkpoint
    from vit_kernels.checkpoint.writing import target_for

    try:
        target = target or target_for(output)
    except checkpoint.CheckpointError as error:
        raise UsageError(str(error)) from None
    opened = checkpoint.load(source, vocabulary)
    if num_heads:
        opened.metadata["num_heads"] = num_heads
    print(f"{opened.path} ({opened.format}, {opened.vocabulary} names, {opened.dtype}): {len(opened.tensors)} tensors mapped, "
          f"{len(opened.unexpected)} unmapped, {len(opened.ignored)} ignored")
    reasons: dict[str, int] = {}
    for reason in opened.ignored.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in reasons.items():
        print(f"  ignored: {count}: {reason}")
    for name in opened.unexpected[:_SHOWN]:
        print(f"  unmapped: {name}")
    if opened.unexpected and not allow_unmapped:
        raise checkpoint.CheckpointError(
            f"{opened.path} has {len(opened.unexpected)} tensors that no table of names explains ({opened.unexpected[0]}, ...): "
            "it is another kind of model, and would give other results without them; --allow-unmapped leaves them out")
    folder = os.path.dirname(output)
    if folder:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise checkpoint.CheckpointError(f"cannot make the folder {folder}: {error.strerror}") from error
    written, kept, left = _write(opened, output, target, dtype)
    size = os.path.getsize(written)
    print(f"{written} ({target}, {dtype or opened.dtype}): {size / 1e6:,.1f} MB")
    for what, where in kept.items():
        print(f"  kept: {what}, in {where}")
    for what, why in left.items():
        print(f"  left behind: {what}: {why}")
    print("Weights conversion completes.", flush=True)
    return {"input": opened.path, "format": opened.format, "vocabulary": opened.vocabulary, "output": written, "target": target,
            "mapped": len(opened.tensors), "unmapped": opened.unexpected, "ignored": len(opened.ignored), "bytes": size,
            "kept": kept, "left_behind": left}


def _write(opened, output: str, target: str, dtype: str | None) -> tuple[str, dict[str, str], dict[str, str]]:
    """Write the weights, and what belongs to them where the target has a place for it: (path, what is kept -> where, what is
    not -> why)."""
    from vit_kernels import checkpoint
    from vit_kernels.manifest import manifest_of

    try:
        manifest = manifest_of(opened)
    except checkpoint.CheckpointError:
        if target in ("hf", "google") or checkpoint.OWN_HEADER in opened.metadata:
            raise
        manifest = None  # the number of heads cannot be told: then the weights alone
    if manifest is None or not manifest.telling:
        config = manifest.config if target in ("hf", "google") else None
        return checkpoint.save(output, opened.tensors, target, dtype, config), {}, {}
    facts = ["configuration", "preprocessing"] + ([f"{len(manifest.classes)} class names"] if manifest.named else [])
    options, where = {}, "the file's header"
    if target in ("safetensors", "timm"):
        options["metadata"] = {checkpoint.OWN_HEADER: manifest.header()}
    elif target == "hf":
        where = "config.json and preprocessor_config.json"
        options = {"classes": manifest.classes if manifest.named else None, "preprocessor": manifest.hugging_face()}
    written = checkpoint.save(output, opened.tensors, target, dtype, manifest.config, **options)
    kept, left = dict.fromkeys(facts, where), {}
    if target == "hf" and os.path.splitext(output)[1]:
        kept, left = {}, dict.fromkeys(facts, "a single file has no place for it; name a folder as --output")
    elif target not in ("safetensors", "timm", "hf"):
        beside = Path(output).with_suffix(".yaml")
        kept = dict.fromkeys(facts, str(beside))
        if not manifest.write_yaml(beside):
            kept, left = {}, dict.fromkeys(facts, f"{beside} is another kind of file and stays as it is")
    if manifest.training and target not in ("safetensors", "timm"):
        left["record of the training"] = "only our own safetensors files have a place for it"
    return written, kept, left


if __name__ == "__main__":
    sys.exit(_cli.run(main))
