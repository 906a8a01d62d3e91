"""python -m vit_kernels.eval: top-1, top-5 and loss of a checkpoint over every test image."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from vit_kernels import _cli
from vit_kernels.errors import UsageError
from vit_kernels.run_mindformer import by_recipe


def _parser() -> argparse.ArgumentParser:
    parser = _cli.parser("eval", "Evaluate a checkpoint on every test image, the last partial batch included.")
    parser.add_argument("--config", help="a recipe in MindFormers' YAML schema; the options are then those of run_mindformer.py")
    parser.add_argument("--checkpoint", "--load_checkpoint",
                        help="a checkpoint file of any supported kind or a run's output folder; default: the newest run in output/")
    parser.add_argument("--dataset", "--eval_dataset_dir",
                        help="digits, fashion-mnist or a folder of class folders; default: the one it was trained on")
    parser.add_argument("--data-dir", "--data_dir", help="where fashion-mnist's four idx files are")
    parser.add_argument("--batch-size", "--batch_size", type=_cli.positive_int, default=64, help="images per batch")
    parser.add_argument("--workers", type=_cli.non_negative_int, default=2, help="threads that decode images")
    return parser


def main(argv: list[str]) -> int:
    """Parse, evaluate, print the result."""
    done = by_recipe(argv, "eval")
    if done is not None:
        return done
    args = _parser().parse_args(argv)

    from tqdm import tqdm

    from vit_kernels.data import Loader
    from vit_kernels.data.datasets import absolute_name, load_dataset, load_test_images
    from vit_kernels.inference import load_classifier
    from vit_kernels.training.evaluation import evaluate

    _cli.graph_mode()
    classifier = load_classifier(args.checkpoint, args.backend)
    trained_on = classifier.training
    name = args.dataset or trained_on.get("dataset")
    if name is None:
        raise UsageError(f"{classifier.path} does not say what it was trained on; name the images with --dataset")
    if absolute_name(name) == trained_on.get("dataset"):  # the part that training left out
        images = load_dataset(name, args.data_dir or trained_on.get("data_dir")).test
    else:
        images = load_test_images(name, args.data_dir)
    if len(images.classes) != len(classifier.classes) or trained_on and images.classes != classifier.classes:
        odd = sorted(set(images.classes) ^ set(classifier.classes))[:6]
        raise UsageError(f"--dataset {name} has {len(images.classes)} classes, the checkpoint {len(classifier.classes)}"
                         + (f"; only one of them has {', '.join(odd)}" if trained_on else "")
                         + "; evaluate on images of the classes it was trained for")
    model = classifier.model
    print(f"{classifier.path}: backend {model.backend}; {len(images):,} images of {name}", flush=True)
    loader = Loader(images, classifier.preprocessing, min(args.batch_size, len(images)), workers=args.workers)
    with tqdm(total=len(images), unit="img", disable=None, file=sys.stderr) as bar:
        metrics = evaluate(model, loader, bar.update)
    print(f"top-1 {100 * metrics.top1:.2f} %  top-5 {100 * metrics.top5:.2f} %  loss {metrics.loss:.4f}  "
          f"{metrics.samples_per_sec:,.0f} img/s")
    _cli.print_result({**dataclasses.asdict(metrics), "backend": model.backend})
    return 0


if __name__ == "__main__":
    sys.exit(_cli.run(main))
