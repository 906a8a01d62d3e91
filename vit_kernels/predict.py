"""python -m vit_kernels.predict IMAGE_OR_DIR...: the likeliest classes of images."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from vit_kernels import _cli
from vit_kernels.errors import ImageError, UsageError
from vit_kernels.run_mindformer import by_recipe

COLUMNS = ("file", "rank", "index", "label", "score")


def _parser() -> argparse.ArgumentParser:
    parser = _cli.parser("predict", "Print the likeliest classes of images.")
    parser.add_argument("--config", help="a recipe in MindFormers' YAML schema; the options are then those of run_mindformer.py")
    parser.add_argument("images", nargs="*", metavar="IMAGE_OR_DIR", help="image files, folders, patterns such as 'a/*.jpg'")
    parser.add_argument("--predict-data", "--predict_data", nargs="+", default=[], metavar="IMAGE_OR_DIR", help="the same")
    parser.add_argument("--checkpoint", "--load_checkpoint",
                        help="a checkpoint file of any supported kind or a run's output folder; default: the newest run in output/")
    parser.add_argument("--topk", "--top-k", "--top_k", type=_cli.positive_int, default=5, help="classes per image")
    parser.add_argument("--batch-size", "--batch_size", "--predict_batch_size", "-b", type=_cli.positive_int, default=32,
                        help="images per batch")
    parser.add_argument("--labels", help="text file with one class name a line; default: the checkpoint's")
    parser.add_argument("--results-file", "--results_file", help="also write the results to this .csv or .json file")
    parser.add_argument("--attention", metavar="FOLDER",
                        help="also write a picture per image: where the class token looked, and the likeliest classes")
    return parser


def main(argv: list[str]) -> int:
    """Parse, predict, print the result. Images that cannot be read are reported and make the exit code 1."""
    done = by_recipe(argv, "predict")
    if done is not None:
        return done
    args = _parser().parse_args(argv)
    suffix = Path(args.results_file).suffix.lower() if args.results_file else ""
    if suffix not in ("", ".csv", ".json") or args.results_file and not suffix:
        raise UsageError(f"--results-file {args.results_file}: expected a name that ends in .csv or .json")
    if not args.images + args.predict_data:
        raise UsageError("name at least one image, folder or pattern")

    from vit_kernels.data.labels import read_labels
    from vit_kernels.data.sources import expand
    from vit_kernels.inference import load_classifier

    files = expand(args.images + args.predict_data)
    _cli.graph_mode()
    classifier = load_classifier(args.checkpoint, args.backend)
    if args.labels:
        classifier.classes = read_labels(args.labels, len(classifier.classes))
    print(f"{classifier.path}: backend {classifier.model.backend}", flush=True)
    rows, failed = predict_files(classifier, files, args.topk, args.batch_size)
    if args.attention:
        write_overlays(args.attention, classifier, rows)
    _show(rows)
    if args.results_file:
        write_results(args.results_file, rows)
    _cli.print_result(rows)
    if failed:
        print(f"error: {failed} of {len(files)} images could not be read, see above", file=sys.stderr)
    return 1 if failed else 0


def predict_files(classifier, files: list[str], topk: int, batch_size: int) -> tuple[list[dict[str, Any]], int]:
    """(one row per file and rank with the keys COLUMNS, number of files that could not be read)."""
    from tqdm import tqdm

    from vit_kernels.data.decode import open_image
    from vit_kernels.inference import in_batches

    rows: list[dict[str, Any]] = []
    failed = 0
    size = min(batch_size, len(files))
    with tqdm(total=len(files), unit="img", disable=None if len(files) > 1 else True, file=sys.stderr) as bar:
        for batch in in_batches(files, size):
            images = []
            for file in batch:
                try:
                    images.append((file, open_image(file, classifier.preprocessing.channels)))
                except ImageError as error:
                    failed += 1
                    bar.write(f"error: {error}", file=sys.stderr)
            if images:
                inputs = classifier.prepare([image for _, image in images])
                best = classifier.top(classifier.probabilities(inputs, size), topk)
                rows += [{"file": file, **row} for (file, _), ranked in zip(images, best) for row in ranked]
            bar.update(len(batch))
    return rows, failed


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["rank"] == 1:
            print(row["file"])
        print(f"  {100 * row['score']:6.2f} %  {row['label']}  [{row['index']}]")


def write_overlays(folder: str, classifier, rows: list[dict[str, Any]]) -> list[Path]:
    """One PNG per image of `predict_files` in `folder`; files of one name in several folders are numbered.

    Raises:
        OutputError: it cannot be written.
    """
    from vit_kernels.data.decode import open_image
    from vit_kernels.errors import OutputError
    from vit_kernels.overlay import class_token_heat, write_overlay

    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--attention {folder}: {error.strerror}; name a folder that can be written") from error
    ranked: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        ranked.setdefault(row["file"], []).append(row)
    written: list[Path] = []
    for file, best in ranked.items():
        image = open_image(file, classifier.preprocessing.channels)
        path = Path(folder) / f"{Path(file).stem}-attention.png"
        number = 2
        while path in written:
            path = Path(folder) / f"{Path(file).stem}-attention-{number}.png"
            number += 1
        write_overlay(path, classifier.preprocessing.transform()(image, None), class_token_heat(classifier, image), best, file)
        written.append(path)
    print(f"attention: {len(written)} pictures in {folder}")
    return written


def write_results(path: str, rows: list[dict[str, Any]]) -> None:
    """The rows as CSV or JSON, by the file's ending.

    Raises:
        OutputError: it cannot be written.
    """
    from vit_kernels.training.files import write_text

    if path.lower().endswith(".json"):
        write_text(path, json.dumps(_cli.finite(rows), indent=2) + "\n")
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


if __name__ == "__main__":
    sys.exit(_cli.run(main))
