"""TrainingArguments: MindFormers' flat list of training options. Each has its effect, or is refused by name."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

from vit_kernels.errors import UsageError
from vit_kernels.mindformers_config import Settings

# MindFormers' other fields -> why they cannot be honoured.
_REFUSED = {
    "use_parallel": "one device only", "profile": "use python -m vit_kernels.benchmark", "only_save_strategy": "one device only",
    "sink_mode": "there is no data sinking", "sink_size": "there is no data sinking",
    "save_strategy": "checkpoints are written after every epoch", "integrated_save": "one device only",
    "save_steps": "checkpoints are written after every epoch", "save_seconds": "checkpoints are written after every epoch",
    "save_total_limit": "the last and the best checkpoint are kept", "auto_trans_ckpt": "one device only",
    "resume_training": "a run cannot be continued yet; fine-tune from its checkpoint",
    "resume_from_checkpoint": "a run cannot be continued yet; fine-tune from its checkpoint",
    "initial_epoch": "a run cannot be continued yet", "eval_step_interval": "evaluation follows every epoch",
    "eval_epoch_interval": "evaluation follows every epoch",
}


def _whole(value: Any, low: int, high: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value < high


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


# Option -> (whether a value will do, what is expected).
_RANGES = {
    "output_dir": (lambda v: isinstance(v, (str, os.PathLike)) and bool(os.fspath(v)), "a folder"),
    "do_eval": (lambda v: isinstance(v, bool), "True or False"),
    **{name: (lambda v: _whole(v, 1), "an integer >= 1")
       for name in ("batch_size", "per_device_train_batch_size", "per_device_eval_batch_size", "num_train_epochs")},
    "warmup_steps": (lambda v: _whole(v, 0), "an integer >= 0"),
    **{name: (lambda v: _whole(v, 0, 1 << 32), "an integer from 0 to 2^32 - 1") for name in ("seed", "data_seed")},
    **{name: (lambda v: _number(v) and v > 0, "a positive number") for name in ("learning_rate", "adam_epsilon")},
    **{name: (lambda v: _number(v) and v >= 0, "a number >= 0") for name in ("weight_decay", "max_grad_norm")},
    **{name: (lambda v: _number(v) and 0 <= v < 1, "a number in [0, 1)") for name in ("adam_beta1", "adam_beta2")},
}


@dataclasses.dataclass(init=False)
class TrainingArguments:
    """Options that replace a recipe's; None leaves the recipe's.

    Attributes:
        output_dir: where runs go.
        batch_size: images per step, of training and evaluation.
        per_device_train_batch_size, per_device_eval_batch_size: of one of them.
        learning_rate: for 256 images per step, as the recipe's.
        weight_decay, adam_beta1, adam_beta2, adam_epsilon: of AdamW.
        max_grad_norm: gradients of a larger global norm are scaled down to it.
        num_train_epochs: passes over the training images.
        lr_scheduler_type: 'cosine'.
        optim: 'adamw'.
        warmup_steps: instead of the recipe's warm-up epochs.
        seed: of weights, and of order and augmentation unless data_seed is given.
        data_seed: of order and augmentation.
        do_eval: evaluate after the training as well.

    Raises:
        UsageError: an option of MindFormers that has no effect here, or a value out of range.
        TypeError: an unknown option.
    """

    output_dir: str | None = None
    batch_size: int | None = None
    per_device_train_batch_size: int | None = None
    per_device_eval_batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    adam_beta1: float | None = None
    adam_beta2: float | None = None
    adam_epsilon: float | None = None
    max_grad_norm: float | None = None
    num_train_epochs: int | None = None
    lr_scheduler_type: str | None = None
    optim: str | None = None
    warmup_steps: int | None = None
    seed: int | None = None
    data_seed: int | None = None
    do_eval: bool | None = None

    def __init__(self, **options: Any):
        known = {field.name: field.default for field in dataclasses.fields(self)}
        for name, value in options.items():
            if name in _REFUSED and value is not None and value is not False:
                raise UsageError(f"TrainingArguments: {name}={value!r} is not supported: {_REFUSED[name]}")
            if name not in known and name not in _REFUSED:
                raise TypeError(f"TrainingArguments: unknown option {name!r}; known: {', '.join(known)}")
        for name, default in known.items():
            setattr(self, name, options.get(name, default))
        if self.lr_scheduler_type not in (None, "cosine"):
            raise UsageError(f"TrainingArguments: lr_scheduler_type={self.lr_scheduler_type!r} is not supported; "
                             "expected 'cosine'")
        if self.optim not in (None, "adamw", "AdamWeightDecay"):
            raise UsageError(f"TrainingArguments: optim={self.optim!r} is not supported; expected 'adamw'")
        for name, (holds, expected) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise UsageError(f"TrainingArguments: {name}={value!r}, expected {expected}")

    def apply(self, settings: Settings) -> Settings:
        """The settings with these options in place of theirs."""
        changes = {
            "output_dir": self.output_dir, "batch_size": self.per_device_train_batch_size or self.batch_size,
            "eval_batch_size": self.per_device_eval_batch_size or self.batch_size, "lr": self.learning_rate,
            "weight_decay": self.weight_decay, "beta1": self.adam_beta1, "beta2": self.adam_beta2, "eps": self.adam_epsilon,
            "clip_norm": self.max_grad_norm, "epochs": self.num_train_epochs, "warmup_steps": self.warmup_steps, "seed": self.seed,
            "data_seed": self.data_seed, "do_eval": self.do_eval,
        }
        return dataclasses.replace(settings, **{name: value for name, value in changes.items() if value is not None})
