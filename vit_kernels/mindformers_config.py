"""A MindFormers ViT YAML file as the settings of a run here: what each key means, which have no effect, which are refused."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from vit_kernels.data.augmentation import Augmentation
from vit_kernels.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_kernels.errors import UsageError
from vit_kernels.models import ViTConfig, create_config
from vit_kernels.processor import interpolation_named, resize_to_crop_pct
from vit_kernels.training.recipes import Recipe

logger = logging.getLogger("vit_kernels")


@dataclasses.dataclass(frozen=True)
class Settings:
    """A run's choices. The defaults are MAE's fine-tuning of ViT-B/16, which the YAML file of MindFormers writes out.

    Attributes:
        model_name, model: a named architecture and the `ViTConfig` fields that differ from it.
        checkpoint: weights to start from, or to evaluate and predict with; '' for none.
        named_weights: the name that model_config gives to evaluate and predict with where `checkpoint` is empty.
        lr: base learning rate; times batch size / lr_scale_factor where that is not 0.
        warmup_steps: instead of warmup_epochs where it is not None.
        resize: the shorter side before the evaluation's crop; None for MAE's rule.
        own_preprocessing: the file's transforms say how images are prepared; then no checkpoint says otherwise.
        mode: 0 graph, 1 PyNative.
        without_effect: keys of the file that nothing here reads.
    The others are called as in `Recipe`.
    """

    run_mode: str = "train"
    do_eval: bool = False
    mode: int = 0
    output_dir: str = "./output"
    seed: int = 0
    data_seed: int | None = None
    checkpoint: str = ""
    named_weights: str = ""
    model_name: str = "vit_base_p16"
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    train_dir: str = ""
    eval_dir: str = ""
    workers: int = 2
    epochs: int = 100
    batch_size: int = 32
    eval_batch_size: int | None = None
    lr: float = 5e-4
    lr_scale_factor: float = 256
    lr_end: float = 1e-6
    warmup_epochs: float = 5.0
    warmup_steps: int | None = None
    layer_decay: float = 0.65
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    clip_norm: float = 0.0
    augmentation: Augmentation = Augmentation(crop_scale=(0.08, 1.0), flip=0.5, rand_augment="rand-m9-mstd0.5-inc1", erase=0.25,
                                              mixup=0.8, cutmix=1.0, label_smoothing=0.1)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: int | None = None
    interpolation: str = "bicubic"
    own_preprocessing: bool = False
    without_effect: tuple[str, ...] = ()

    def config(self, **overrides: Any) -> ViTConfig:
        """The model's configuration; weights are loaded explicitly, not through it."""
        return create_config(self.model_name, **self.model).replace(checkpoint_name_or_path=None, **overrides)

    def preprocessing(self, config: ViTConfig) -> Preprocessing:
        """Of the model's input."""
        return Preprocessing(config.image_hw, self.mean, self.std, resize_to_crop_pct(config.image_hw, self.resize),
                             interpolation=self.interpolation)

    def recipe(self, config: ViTConfig, batch_size: int, steps_per_epoch: int) -> Recipe:
        """Everything resolved for a data set."""
        warmup = self.warmup_epochs if self.warmup_steps is None else self.warmup_steps / max(steps_per_epoch, 1)
        scale = batch_size / self.lr_scale_factor if self.lr_scale_factor else 1.0
        return Recipe(config.to_dict(), self.preprocessing(config), self.augmentation, self.epochs, batch_size, self.lr * scale,
                      self.lr_end, warmup, self.weight_decay, self.layer_decay, self.beta2, self.clip_norm, self.beta1, self.eps)


class _Reader:
    """A nested mapping that remembers which of its values were asked for."""

    def __init__(self, document: dict[str, Any]):
        self.document, self.used = document, set()

    def get(self, path: str, default: Any = None, kind: type | tuple = object) -> Any:
        """The value at a dotted path; a missing or null one is the default.

        Raises:
            UsageError: another type.
        """
        value: Any = self.document
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        self.used.add(path)
        if value is None:
            return default
        if kind is float and isinstance(value, str):  # YAML reads 1e-6 as text
            try:
                value = float(value)
            except ValueError:
                pass
        kinds = (int, float) if kind is float else kind
        if not isinstance(value, kinds) or isinstance(value, bool) and kind in (int, float):
            raise UsageError(f"{path}: {value!r}, expected {getattr(kind, '__name__', kind)}")
        return float(value) if kind is float else value

    def section(self, path: str) -> dict[str, Any]:
        """A mapping at a dotted path, all of it taken as read."""
        return dict(self.get(path, {}, dict))

    def refuse(self, path: str, allowed: tuple, why: str) -> None:
        """Raise UsageError unless the value is missing or one of `allowed`."""
        value = self.get(path)
        if value is not None and value not in allowed:
            raise UsageError(f"{path}: {value!r} is not supported: {why}; expected {' or '.join(map(repr, allowed))}")

    def unread(self) -> list[str]:
        """Dotted paths of the leaves that nobody asked for."""
        found: list[str] = []

        def walk(value: Any, path: str) -> None:
            # The tasks repeat the data sets by reference.
            if path in self.used or path.endswith("_dataset_task.dataset_config"):
                return
            if isinstance(value, dict) and value:
                for key, inner in value.items():
                    walk(inner, f"{path}.{key}" if path else str(key))
            elif path:
                found.append(path)

        walk(self.document, "")
        return found


