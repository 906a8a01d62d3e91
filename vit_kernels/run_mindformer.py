"""python run_mindformer.py --config FILE.yaml --run_mode train|finetune|eval|predict: MindFormers' script."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from vit_kernels import _cli
from vit_kernels.errors import UsageError

RESULT_FILE = "image_classification_result.txt"
# Flags that set one key of the configuration.
_KEYS = {"mode": "context.mode", "output_dir": "output_dir", "seed": "seed", "epochs": "runner_config.epochs",
         "batch_size": "runner_config.batch_size", "load_checkpoint": "load_checkpoint", "run_mode": "run_mode",
         "do_eval": "do_eval", "use_parallel": "use_parallel", "resume_training": "resume_training",
         "auto_trans_ckpt": "auto_trans_ckpt",
         "train_dataset_dir": "train_dataset.data_loader.dataset_dir", "eval_dataset_dir": "eval_dataset.data_loader.dataset_dir"}
# Flags of MindFormers that have no effect here.
_IGNORED = ("device_id", "device_target", "src_strategy_path_or_dir", "only_save_strategy", "strategy_load_checkpoint",
            "remote_save_url", "profile", "sink_mode")


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _parser() -> argparse.ArgumentParser:
    parser = _cli.parser("run_mindformer", "Run a recipe in MindFormers' YAML schema. Any further --a.b.c VALUE sets that key.")
    parser.add_argument("--config", required=True, help="the recipe, relative to the working directory or to the script")
    parser.add_argument("--run_mode", choices=["train", "finetune", "eval", "predict"], help="default: the recipe's")
    parser.add_argument("--mode", type=int, choices=[0, 1], help="0 graph, 1 PyNative")
    parser.add_argument("--train_dataset_dir", help="a folder of class folders")
    parser.add_argument("--eval_dataset_dir", help="a folder of class folders")
    parser.add_argument("--dataset_dir", help="the data set of the run mode")
    parser.add_argument("--predict_data", "--predict-data", nargs="+", help="images, folders, patterns, addresses")
    parser.add_argument("--predict_batch_size", type=_cli.positive_int, default=32, help="images per step")
    parser.add_argument("--allow_random", "--allow-random", action="store_true",
                        help="predict with random weights where the named ones are not on this machine")
    parser.add_argument("--top_k", "--top-k", "--topk", type=_cli.positive_int, default=1, help="classes per image")
    parser.add_argument("--load_checkpoint", "--checkpoint", help="a checkpoint of any kind, a folder, an address, a model's name")
    parser.add_argument("--output_dir", "--output", help="where runs go")
    parser.add_argument("--seed", type=_cli.non_negative_int)
    parser.add_argument("--epochs", type=_cli.positive_int)
    parser.add_argument("--batch_size", "--batch-size", "-b", type=_cli.positive_int)
    for name in ("do_eval", "use_parallel", "resume_training", "auto_trans_ckpt"):
        parser.add_argument(f"--{name}", type=_boolean)
    parser.add_argument("--num_samples", help="refused: name a smaller folder")
    parser.add_argument("--options", nargs="+", default=[], metavar="KEY=VALUE", help="keys of the configuration")
    for name in _IGNORED:
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    return parser


def by_recipe(argv: list[str], run_mode: str) -> int | None:
    """What the commands train, eval and predict do with --config: the same as this one; None without --config."""
    if not any(word.split("=")[0] == "--config" for word in argv):
        return None
    return main([*argv, *([] if any(word.split("=")[0] == "--run_mode" for word in argv) else ["--run_mode", run_mode])])


def main(argv: list[str], script_folder: str | os.PathLike | None = None) -> int:
    """Parse, run, print the result.

    Args:
        argv: the arguments.
        script_folder: where a relative --config is looked for when the working directory has none.
    """
    args, rest = _parser().parse_known_args(argv)
    if args.num_samples is not None:
        raise UsageError("--num_samples is not supported: name a folder with fewer images")
    overrides = _dotted(rest) + [_pair(text) for text in args.options]

    from vit_kernels.config_files import read_yaml
    from vit_kernels.mindformers_config import override

    path = Path(args.config)
    if not path.exists() and script_folder is not None:
        path = Path(script_folder) / path
    if not path.is_file():
        raise UsageError(f"--config {args.config} does not exist; check the path")
    try:
        document = read_yaml(path)
    except ValueError as error:
        raise UsageError(f"--config {error}") from None
    if "base_config" in document:
        raise UsageError(f"--config {path}: base_config lists of files are not supported; merge them into one file")
    for flag, key in _KEYS.items():
        value = getattr(args, flag)
        if value is not None:
            for section in _parents(key):  # a flag may set what a short recipe leaves out
                _ensure(document, section)
            override(document, key, value)
    for key, value in overrides:
        override(document, key, value)
    for name in _IGNORED:
        if getattr(args, name) is not None:
            print(f"--{name} has no effect here", file=sys.stderr)
    return _run(document, args)


def _run(document: dict[str, Any], args: argparse.Namespace) -> int:
    from vit_kernels.trainer import Trainer

    mode = document.get("run_mode", "train")
    if mode not in ("train", "finetune", "eval", "predict"):
        raise UsageError(f"run_mode: {mode!r}, expected train, finetune, eval or predict")
    if mode == "predict" and not args.predict_data:
        raise UsageError("--predict_data is missing; name images, folders or patterns")
    sets = {"train_dataset": args.train_dataset_dir or (args.dataset_dir if mode in ("train", "finetune") else None),
            "eval_dataset": args.eval_dataset_dir or (args.dataset_dir if mode == "eval" else None)}
    trainer = Trainer(document, backend=args.backend, **{name: folder for name, folder in sets.items() if folder is not None})
    if mode in ("train", "finetune"):
        result = trainer.train() if mode == "train" else trainer.finetune()
        _cli.print_result(dataclasses.asdict(result))
    elif mode == "eval":
        _cli.print_result(trainer.evaluate())
    else:
        return _predict(trainer, args)
    return 0


def _predict(trainer: Any, args: argparse.Namespace) -> int:
    from vit_kernels.data.sources import expand
    from vit_kernels.predict import predict_files
    from vit_kernels.pretrained import WeightsMissing
    from vit_kernels.training.files import write_text

    files = expand(args.predict_data)
    try:
        classifier = trainer.classifier(None, args.allow_random)
    except WeightsMissing as error:
        raise WeightsMissing(f"{error}\nRandom weights are used with --allow_random only") from None
    best: list[list[dict[str, Any]]] = []

    def keep(_file: str, _image: Any, ranked: list[dict[str, Any]]) -> None:
        best.append([{name: row[name] for name in ("score", "label", "index")} for row in ranked])

    _, failed = predict_files(classifier, files, args.top_k, args.predict_batch_size, each=keep)
    write_text(RESULT_FILE, f"{best}\n")
    print(f"output result is: {best}\noutput result is saved at: {RESULT_FILE}")
    _cli.print_result(best)
    if failed:
        print(f"error: {failed} of {len(files)} images could not be read, see above", file=sys.stderr)
    return 1 if failed else 0


def _parents(key: str) -> list[str]:
    parts = key.split(".")[:-1]
    return [".".join(parts[:i + 1]) for i in range(len(parts))]


def _ensure(document: dict[str, Any], path: str) -> None:
    for part in path.split("."):
        if not isinstance(document.get(part), dict):
            document[part] = {}
        document = document[part]


def _dotted(words: list[str]) -> list[tuple[str, Any]]:
    """--a.b VALUE and --a.b=VALUE pairs."""
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or "." not in word.split("=")[0]:
            raise UsageError(f"unknown argument {word!r}; keys of the configuration are given as --a.b.c VALUE")
        if "=" in word:
            found.append(_pair(word[2:]))
        elif rest:
            found.append((word[2:], _value(rest.pop(0))))
        else:
            raise UsageError(f"{word} has no value")
    return found


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"{text!r}, expected KEY=VALUE")
    return key, _value(value)


def _value(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


if __name__ == "__main__":
    sys.exit(_cli.run(main))
