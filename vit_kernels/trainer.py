"""Trainer: train, fine-tune, evaluate and predict with MindFormers' signatures, of both its eras."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from pathlib import Path
from typing import Any

import mindspore as ms
from mindspore import nn

from vit_kernels import checkpoint as checkpoints
from vit_kernels.config_files import read_yaml
from vit_kernels.data import Loader
from vit_kernels.data.images import ImageDataset
from vit_kernels.data.mindspore_dataset import DatasetLoader
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.errors import UsageError
from vit_kernels.inference import Classifier, random_classifier
from vit_kernels.manifest import Manifest, manifest_of, manifest_of_model
from vit_kernels.mindformers_config import Settings, settings_of
from vit_kernels.models import ViTForImageClassification, count_parameters, create_config
from vit_kernels.pipeline import TASK, ImageClassificationPipeline, classifier_of, preprocessing_of
from vit_kernels.pretrained import WeightsMissing, find_weights
from vit_kernels.trainer_data import checked, class_names, described, images_of
from vit_kernels.trainer_methods import TrainerMethods
from vit_kernels.training import fit
from vit_kernels.training.evaluation import evaluate
from vit_kernels.training.files import write_text
from vit_kernels.training.recipes import Recipe
from vit_kernels.training.run_folder import RunFolder, find_checkpoint
from vit_kernels.training_arguments import TrainingArguments

logger = logging.getLogger("vit_kernels")


class Trainer(TrainerMethods):
    """A task, a model and its data. Sets MindSpore's mode: graph, unless the configuration's context.mode is 1.

    Args:
        args: a YAML file of MindFormers' schema, the same as a dict, or `TrainingArguments`; None for MAE's fine-tuning.
        task: 'image_classification' ('general' is the same here).
        model: a name such as 'vit_base_p16', or a `ViTForImageClassification`.
        model_name: a name, where `model` is an instance or None.
        train_dataset, eval_dataset: a folder of class folders, 'digits' or 'fashion-mnist', an image data set of
            `vit_kernels.data`, or a MindSpore dataset of batches.
        image_processor: how images become the model's input; None for the checkpoint's or recipe's way.
        backend: of the operators, see `vit_kernels.ops.resolve_backend`.
        others: MindFormers' further arguments, refused by name unless None or empty.

    Raises:
        UsageError: an unknown task, a missing folder, an argument that has no effect here.
        ValueError: an unknown model.
    """

    def __init__(self, args: str | os.PathLike | dict | TrainingArguments | None = None, task: str = "general", model: Any = None,
                 model_name: str | None = None, train_dataset: Any = None, eval_dataset: Any = None, tokenizer: Any = None,
                 image_processor: Any = None, audio_processor: Any = None, optimizers: Any = None, wrapper: Any = None,
                 pet_method: str = "", callbacks: Any = None, eval_callbacks: Any = None, compute_metrics: Any = None,
                 save_config: bool = False, backend: str | None = None, **others: Any):
        refused = {"tokenizer": tokenizer, "audio_processor": audio_processor, "optimizers": optimizers, "wrapper": wrapper,
                   "pet_method": pet_method or None, "callbacks": callbacks, "eval_callbacks": eval_callbacks,
                   "compute_metrics": compute_metrics, "save_config": save_config or None, **others}
        for name, value in refused.items():
            if value is not None:
                raise UsageError(f"Trainer: {name} has no effect here; leave it out")
        if task not in (TASK, "general"):
            raise UsageError(f"Trainer: unknown task {task!r}, expected {TASK!r}")
        self.settings, self.backend = _settings(args), backend
        self.model: nn.Cell | None = None
        if isinstance(model, nn.Cell):
            if getattr(model, "config", None) is None or not model.config.num_classes:
                raise UsageError(f"Trainer: model is a {type(model).__name__}, expected a ViTForImageClassification or a name")
            self.model = model
            self.settings = dataclasses.replace(self.settings, model=model.config.to_dict(), named_weights="")
        elif model is not None and not isinstance(model, str):
            raise TypeError(f"Trainer: model is {type(model).__name__}, expected a name or a ViTForImageClassification")
        name = model_name or (model if isinstance(model, str) else None)
        if name is not None:
            create_config(name)  # for its error
            changed = create_config(name) != create_config(self.settings.model_name)
            # A YAML file's fields describe the model that the file names, not another one.
            self.settings = dataclasses.replace(self.settings, model_name=name, **(
                {"model": {}, "named_weights": ""} if changed and self.model is None else {}))
        self.image_processor = preprocessing_of(image_processor) if image_processor is not None else None
        self.train_dataset = checked("train_dataset", train_dataset, self.settings.train_dir)
        self.eval_dataset = checked("eval_dataset", eval_dataset, self.settings.eval_dir)
        ms.set_context(mode=self.settings.mode)

    # -- training ---------------------------------------------------------------------------------------------------

    def train(self, train_checkpoint: str | bool | None = False, resume_training: bool | None = None,
              auto_trans_ckpt: bool | None = None, do_eval: bool = False, *, do_finetune: bool = False, initial_epoch: int = 0,
              resume_or_finetune_from_checkpoint: str | bool | None = False) -> fit.Result:
        """Train by the recipe; results go to a new folder in `output_dir`.

        Args:
            train_checkpoint: False or None: starting weights; True: the newest run's in `output_dir`; a path, address or name.
                Only the weights are taken; a classifier for other classes starts anew.
            do_eval: evaluate after the training too; the test images are scored after every epoch anyway.
            resume_or_finetune_from_checkpoint, do_finetune: the early signature: weights to fine-tune from, with
                do_finetune=True.
            resume_training, auto_trans_ckpt, initial_epoch: refused unless empty.

        Returns:
            Scores of the best epoch.

        Raises:
            UsageError: no data, or something that is not supported.
            CheckpointError: the weights are not there or do not fit.
        """
        refused = {"resume_training": resume_training, "auto_trans_ckpt": auto_trans_ckpt, "initial_epoch": initial_epoch}
        for name, value in refused.items():
            if value:
                raise UsageError(f"Trainer.train: {name}={value!r} is not supported: a run cannot be continued yet, and there "
                                 "is one device; fine-tune from its checkpoint with do_finetune=True")
        early = resume_or_finetune_from_checkpoint
        if early and not do_finetune:
            raise UsageError(f"Trainer.train: resume_or_finetune_from_checkpoint={early!r} without do_finetune=True asks to "
                             "continue a run, which is not supported yet; pass do_finetune=True to start from its weights")
        if early and train_checkpoint:
            raise UsageError("Trainer.train: give either train_checkpoint or resume_or_finetune_from_checkpoint")
        weights = early or train_checkpoint or self.settings.checkpoint or False
        if do_finetune and not weights:
            raise UsageError("Trainer.train: do_finetune=True needs weights; name them in resume_or_finetune_from_checkpoint")
        result = self._train(weights)
        if do_eval or self.settings.do_eval:
            self.evaluate(eval_checkpoint=True)
        return result

    def finetune(self, finetune_checkpoint: str | bool | None = False, resume_training: bool | None = None,
                 auto_trans_ckpt: bool | None = None, do_eval: bool = False) -> fit.Result:
        """Train from existing weights: as `train`, but they are required."""
        if not finetune_checkpoint and not self.settings.checkpoint:
            raise UsageError("Trainer.finetune: finetune_checkpoint (--load_checkpoint) names no weights; give a path, an "
                             "address or a name such as "
                             "'mae_vit_base_p16', or use train() to start from scratch")
        return self.train(finetune_checkpoint, resume_training, auto_trans_ckpt, do_eval)

    def _train(self, weights: str | bool) -> fit.Result:
        settings = self.settings
        train, classes = self._data("train_dataset")
        test, test_classes = self._data("eval_dataset")
        if test is not None and test_classes != classes:
            raise UsageError(f"Trainer: eval_dataset has the classes {', '.join(test_classes[:5])}, ..., the other data set has "
                             f"{', '.join(classes[:5])}, ...; expected the same")
        ms.set_seed(settings.seed)
        model, opened = self._model(len(classes), weights)
        config = model.config
        batch = self._batch_size(train)
        recipe = settings.recipe(config, batch, 1)
        preprocessing, stated_in = self._preprocessing(opened, recipe.preprocessing)
        loader = self._train_loader(train, batch, classes, preprocessing, recipe)
        recipe = settings.recipe(config, batch, len(loader))
        record = {"dataset": described(self.train_dataset), "data_dir": None}
        folder = RunFolder.create(Path(settings.output_dir) / f"{time.strftime('%Y%m%d-%H%M%S')}-{settings.model_name}", {
            "command": "trainer", **record, "eval_dataset": described(self.eval_dataset), "model_name": settings.model_name,
            "weights": weights, "seed": settings.seed, "classes": classes, "model": config.to_dict(), "epochs": recipe.epochs,
            "batch_size": batch, "lr": recipe.lr, "weight_decay": recipe.weight_decay, "layer_decay": recipe.layer_decay,
            "preprocessing": preprocessing.to_dict(), "preprocessing_from": stated_in})
        print(f"{settings.model_name}: {count_parameters(config):,} parameters, {len(classes)} classes; {recipe.epochs} epochs of "
              f"{len(loader)} steps of {batch} images, learning rate {recipe.lr:.3g}; results in {folder.path}", flush=True)
        self._recomputing(model)
        scorer = self._eval_loader(self.eval_dataset, test, preprocessing, classes)
        result = fit.Trainer(model, recipe, loader, scorer, folder, record, settings.model_name).fit()
        model.set_train(False)
        model.manifest = Manifest(config.to_dict(), preprocessing, classes, record, "its training", True, True)
        return result

    def _model(self, classes: int, weights: str | bool) -> tuple[nn.Cell, checkpoints.Checkpoint | None]:
        """The model to train: the given instance, or a new one, with `weights` if there are any, and their checkpoint."""
        if self.model is not None:
            if self.model.config.num_classes != classes:
                raise UsageError(f"Trainer: the model has {self.model.config.num_classes} classes, the data {classes}")
            model = self.model
        else:
            wanted = self.settings.config().num_classes
            if wanted != classes:
                logger.warning("num_classes %d becomes %d, the number of classes of the data", wanted, classes)
            model = ViTForImageClassification(self.settings.config(num_classes=classes), self.backend, self.settings.seed)
        if not weights:
            return model, None
        opened = checkpoints.load(self._located(weights))
        checkpoints.load_checkpoint_into(model, opened, new_head=True)
        return model, opened

    def _preprocessing(self, opened: checkpoints.Checkpoint | None, configured: Preprocessing) -> tuple[Preprocessing, str]:
        """(what training prepares images with, where it is from): the user's own before the start checkpoint's before the
        recipe's."""
        manifest = manifest_of(opened, configured.image_size) if opened is not None \
            else manifest_of_model(self.model) if self.model is not None else None
        stated = manifest.preprocessing if manifest is not None and manifest.preprocessing_from else None
        start = opened.path if opened is not None else "the given model"
        if self.image_processor is not None or self.settings.own_preprocessing:
            chosen, source = (self.image_processor, "the given image_processor") if self.image_processor is not None \
                else (configured, "the configuration's transforms")
            if stated is not None and stated != chosen:
                logger.warning("%s was trained with %s, the images are prepared with %s: %s", start, stated, chosen, source)
            return chosen, source
        if stated is not None:
            print(f"images are prepared as {start} says ({manifest.preprocessing_from})", flush=True)
            return stated, f"{start} ({manifest.preprocessing_from})"
        return configured, "the recipe"

    # -- use ----------------------------------------------------------------------------------------------------------

    def evaluate(self, eval_checkpoint: str | bool | None = False, auto_trans_ckpt: bool | None = None, *,
                 eval_dataset: Any = None) -> dict[str, float]:
        """Score every image of the evaluation set, the last partial batch included.

        Args:
            eval_checkpoint: False or None: the given model, else the named model's released weights; True: the newest run's
                in `output_dir`; a path, address or name.
            auto_trans_ckpt: refused unless empty.
            eval_dataset: other images than the Trainer's, this time.

        Returns:
            {'Top1 Accuracy', 'Top5 Accuracy'} as fractions, 'loss', 'count'.

        Raises:
            UsageError: no data, or classes that are not the checkpoint's.
            CheckpointError: the weights are not there.
        """
        if auto_trans_ckpt:
            raise UsageError("Trainer.evaluate: auto_trans_ckpt is not supported: there are no distributed checkpoints")
        data = self.eval_dataset if eval_dataset is None else checked("eval_dataset", eval_dataset, "")
        if data is None:
            raise UsageError("Trainer: evaluation needs eval_dataset; give a folder of class folders or a dataset")
        classifier = self.classifier(eval_checkpoint)
        images = images_of(data, False)
        if images is not None and (len(images.classes) != len(classifier.classes)
                                   or classifier.training and images.classes != classifier.classes):
            raise UsageError(f"Trainer: eval_dataset has {len(images.classes)} classes ({', '.join(images.classes[:3])}, ...), "
                             f"{classifier.path} has {len(classifier.classes)} ({', '.join(classifier.classes[:3])}, ...)")
        metrics = evaluate(classifier.model, self._eval_loader(data, images, classifier.preprocessing, classifier.classes))
        print(f"Top1 Accuracy = {{'Top1 Accuracy': {metrics.top1}}}", flush=True)
        return {"Top1 Accuracy": metrics.top1, "Top5 Accuracy": metrics.top5, "loss": metrics.loss, "count": metrics.count}

    def predict(self, predict_checkpoint: str | bool | None = None, input_data: Any = None, auto_trans_ckpt: bool | None = None,
                batch_size: int | None = None, top_k: int = 1, save_file: str | os.PathLike | None = None) \
            -> list[list[dict[str, Any]]]:
        """The likeliest classes of images.

        Args:
            predict_checkpoint: as `evaluate`'s; an explicit one counts every time.
            input_data: whatever `pipeline` takes; None for the evaluation set.
            auto_trans_ckpt: refused unless empty.
            batch_size: images per step.
            top_k: classes per image.
            save_file: also write the result, as text, to this file.

        Returns:
            For each image a list of {'score': float, 'label': str, 'index': int}, best first.

        Raises:
            UsageError: neither input_data nor eval_dataset.
            ImageError, CheckpointError: an image or the weights cannot be read.
        """
        if auto_trans_ckpt:
            raise UsageError("Trainer.predict: auto_trans_ckpt is not supported: there are no distributed checkpoints")
        if input_data is None:
            if self.eval_dataset is None:
                raise UsageError("Trainer.predict: input_data is missing; give images, or an eval_dataset to the Trainer")
            input_data = images_of(self.eval_dataset, False) or self.eval_dataset
        result = ImageClassificationPipeline(self.classifier(predict_checkpoint))(input_data, batch_size, top_k)
        if save_file is not None:
            write_text(save_file, f"{result}\n")
        return result

    def classifier(self, where: str | bool | None = None, allow_random: bool = False) -> Classifier:
        """What `evaluate` and `predict` use. Never cached: what a call names is what it gets.

        Args:
            where: their checkpoint argument.
            allow_random: the named model, with random weights where there are none on this machine.

        Raises:
            CheckpointError: the weights are not there.
        """
        if not where and self.model is not None:
            return classifier_of(self.model, self.image_processor)
        where = where or self.settings.checkpoint or self.settings.named_weights or self.settings.model_name
        try:
            return classifier_of(str(self._located(where)), self.image_processor, self.backend)
        except WeightsMissing:
            if not allow_random:
                raise
        random = random_classifier(self.settings.config(), f"the weights of {where!r}", self.backend, self.settings.seed)
        random.preprocessing = self.image_processor or self.settings.preprocessing(random.model.config)
        return random

    def _located(self, where: str | bool | os.PathLike) -> Path:
        if where is True:
            return find_checkpoint(None, self.settings.output_dir)
        if os.path.isdir(where) and (Path(where) / "checkpoints").is_dir():
            return find_checkpoint(where)
        return find_weights(where)

    def _data(self, name: str) -> tuple[ImageDataset | None, list[str]]:
        """The images of `train_dataset` or `eval_dataset`, None for a MindSpore dataset, and their classes."""
        data = getattr(self, name)
        if data is None:
            raise UsageError(f"Trainer: this needs {name}; give a folder of class folders or a dataset")
        images = images_of(data, name == "train_dataset")
        return images, images.classes if images is not None else class_names(self.settings.config().num_classes)

    def _batch_size(self, train: ImageDataset | None) -> int:
        return min(self.settings.batch_size, len(train)) if train is not None else self.train_dataset.get_batch_size()

    def _train_loader(self, train: ImageDataset | None, batch: int, classes: list[str], preprocessing: Preprocessing,
                      recipe: Recipe) -> Any:
        seed = self.settings.seed if self.settings.data_seed is None else self.settings.data_seed
        augmentation = recipe.augmentation
        mixer = augmentation.mixer(len(classes))
        if train is None:
            return DatasetLoader(self.train_dataset, preprocessing, classes, mixer, seed)
        return Loader(train, preprocessing, batch, augmentation.transform(preprocessing), shuffle=True, drop_last=True,
                      erase=augmentation.eraser(), mix=mixer, seed=seed, workers=self.settings.workers)

    def _eval_loader(self, data: Any, images: ImageDataset | None, preprocessing: Any, classes: list[str]) -> Any:
        if images is None:
            return DatasetLoader(data, preprocessing, classes)
        size = self.settings.eval_batch_size or self.settings.batch_size
        return Loader(images, preprocessing, min(size, len(images)), workers=self.settings.workers)


def _settings(args: Any) -> Settings:
    if args is None:
        return Settings()
    if isinstance(args, TrainingArguments):
        return args.apply(Settings())
    if isinstance(args, (str, os.PathLike)):
        args = read_yaml(args)
    if not isinstance(args, dict):
        raise TypeError(f"Trainer: args is {type(args).__name__}, expected a YAML file, a dict or TrainingArguments")
    settings = settings_of(args)
    if settings.without_effect:
        logger.warning("these keys of the configuration have no effect here: %s", ", ".join(settings.without_effect))
    return settings
