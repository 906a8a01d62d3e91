"""python -m vit_kernels.train: train a Vision Transformer; without arguments, a small one on the embedded digits."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

from vit_kernels import _cli
from vit_kernels.errors import UsageError
from vit_kernels.run_mindformer import by_recipe


def _parser() -> argparse.ArgumentParser:
    parser = _cli.parser("train", "Train a Vision Transformer, evaluating after every epoch. Defaults that depend on the "
                         "data set are in vit_kernels/training/recipes.py.")
    parser.add_argument("--config", help="a recipe in MindFormers' YAML schema; the options are then those of run_mindformer.py")
    parser.add_argument("--dataset", default="digits",
                        help="digits (embedded), fashion-mnist, or a folder with one sub-folder of images per class")
    parser.add_argument("--data-dir", "--data_dir", help="where fashion-mnist's four idx files are")
    parser.add_argument("--model", help="a named model such as vit_tiny_p16; default: the checkpoint's, else the recipe's")
    parser.add_argument("--checkpoint", "--load_checkpoint", "--initial-checkpoint", "--initial_checkpoint",
                        help="weights to fine-tune: a file of any supported kind, a folder, a run's output folder, a name, an "
                        "address. A classifier for other classes starts anew; images are prepared as the checkpoint says")
    for name in ("--mean", "--std"):
        parser.add_argument(name, type=float, nargs="+",
                            help="of the images, per channel in 0..1; default: the checkpoint's, else the recipe's")
    parser.add_argument("--crop-pct", "--crop_pct", type=_cli.positive_float,
                        help="the crop's share of the resized image; same default")
    parser.add_argument("--interpolation", help="bicubic, bilinear, nearest or lanczos; same default")
    parser.add_argument("--epochs", type=_cli.positive_int, help="passes over the training images; default: the recipe's")
    parser.add_argument("--batch-size", "--batch_size", type=_cli.positive_int, help="default: the recipe's")
    parser.add_argument("--lr", type=_cli.positive_float,
                        help="peak learning rate; default: the recipe's, in proportion to the batch size")
    parser.add_argument("--seed", type=_cli.seed, default=0, help="of weights, order and augmentation")
    parser.add_argument("--workers", type=_cli.non_negative_int, default=2, help="threads that decode images")
    parser.add_argument("--output", help="folder for the results; default: output/<time>-<dataset>-<model>")
    return parser


def main(argv: list[str]) -> int:
    """Parse, train, print the result."""
    done = by_recipe(argv, "train")
    if done is not None:
        return done
    args = _parser().parse_args(argv)

    # MindSpore takes seconds to import: not before the arguments are known to be right.
    import mindspore as ms

    from vit_kernels.checkpoint import load_checkpoint_into
    from vit_kernels.data import Loader, load_dataset
    from vit_kernels.models import ViTForImageClassification, count_parameters
    from vit_kernels.training.fit import Trainer
    from vit_kernels.training.recipes import recipe_for
    from vit_kernels.training.run_folder import ROOT, RunFolder

    data = load_dataset(args.dataset, args.data_dir)
    recipe = recipe_for(data.name)
    classes = len(data.train.classes)
    opened = _opened(args.checkpoint)
    config = _config(args, recipe, opened, classes)
    preprocessing, stated_in = _preprocessing(args, recipe, opened, config)
    batch_size = min(args.batch_size or recipe.batch_size, len(data.train))
    recipe = dataclasses.replace(
        recipe, model=config.to_dict(), batch_size=batch_size, epochs=args.epochs or recipe.epochs,
        lr=args.lr or recipe.lr * batch_size / recipe.batch_size,
        preprocessing=preprocessing)

    _cli.graph_mode()
    ms.set_seed(args.seed)
    model = ViTForImageClassification(config, backend=args.backend, seed=args.seed)
    if opened is not None:
        load_checkpoint_into(model, opened, new_head=True)
    name = args.model or "vit"
    dataset_name = Path(data.name).name
    record = {"dataset": data.name, "data_dir": os.path.abspath(args.data_dir) if args.data_dir else None}
    folder = RunFolder.create(
        args.output or Path(ROOT) / f"{time.strftime('%Y%m%d-%H%M%S')}-{dataset_name}-{name}",
        {"command": "train", **record, "model_name": name, "seed": args.seed, "backend": model.backend,
         "workers": args.workers, "classes": data.train.classes,
         "checkpoint": opened.path if opened is not None else None, **_plain(recipe), "preprocessing_from": stated_in})

    augmentation = recipe.augmentation
    train_loader = Loader(data.train, recipe.preprocessing, batch_size, augmentation.transform(recipe.preprocessing),
                          shuffle=True, drop_last=True, erase=augmentation.eraser(), mix=augmentation.mixer(classes),
                          seed=args.seed, workers=args.workers)
    eval_loader = Loader(data.test, recipe.preprocessing, batch_size, workers=args.workers)
    print(f"{name}: {count_parameters(config):,} parameters, {config.num_tokens} tokens; {data.name}: {len(data.train):,} "
          f"training and {len(data.test):,} test images, {classes} classes")
    if opened is not None:
        print(f"weights of {opened.path}; images are prepared as in {stated_in}")
    print(f"backend {model.backend}; {recipe.epochs} epochs of {len(train_loader)} steps of {batch_size} images; "
          f"results in {folder.path}", flush=True)
    trainer = Trainer(model, recipe, train_loader, eval_loader, folder, record, f"{name} on {dataset_name}")
    try:
        result = trainer.fit()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the training so far is in {folder.last}" if folder.last.exists() else "") from None
    _cli.print_result({**dataclasses.asdict(result), "backend": model.backend, "output": str(folder.path)})
    return 0


def _opened(where: str | None):
    """The checkpoint to start from."""
    from vit_kernels import checkpoint
    from vit_kernels.inference import locate

    return checkpoint.load(locate(where)) if where is not None else None


def _config(args: argparse.Namespace, recipe, opened, classes: int):
    """The architecture: that of --model, else of the checkpoint, else of the recipe."""
    from vit_kernels.config_files import config_fields
    from vit_kernels.models import ViTConfig, create_config

    there = ViTConfig(**{**config_fields(opened), "checkpoint_name_or_path": None}) if opened is not None else None
    rate = recipe.model["drop_path_rate"]
    if args.model is None:
        return (there or ViTConfig(**recipe.model)).replace(num_classes=classes, drop_path_rate=rate)
    try:
        return create_config(args.model, num_classes=classes, drop_path_rate=rate,
                             in_chans=there.in_chans if there else recipe.preprocessing.channels)
    except (ValueError, TypeError) as error:
        raise UsageError(f"--model: {error}") from error


def _preprocessing(args: argparse.Namespace, recipe, opened, config):
    """(how images are prepared, where that is from): the flags before the checkpoint before the recipe."""
    from vit_kernels.manifest import mae_preprocessing, manifest_of

    manifest = manifest_of(opened, config.image_hw) if opened is not None else None
    if manifest is not None and manifest.preprocessing_from:
        base, source = manifest.preprocessing, f"{opened.path} ({manifest.preprocessing_from})"
    elif recipe.preprocessing.channels == config.in_chans:
        base, source = dataclasses.replace(recipe.preprocessing, image_size=config.image_hw), "the recipe"
    else:
        base, source = mae_preprocessing(config.image_hw, config.in_chans), "MAE's rule"
    flags = ("mean", "std", "crop_pct", "interpolation")
    given = {name: getattr(args, name) for name in flags if getattr(args, name) is not None}
    try:
        made = dataclasses.replace(base, **given)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{', '.join('--' + name.replace('_', '-') for name in given)}: {error}") from None
    if made.channels != config.in_chans:
        raise UsageError(f"--mean has {made.channels} values, the model has {config.in_chans} channels; give one for each")
    changed = ", ".join("--" + name.replace("_", "-") for name in given)
    return made, f"{source}{', but ' + changed if changed else ''}"


def _plain(recipe) -> dict:
    values = dataclasses.asdict(recipe)
    values["augmentation"] = {k: list(v) if isinstance(v, tuple) else v for k, v in values["augmentation"].items()}
    values["preprocessing"] = recipe.preprocessing.to_dict()
    return values


if __name__ == "__main__":
    sys.exit(_cli.run(main))