def settings_of(document: dict[str, Any]) -> Settings:
    """Interpret a parsed YAML file of MindFormers' schema; what it leaves out has the defaults of `Settings`.

    Raises:
        UsageError: a value of the wrong type, or one that would need what is not there.
    """
    read, default = _Reader(document), Settings()
    _refusals(read)
    fields = read.section("model.model_config")
    named = fields.pop("checkpoint_name_or_path", None) or ""
    size = read.get("runner_config.image_size")
    fields.pop("type", None)
    if "image_size" not in fields and size is not None:
        fields["image_size"] = size
    if "num_classes" not in fields and "num_labels" not in fields and read.get("runner_config.num_classes") is not None:
        fields["num_classes"] = read.get("runner_config.num_classes", kind=int)
    read.get("runner_config.num_classes")
    decay = read.get("layer_decay", read.get("runner_config.layer_decay", default.layer_decay, float), float)
    scaled = read.get("lr_scale", True, bool)
    factor = read.get("lr_scale_factor", default.lr_scale_factor, float)
    clip = read.get("runner_wrapper.use_clip_grad", False, bool)
    norm = read.get("runner_wrapper.max_grad_norm", 1.0, float)
    values: dict[str, Any] = {
        "run_mode": read.get("run_mode", default.run_mode, str), "mode": read.get("context.mode", 0, int),
        "do_eval": read.get("do_eval", False, bool),
        "output_dir": read.get("output_dir", default.output_dir, str), "seed": read.get("seed", 0, int),
        "checkpoint": read.get("load_checkpoint", read.get("resume_or_finetune_checkpoint", "", str), str) or "",
        "named_weights": named, "model_name": _model_name(read), "model": fields,
        "train_dir": read.get("train_dataset.data_loader.dataset_dir", "", str),
        "eval_dir": read.get("eval_dataset.data_loader.dataset_dir", "", str),
        "workers": read.get("train_dataset.num_parallel_workers", default.workers, int),
        "epochs": read.get("runner_config.epochs", default.epochs, int),
        "batch_size": read.get("runner_config.batch_size", default.batch_size, int),
        "lr": read.get("lr_schedule.learning_rate", default.lr, float),
        "lr_scale_factor": factor if scaled else 0,
        "lr_end": read.get("lr_schedule.lr_end", default.lr_end, float),
        "warmup_epochs": read.get("lr_schedule.warmup_epochs", default.warmup_epochs, float),
        "warmup_steps": read.get("lr_schedule.warmup_steps", None, int),
        # Here "layer_scale" switches the layer-wise decay of the learning rate; it has nothing to do with LayerScale.
        "layer_decay": decay if read.get("layer_scale", True, bool) else 1.0,
        "weight_decay": read.get("optimizer.weight_decay", default.weight_decay, float),
        "beta1": read.get("optimizer.beta1", default.beta1, float), "beta2": read.get("optimizer.beta2", default.beta2, float),
        "eps": read.get("optimizer.eps", default.eps, float), "clip_norm": norm if clip else 0.0,
    }
    values.update(_transforms(read, default))
    # The datasets' own batch sizes and seeds never counted in MindFormers either.
    return Settings(**values, without_effect=tuple(read.unread()))


def _model_name(read: _Reader) -> str:
    name = read.get("trainer.model_name", "vit_base_p16", str)
    return "vit_base_p16" if name == "vit" else name  # r0.2's spelling


