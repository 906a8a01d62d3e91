"""python -m vit_kernels.predict IMAGE_OR_DIR...: the likeliest classes of images."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path
from typing import Any, Callable

from vit_kernels import _cli
from vit_kernels.errors import ImageError, UsageError
from vit_kernels.run_mindformer import by_recipe

# File names end at 255 bytes, which may be four to a character.
_LONGEST_STEM = 50
COLUMNS = ("file", "rank", "index", "label", "score")


def _parser() -> argparse.ArgumentParser:
    parser = _cli.parser("predict", "Print the likeliest classes of images.")
    parser.add_argument("--config", help="a recipe in MindFormers' YAML schema; the options are then those of run_mindformer.py")
    parser.add_argument("images", nargs="*", metavar="IMAGE_OR_DIR",
                        help="image files, folders, patterns such as 'a/*.jpg', http(s) addresses")
    parser.add_argument("--predict-data", "--predict_data", "--data-dir", "--data_dir", nargs="+", default=[],
                        metavar="IMAGE_OR_DIR", help="the same")
    parser.add_argument("--checkpoint", "--load_checkpoint",
                        help="a checkpoint file of any supported kind or a run's output folder; default: the newest run in output/")
    parser.add_argument("--model", help="a named model such as vit_base_p16: its weights on this machine, or the "
                        "architecture that --checkpoint must have")
    parser.add_argument("--allow-random", "--allow_random", action="store_true",
                        help="predict with random weights where --model has none on this machine, instead of refusing to")
    parser.add_argument("--timeout", type=_cli.positive_float, default=10.0, help="seconds to wait for an address")
    parser.add_argument("--topk", "--top-k", "--top_k", type=_cli.positive_int, default=5, help="classes per image")
    parser.add_argument("--batch-size", "--batch_size", "--predict_batch_size", "-b", type=_cli.positive_int, default=32,
                        help="images per batch")
    parser.add_argument("--labels", help="text file with one class name a line; default: the checkpoint's")
    parser.add_argument("--results-file", "--results_file", help="also write the results to this .csv or .json file")
    parser.add_argument("--attention", metavar="FOLDER",
                        help="also write a picture per image: where the model looked, and the likeliest classes")
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

    files = expand(args.images + args.predict_data)
    _cli.graph_mode()
    classifier = _classifier(args)
    if args.labels:
        classifier.classes = read_labels(args.labels, len(classifier.classes))
    print(f"{classifier.path}: backend {classifier.model.backend}", flush=True)
    overlays = Overlays(args.attention, classifier) if args.attention else None
    rows, failed = predict_files(classifier, files, args.topk, args.batch_size, args.timeout, overlays)
    if overlays:
        print(f"attention: {len(overlays.written)} pictures in {args.attention}")
    _show(rows)
    if args.results_file:
        write_results(args.results_file, rows)
    _cli.print_result(rows)
    if failed:
        print(f"error: {failed} of {len(files)} images could not be read, see above", file=sys.stderr)
    return 1 if failed else 0


def _classifier(args: argparse.Namespace):
    from vit_kernels.inference import load_classifier
    from vit_kernels.models import create_config
    from vit_kernels.pretrained import WeightsMissing

    try:
        named = create_config(args.model) if args.model else None
    except ValueError as error:
        raise UsageError(f"--model: {error}") from None
    if args.allow_random and not args.model and not args.checkpoint:
        raise UsageError("--allow-random needs to know the architecture; name it, for instance --model vit_base_p16")
    try:
        classifier = load_classifier(args.checkpoint or args.model, args.backend, args.allow_random)
    except WeightsMissing as error:
        raise WeightsMissing(f"{error}\nRandom weights are used with --allow-random only") from None
    for field in ("embed_dim", "depth", "patch_size"):
        if named and classifier.model.config[field] != named[field]:
            raise UsageError(f"--model {args.model} has {field} {named[field]}, {classifier.path} has "
                             f"{classifier.model.config[field]}; leave --model out, or name the right file")
    return classifier


def predict_files(classifier, files: list[str], topk: int, batch_size: int, timeout: float = 10.0,
                  each: Callable | None = None) -> tuple[list[dict[str, Any]], int]:
    """Predict images; those that cannot be read are reported on stderr and left out.

    Args:
        classifier: an `inference.Classifier`.
        files: of `data.sources.expand`.
        topk: classes per image.
        batch_size: images per step.
        timeout: seconds to wait for an address.
        each: called with the file, the decoded image and its rows.

    Returns:
        (one row per file and rank with the keys COLUMNS, number of files that could not be read).
    """
    from tqdm import tqdm

    from vit_kernels.data.decode import open_image
    from vit_kernels.data.inputs import fetch_image
    from vit_kernels.download import DownloadError, is_address
    from vit_kernels.inference import in_batches

    channels = classifier.preprocessing.channels
    rows: list[dict[str, Any]] = []
    failed = 0
    size = min(batch_size, len(files))
    with tqdm(total=len(files), unit="img", disable=None if len(files) > 1 else True, file=sys.stderr) as bar:
        for batch in in_batches(files, size):
            images = []
            for file in batch:
                try:
                    image = fetch_image(file, channels, timeout) if is_address(file) else open_image(file, channels)
                    images.append((file, image))
                except (ImageError, DownloadError) as error:
                    failed += 1
                    bar.write(f"error: {error}", file=sys.stderr)
            if images:
                inputs = classifier.prepare([image for _, image in images])
                best = classifier.top(classifier.probabilities(inputs, size), topk)
                for (file, image), ranked in zip(images, best):
                    rows += [{"file": file, **row} for row in ranked]
                    if each is not None:
                        each(file, image, ranked)
            bar.update(len(batch))
    return rows, failed


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["rank"] == 1:
            print(row["file"])
        print(f"  {100 * row['score']:6.2f} %  {row['label']}  [{row['index']}]")


class Overlays:
    """Writes a PNG for each image it is called with; images of one name from several folders are numbered.

    Args:
        folder: where they go; made if need be.
        classifier: whose attention is shown.

    Raises:
        OutputError: the folder cannot be made, or a picture not be written.
    """

    def __init__(self, folder: str, classifier):
        from vit_kernels.errors import OutputError

        self.folder, self.classifier, self.written = Path(folder), classifier, []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--attention {folder}: {error.strerror}; name a folder that can be written") from error

    def __call__(self, file: str, image, ranked: list[dict[str, Any]]) -> None:
        from vit_kernels.download import file_name, is_address
        from vit_kernels.overlay import attention_heat, write_overlay

        stem = Path(file_name(file) if is_address(file) else file).stem[:_LONGEST_STEM]
        path, number = self.folder / f"{stem}-attention.png", 2
        while path in self.written:
            path, number = self.folder / f"{stem}-attention-{number}.png", number + 1
        seen = self.classifier.preprocessing.transform()(image, None)
        subject = f"attention of the {'patches' if self.classifier.model.averages else 'class token'}, all layers"
        write_overlay(path, seen, attention_heat(self.classifier, image), ranked, file, subject)
        self.written.append(path)


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
