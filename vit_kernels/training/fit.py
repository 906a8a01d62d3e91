"""The training loop: steps, a progress bar, evaluation after each epoch, logs and checkpoints."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from typing import Any

import numpy as np
from mindspore import Tensor, nn
from tqdm import tqdm

from vit_kernels.data.loader import Loader
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.errors import TrainingError
from vit_kernels.training import checkpoint_io
from vit_kernels.training.evaluation import Metrics, evaluate
from vit_kernels.training.interrupts import Interrupted, Interrupts
from vit_kernels.training.optimizer import AdamW
from vit_kernels.training.param_groups import parameter_groups
from vit_kernels.training.plot import plot_curve
from vit_kernels.training.recipes import Recipe
from vit_kernels.training.run_folder import RunFolder
from vit_kernels.training.schedules import cosine_with_warmup
from vit_kernels.training.step import TrainStep


@dataclasses.dataclass
class Result:
    """What a run came to. The eval_* figures are those of the best epoch by top-1."""

    eval_top1: float
    eval_top5: float
    eval_loss: float
    train_loss: float
    epochs: int
    steps: int
    samples_per_sec: float


class Trainer:
    """Trains a classifier by a recipe and leaves a run folder behind.

    Args:
        model: a `ViTForImageClassification`.
        recipe: the choices; its model and augmentation fields are taken as carried out already.
        train_loader: shuffled, dropping the last partial batch, its targets made by the recipe's mixer.
        eval_loader: every test image once.
        folder: where results go.
        record: what checkpoints say about the data, {'dataset': ...}.
        title: of the curve.
    """

    def __init__(self, model: nn.Cell, recipe: Recipe, train_loader: Loader, eval_loader: Loader, folder: RunFolder,
                 record: dict[str, Any], title: str = "Training"):
        self.model, self.recipe = model, recipe
        self.train_loader, self.eval_loader = train_loader, eval_loader
        self.folder, self.record, self.title = folder, record, title
        self.preprocessing: Preprocessing = train_loader.preprocessing
        steps = len(train_loader)
        self.rates = cosine_with_warmup(recipe.lr, recipe.epochs * steps,
                                        min(round(recipe.warmup_epochs * steps), recipe.epochs * steps // 2),
                                        recipe.min_lr)
        self.optimizer = AdamW(parameter_groups(model, recipe.weight_decay, recipe.layer_decay), self.rates,
                               recipe.beta1, recipe.beta2, recipe.eps, backend=model.backend)
        self.step = TrainStep(model, self.optimizer, clip_norm=recipe.clip_norm)
        self.rows: list[dict[str, Any]] = []
        self.steps = 0

    def fit(self) -> Result:
        """Train for all epochs.

        Raises:
            TrainingError: the loss is not finite.
            KeyboardInterrupt: after SIGINT or SIGTERM, when the last checkpoint has been written; after a second signal
                at once.
            ImageError, OutputError: from the data and the run folder.
        """
        seconds = images = 0.0
        total = self.recipe.epochs * len(self.train_loader) * self.train_loader.batch_size
        terminal = sys.stderr.isatty()
        with Interrupts() as interrupts, tqdm(total=total, unit="img", unit_scale=True, mininterval=0.2 if terminal else 10,
                                              dynamic_ncols=terminal, file=sys.stderr) as bar:
            try:
                for epoch in range(1, self.recipe.epochs + 1):
                    begin = time.perf_counter()
                    loss, epoch_seconds, epoch_images = self._epoch(epoch, bar, interrupts)
                    # The first step compiles the graph; its time says nothing about speed.
                    seconds, images = seconds + epoch_seconds, images + epoch_images
                    metrics = evaluate(self.model, self.eval_loader, interrupts.check)
                    self._finish_epoch(epoch, loss, metrics, epoch_images / max(epoch_seconds, 1e-9), begin, bar)
            except Interrupted:
                self._save(self.folder.last, len(self.rows), optimizer=True)
                raise KeyboardInterrupt from None
        best = max(self.rows, key=lambda row: row["eval_top1"])
        return Result(best["eval_top1"], best["eval_top5"], best["eval_loss"], self.rows[-1]["train_loss"],
                      len(self.rows), self.steps, images / max(seconds, 1e-9))

    def _epoch(self, epoch: int, bar: tqdm, interrupts: Interrupts) -> tuple[float, float, int]:
        """One pass over the training images: (mean loss, seconds, images), the very first step not timed."""
        self.step.set_train()
        losses, images, begin = [], 0, time.perf_counter()
        bar.set_description(f"epoch {epoch}/{self.recipe.epochs}")
        for batch in self.train_loader.epoch(epoch - 1):
            loss = float(self.step(Tensor(batch.images), Tensor(batch.targets)).asnumpy())
            self.steps += 1
            if not math.isfinite(loss):
                raise TrainingError(f"the loss became {loss} in step {self.steps}; lower --lr (now {self.recipe.lr:g}). "
                                    f"The last whole epoch is in {self.folder.last}" if self.rows else
                                    f"the loss became {loss} in step {self.steps}; lower --lr (now {self.recipe.lr:g})")
            losses.append(loss)
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update(batch.count)
            if self.steps == 1:
                begin = time.perf_counter()
            else:
                images += batch.count
            interrupts.check()
        return float(np.mean(losses)), time.perf_counter() - begin, images

    def _finish_epoch(self, epoch: int, loss: float, metrics: Metrics, rate: float, begin: float, bar: tqdm) -> None:
        first_or_best = not self.rows or metrics.top1 > max(row["eval_top1"] for row in self.rows)
        self.rows.append({"epoch": epoch, "step": self.steps, "lr": float(self.rates[self.steps - 1]), "train_loss": loss,
                          "eval_loss": metrics.loss, "eval_top1": metrics.top1, "eval_top5": metrics.top5,
                          "samples_per_sec": rate, "seconds": time.perf_counter() - begin})
        self._save(self.folder.last, epoch, optimizer=True)
        if first_or_best:
            self._save(self.folder.best, epoch, optimizer=False)
        self.folder.write_metrics(self.rows)
        plot_curve(self.folder.curve, self.rows, self.title)
        bar.write(f"epoch {epoch:3d}/{self.recipe.epochs}  train loss {loss:.4f}  test loss {metrics.loss:.4f}  "
                  f"top-1 {100 * metrics.top1:6.2f} %  {rate:,.0f} img/s{'  best' if first_or_best else ''}",
                  file=sys.stdout)
        sys.stdout.flush()

    def _save(self, path, epoch: int, optimizer: bool) -> None:
        checkpoint_io.save(path, checkpoint_io.Checkpoint(
            self.model.config, self.preprocessing, self.train_loader.dataset.classes,
            checkpoint_io.weights_of(self.model), self.optimizer.state() if optimizer else {},
            {**self.record, "epoch": epoch, "step": self.steps, "metrics": self.rows[-1] if self.rows else {}}))