def _refusals(read: _Reader) -> None:
    read.refuse("model.arch.type", ("ViTForImageClassification", "VitModel"), "this package has ViT only")
    read.refuse("model.model_config.type", ("ViTConfig", "VitConfig"), "this package has ViT only")
    read.refuse("trainer.type", ("image_classification",), "this package classifies images")
    read.refuse("optimizer.type", ("adamw", "fp32_adamw", "AdamW", "AdamWeightDecay"), "there is AdamW, with bias correction")
    read.refuse("lr_schedule.type", ("cosine",), "the schedule is a cosine with warm-up")
    read.refuse("lr_schedule.total_steps", (-1,), "the schedule ends with the last epoch")
    read.refuse("use_parallel", (False,), "one device only")
    read.refuse("resume_training", (False,), "a run cannot be continued yet; fine-tune from its checkpoint")
    read.refuse("auto_trans_ckpt", (False,), "there are no distributed checkpoints")
    read.refuse("train_dataset.data_loader.type", ("ImageFolderDataset",), "images come from class folders")
    read.refuse("train_dataset.repeat", (1,), "raise the number of epochs instead")
    read.refuse("runner_config.initial_epoch", (0,), "a run cannot be continued yet")
    read.refuse("metric.type", ("Accuracy",), "top-1, top-5 and loss are computed")


def _transforms(read: _Reader, default: Settings) -> dict[str, Any]:
    """Augmentation and preprocessing, from the lists of transforms and mixup_op."""
    result: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    listed = _steps(read, "train_dataset.transforms")
    if listed is not None:
        changes.update(crop_scale=None, flip=0.0, rand_augment="", erase=0.0)
        for name, step in listed:
            if name == "RandomResizedCrop":
                changes["crop_scale"] = tuple(step.get("scale", (0.08, 1.0)))
                changes["crop_ratio"] = tuple(step.get("ratio", (3 / 4, 4 / 3)))
                result["interpolation"] = interpolation_named(step.get("interpolation", "cubic"))
            elif name == "RandomHorizontalFlip":
                changes["flip"] = float(step.get("prob", 0.5))
            elif name in ("rand_augment_transform", "RandAugment"):
                changes["rand_augment"] = str(step.get("config_str", default.augmentation.rand_augment))
            elif name == "Normalize":
                result["mean"], result["std"] = tuple(step.get("mean", IMAGENET_MEAN)), tuple(step.get("std", IMAGENET_STD))
            elif name == "RandomErasing":
                if step.get("mode", "pixel") != "pixel" or step.get("max_count", 1) != 1:
                    raise UsageError(f"train_dataset.transforms: RandomErasing {step}, expected mode pixel and max_count 1")
                changes["erase"] = float(step.get("probability", 0.25))
            elif name not in ("Decode", "ToPIL", "ToTensor"):
                raise UsageError(f"train_dataset.transforms: unknown transform {name!r}")
    for name, step in _steps(read, "eval_dataset.transforms") or []:
        if name == "Resize":
            size = step.get("size", 256)
            result["resize"] = int(size if isinstance(size, int) else min(size))
        elif name not in ("Decode", "CenterCrop", "ToTensor", "Normalize", "ToPIL"):
            raise UsageError(f"eval_dataset.transforms: unknown transform {name!r}")
    mix = read.get("train_dataset.mixup_op", None, dict)
    if mix is not None:
        if mix.get("mode", "batch") != "batch" or mix.get("cutmix_minmax"):
            raise UsageError(f"train_dataset.mixup_op: {mix}, expected mode 'batch' and no cutmix_minmax")
        changes.update(mixup=float(mix.get("mixup_alpha", 1.0)), cutmix=float(mix.get("cutmix_alpha", 0.0)),
                       mix_probability=float(mix.get("prob", 1.0)), switch_probability=float(mix.get("switch_prob", 0.5)),
                       label_smoothing=float(mix.get("label_smoothing", 0.1)))
    elif listed is not None:
        changes.update(mixup=0.0, cutmix=0.0, label_smoothing=0.0)
    return {**result, "own_preprocessing": bool(result), "augmentation": dataclasses.replace(default.augmentation, **changes)}


def _steps(read: _Reader, path: str) -> list[tuple[str, dict[str, Any]]] | None:
    """A list of transforms as (type, options)."""
    listed = read.get(path, None, list)
    if listed is None:
        return None
    if not all(isinstance(step, dict) and isinstance(step.get("type"), str) for step in listed):
        raise UsageError(f"{path}: {listed!r}, expected a list of mappings with a type each")
    return [(step["type"], step) for step in listed]


def override(document: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path.

    Raises:
        UsageError: a parent that the document does not have.
    """
    *parents, last = path.split(".")
    section = document
    for depth, parent in enumerate(parents):
        if not isinstance(section.get(parent), dict):
            raise UsageError(f"--{path}: the configuration has no section {'.'.join(parents[:depth + 1])}; it has "
                             f"{', '.join(key for key, inner in section.items() if isinstance(inner, dict)) or 'none there'}")
        section = section[parent]
    section[last] = value
