"""Trainer: the flows of MindFormers' card, what each checkpoint argument means, and none of the known traps."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.checkpoint._models import timm_forward, timm_weights
from tests.test_pipeline import by_hand
from tests.test_pretrained import put, tiny_base  # noqa: F401
from vit_kernels import TrainingArguments, ViTConfig, ViTForImageClassification, trainer as trainer_module
from vit_kernels import checkpoint
from vit_kernels.config_files import read_yaml
from vit_kernels.data import ArrayImages
from vit_kernels.errors import UsageError
from vit_kernels.mindformers_config import Settings, settings_of
from vit_kernels.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "configs/vit/run_vit_base_p16_224_100ep.yaml"

# The Python of MindFormers' card, the import and the two addresses changed.
CARD_MODEL = """
from vit_kernels import ViTForImageClassification, ViTConfig

ViTForImageClassification.show_support_list()
model = ViTForImageClassification.from_pretrained("vit_base_p16")
config = ViTConfig.from_pretrained("vit_base_p16")
model = ViTForImageClassification(config)
"""
CARD_TRAINER = """
from vit_kernels.trainer import Trainer
from vit_kernels.tools.image_tools import load_image

vit_trainer = Trainer(
    task='image_classification',
    model='vit_base_p16',
    train_dataset="imageNet-1k/train",
    eval_dataset="imageNet-1k/val")
img = load_image("sunflower.png")
"""
CARD_WAYS = ["""
vit_trainer.train(resume_or_finetune_from_checkpoint="mae_vit_base_p16", do_finetune=True)
vit_trainer.evaluate(eval_checkpoint=True)
predict_result = vit_trainer.predict(predict_checkpoint=True, input_data=img, top_k=3)
print(predict_result)
""", """
vit_trainer.train()
vit_trainer.evaluate(eval_checkpoint=True)
predict_result = vit_trainer.predict(predict_checkpoint=True, input_data=img, top_k=3)
print(predict_result)
""", """
vit_trainer.evaluate()
predict_result = vit_trainer.predict(input_data=img, top_k=3)
print(predict_result)
"""]
CARD_PIPELINE = """
from vit_kernels.pipeline import pipeline
from vit_kernels.tools.image_tools import load_image


pipeline_task = pipeline("image_classification", model='vit_base_p16')
img = load_image("sunflower.png")
pipeline_result = pipeline_task(img, top_k=3)
"""


def pictures(root: str, per_class: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for k, name in enumerate(("n01", "n02", "n03", "n04")):
        os.makedirs(f"{root}/{name}")
        for i in range(per_class):
            pixels = rng.integers(0, 60, (40, 48, 3)) + np.array([[60, 0, 0], [0, 180, 0], [0, 0, 180], [90, 90, 90]][k])
            Image.fromarray(pixels.astype(np.uint8)).save(f"{root}/{name}/{i}.png")


@pytest.fixture
def folders():
    pictures("imageNet-1k/train", 4)
    pictures("imageNet-1k/val", 3, 1)
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)).save("sunflower.png")


@pytest.fixture
def short(monkeypatch):
    """One epoch of the default recipe on two narrow blocks, 32 pixels."""
    model = {"embed_dim": 128, "depth": 2, "num_heads": 2, "image_size": 32}
    monkeypatch.setattr(trainer_module, "Settings", functools.partial(Settings, epochs=1, batch_size=8, workers=0, model=model))


@pytest.fixture
def card(tiny_base, short, folders):  # noqa: F811
    released = timm_weights(patch=16, grid=2, norm="fc_norm", classes=4)
    put(released, "checkpoint_download/vit/vit_base_p16.ckpt", "--to", "mindformers")
    put(timm_weights(patch=16, grid=2, norm="norm", classes=0, seed=1), "checkpoint_download/mae/mae_vit_base_p16.ckpt")
    return released


@pytest.fixture(autouse=True)
def _mode():
    before = ms.get_context("mode")
    yield
    ms.set_context(mode=before)


def tiny(**changes) -> ViTConfig:
    return ViTConfig(**{"embed_dim": 64, "depth": 1, "num_heads": 1, "image_size": 32, "patch_size": 16, "num_classes": 4, **changes})


def logits_at_home(released, path: str) -> np.ndarray:
    with torch.no_grad():
        return timm_forward(released, torch.from_numpy(by_hand(Image.open(path), 36, 32)[None].astype(np.float32)))[0].numpy()


def test_the_cards_model_block(card, monkeypatch, capsys):
    # The tiny weights are for 32 pixels; the named configuration has to say so too.
    original = ViTConfig.from_name.__func__
    monkeypatch.setattr(ViTConfig, "from_name", classmethod(lambda cls, name, **o: original(
        cls, name, **{"image_size": 32, "num_classes": 4, **o})))
    names: dict = {}
    exec(CARD_MODEL, names)
    assert capsys.readouterr().out.endswith("support list of ViTForImageClassification is:\n   ['vit_base_p16']\n" + "-" * 37 + "\n")
    np.testing.assert_array_equal(names["model"].head.weight.asnumpy(), card["head.weight"].numpy())
    assert names["config"]["embed_dim"] == 128 and names["config"]["mlp_ratio"] == 4


def test_the_cards_trainer_block(card, capsys):
    names: dict = {}
    exec(CARD_TRAINER, names)
    results = []
    for way in CARD_WAYS:
        exec(way, names)
        results.append(names["predict_result"])
        assert "Top1 Accuracy = {'Top1 Accuracy': " in capsys.readouterr().out
    for result in results:
        assert len(result) == 1 and len(result[0]) == 3
        assert all(type(row["score"]) is float and isinstance(row["label"], str) for row in result[0])
    # Trap: the third way scored the network that had just been trained, and predicted with a cached pipeline.
    want = torch.softmax(torch.from_numpy(logits_at_home(card, "sunflower.png")), -1).numpy()
    assert [row["index"] for row in results[2][0]] == list(np.argsort(-want)[:3])
    assert all(abs(row["score"] - want[row["index"]]) < 1e-3 for row in results[2][0])
    assert {row["label"] for row in results[0][0]} <= {"n01", "n02", "n03", "n04"}
    assert len({tuple(row["score"] for row in result[0]) for result in results}) == 3
    assert len(list(Path("output").iterdir())) == 2


def test_the_cards_pipeline_block(card):
    names: dict = {}
    exec(CARD_PIPELINE, names)
    want = np.argsort(-logits_at_home(card, "sunflower.png"))[:3]
    assert [row["index"] for row in names["pipeline_result"][0]] == list(want)


def test_evaluation_counts_every_image(card):
    """Trap: the last partial batch was dropped; 12 images in batches of 8."""
    scores = Trainer(model="vit_base_p16", eval_dataset="imageNet-1k/val").evaluate()
    files = sorted(Path("imageNet-1k/val").glob("*/*.png"))
    hits = [int(logits_at_home(card, str(file)).argmax()) == int(file.parent.name[1:]) - 1 for file in files]
    assert scores["count"] == 12 and scores["Top1 Accuracy"] == sum(hits) / 12


def test_finetuning_starts_from_the_weights(card, monkeypatch):
    """A rate of nearly zero leaves the loaded weights as they were."""
    monkeypatch.setattr(trainer_module, "Settings", functools.partial(trainer_module.Settings, lr=1e-12, lr_end=1e-13, warmup_epochs=0))
    data = {"train_dataset": "imageNet-1k/train", "eval_dataset": "imageNet-1k/val"}
    mae = timm_weights(patch=16, grid=2, norm="norm", classes=0, seed=1)
    for call in (lambda t: t.finetune("mae_vit_base_p16"), lambda t: t.train("checkpoint_download/mae/mae_vit_base_p16.ckpt")):
        call(Trainer(model="vit_base_p16", **data))
        trained = dict(checkpoint.load(trainer_module.find_checkpoint(None)).arrays())
        np.testing.assert_allclose(trained["blocks.1.mlp.fc1.weight"], mae["blocks.1.mlp.fc1.weight"].numpy(), atol=1e-5)
    Trainer(model="vit_base_p16", **data).train()
    scratch = dict(checkpoint.load(trainer_module.find_checkpoint(None)).arrays())
    assert abs(scratch["blocks.1.mlp.fc1.weight"] - mae["blocks.1.mlp.fc1.weight"].numpy()).max() > 0.1


def test_predict_forms(card):
    trainer = Trainer(model="vit_base_p16", eval_dataset="imageNet-1k/val")
    assert Trainer(model="vit_base_p16", backend="reference").classifier().model.backend == "reference"
    # Trap: without input, the evaluation set was taken and then rejected.
    assert len(trainer.predict()) == 12 and len(trainer.predict()[0]) == 1
    single = trainer.predict(input_data="sunflower.png", save_file="out.txt")
    assert Path("out.txt").read_text() == f"{single}\n"
    assert trainer.predict(input_data=["sunflower.png"] * 3, batch_size=2) == single * 3
    # Trap: a later checkpoint was ignored because the pipeline was cached.
    put(timm_weights(patch=16, grid=2, norm="fc_norm", classes=4, seed=9), "other.pth")
    assert trainer.predict(predict_checkpoint="other.pth", input_data="sunflower.png") != single
    assert trainer.predict(input_data="sunflower.png") == single


def test_a_given_model(folders):
    model = ViTForImageClassification(tiny(), seed=1)
    before = model.head.weight.asnumpy().copy()
    arguments = TrainingArguments(num_train_epochs=1, per_device_train_batch_size=4, per_device_eval_batch_size=5, output_dir="runs",
                                  learning_rate=0.05, warmup_steps=1, max_grad_norm=1.0)
    trainer = Trainer(arguments, model=model, train_dataset="imageNet-1k/train", eval_dataset="imageNet-1k/val")
    result = trainer.train()
    assert result.steps == 4 and abs(model.head.weight.asnumpy() - before).max() > 0
    assert len(os.listdir("runs")) == 1
    last = trainer.predict(input_data="sunflower.png", top_k=4)[0]
    assert [row["label"] for row in sorted(last, key=lambda row: row["index"])] == ["n01", "n02", "n03", "n04"]
    assert trainer.evaluate()["count"] == 12


def test_datasets_of_mindspore_and_arrays():
    from mindspore import dataset

    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((10, 3, 32, 32)).astype(np.float32), rng.integers(0, 4, 10).astype(np.int32)
    source = dataset.NumpySlicesDataset({"image": images, "label": labels}, shuffle=False).batch(4)
    model = ViTForImageClassification(tiny(), seed=1)
    trainer = Trainer(TrainingArguments(num_train_epochs=1), model=model, train_dataset=source, eval_dataset=source)
    want = float((model.set_train(False)(ms.Tensor(images)).asnumpy().argmax(1) == labels).mean())
    assert trainer.evaluate() | {"loss": 0, "Top5 Accuracy": 0} == {"Top1 Accuracy": want, "Top5 Accuracy": 0, "loss": 0, "count": 10}
    assert trainer.train().steps == 3
    pixels = rng.integers(0, 256, (6, 20, 20, 3)).astype(np.uint8)
    arrays = ArrayImages(pixels, np.arange(6) % 4, list("abcd"))
    assert Trainer(model=model, eval_dataset=arrays).evaluate()["count"] == 6
    assert trainer.evaluate(eval_dataset=arrays)["count"] == 6  # as of release 1.5


def test_data_loaders_are_what_training_and_evaluation_use(folders):
    trainer = Trainer(TrainingArguments(per_device_train_batch_size=4, per_device_eval_batch_size=5), model=ViTForImageClassification(tiny()),
                      train_dataset="imageNet-1k/train", eval_dataset="imageNet-1k/val")
    training, evaluation = trainer.get_train_dataloader(), trainer.get_eval_dataloader()
    assert (len(training), len(evaluation)) == (4, 3)
    batch = next(iter(training.epoch()))
    assert batch.images.shape == (4, 3, 32, 32) and batch.targets.shape == (4, 4)
    np.testing.assert_allclose(batch.targets.sum(1), 1, rtol=1e-5)
    first = next(iter(evaluation.epoch())).images[0]
    np.testing.assert_allclose(first, by_hand(Image.open("imageNet-1k/val/n01/0.png"), 36, 32), atol=2 / 255 / 0.22)
    with pytest.raises(UsageError, match="needs train_dataset"):
        Trainer(model="vit_base_p16", eval_dataset="imageNet-1k/val").get_train_dataloader()


def test_the_last_checkpoint(folders):
    trainer = Trainer(TrainingArguments(num_train_epochs=1, per_device_train_batch_size=8, output_dir="runs"),
                      model=ViTForImageClassification(tiny()), train_dataset="imageNet-1k/train", eval_dataset="imageNet-1k/val")
    assert trainer.get_last_checkpoint() is None
    trainer.train()
    assert os.path.isfile(trainer.get_last_checkpoint()) and trainer.get_last_checkpoint().startswith("runs")


def test_recomputation_changes_no_weight(folders):
    weights = []
    for recompute in (False, True):
        model = ViTForImageClassification(tiny(drop_path_rate=0.0), seed=1)
        trainer = Trainer(TrainingArguments(num_train_epochs=1, per_device_train_batch_size=8), model=model,
                          train_dataset="imageNet-1k/train", eval_dataset="imageNet-1k/val")
        trainer.set_recompute_config(recompute=recompute)
        trainer.train()
        assert not recompute or all(block._recompute_cell is not None for block in model.blocks)
        weights.append([p.asnumpy().copy() for p in model.get_parameters()])
    assert all((plain == again).all() for plain, again in zip(*weights))


def test_configurations_of_one_device_are_accepted(folders):
    trainer = Trainer(model="vit_base_p16", eval_dataset="imageNet-1k/val")
    trainer.set_parallel_config(data_parallel=1, model_parallel=1)
    trainer.set_moe_config(expert_num=1)
    with pytest.raises(UsageError, match="set_parallel_config: model_parallel=2 has no effect"):
        trainer.set_parallel_config(model_parallel=2)
    with pytest.raises(UsageError, match="expert_num=8"):
        trainer.set_moe_config(8)
    with pytest.raises(UsageError, match="recompute_slice_activation=True"):
        trainer.set_recompute_config(True, recompute_slice_activation=True)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_every_training_argument_has_its_effect():
    """Trap: all but batch_size were ignored."""
    values = {"output_dir": "o", "batch_size": 7, "per_device_train_batch_size": 3, "per_device_eval_batch_size": 5,
              "learning_rate": 0.25, "weight_decay": 0.5, "adam_beta1": 0.8, "adam_beta2": 0.7, "adam_epsilon": 1e-3,
              "max_grad_norm": 2.0, "num_train_epochs": 9, "warmup_steps": 11, "seed": 4, "data_seed": 6, "do_eval": True}
    neutral = {"lr_scheduler_type": "cosine", "optim": "adamw"}
    assert set(values) | set(neutral) == {field.name for field in dataclasses.fields(TrainingArguments)}
    base = Settings()
    for name, value in values.items():
        assert TrainingArguments(**{name: value}).apply(base) != base, name
    settings = TrainingArguments(**values, **neutral).apply(base)
    assert (settings.batch_size, settings.eval_batch_size) == (3, 5)
    recipe = settings.recipe(settings.config(), 3, 22)
    assert (recipe.lr, recipe.warmup_epochs, recipe.clip_norm, recipe.beta1, recipe.beta2, recipe.eps, recipe.weight_decay,
            recipe.epochs) == (0.25 * 3 / 256, 0.5, 2.0, 0.8, 0.7, 1e-3, 0.5, 9)


@pytest.mark.parametrize("options", [{"sink_mode": True}, {"save_steps": 5}, {"resume_training": True}, {"lr_scheduler_type": "linear"},
                                     {"optim": "sgd"}, {"batch_size": 0}, {"save_strategy": "steps"}, {"learning_rate": "fast"},
                                     {"learning_rate": 0}, {"weight_decay": -1}, {"seed": -5}, {"seed": 1 << 32}, {"adam_beta1": 1.0},
                                     {"max_grad_norm": float("nan")}, {"warmup_steps": 1.5}, {"do_eval": "yes"}, {"output_dir": ""},
                                     {"num_train_epochs": True}])
def test_refused_training_arguments(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        TrainingArguments(**options)


def test_unknown_training_argument():
    with pytest.raises(TypeError, match="learn_rate"):
        TrainingArguments(learn_rate=1)


def test_the_recipe_file_is_the_default():
    document, default = settings_of(read_yaml(RECIPE)), Settings()
    assert document.config() == default.config()
    assert document.preprocessing(document.config()) == default.preprocessing(default.config())
    assert document.recipe(document.config(), 32, 100) == default.recipe(default.config(), 32, 100)
    recipe = default.recipe(default.config(), 32, 100)
    assert (recipe.lr, recipe.min_lr, recipe.warmup_epochs, recipe.layer_decay, recipe.weight_decay) == (6.25e-5, 1e-6, 5, 0.65, 0.05)
    assert recipe.preprocessing.crop_pct == 0.875


def test_layer_scale_means_layer_decay():
    """Trap: the key has nothing to do with LayerScale."""
    settings = settings_of({"layer_scale": False, "layer_decay": 0.65})
    assert settings.layer_decay == 1 and settings.config().init_values is None
    assert settings_of({"layer_scale": True, "layer_decay": 0.75}).layer_decay == 0.75


def test_keys_of_the_recipe():
    settings = settings_of(yaml.safe_load("""
        lr_scale: False
        lr_schedule: {learning_rate: 1e-3, warmup_steps: 7}
        optimizer: {type: adamw, beta2: 0.95}
        runner_wrapper: {use_clip_grad: True, max_grad_norm: 3.0}
        trainer: {model_name: vit_small_p16}
        model: {model_config: {drop_path_rate: 0.3}}
        train_dataset:
          transforms: [{type: Decode}, {type: RandomResizedCrop, scale: [0.5, 1.0], interpolation: linear}, {type: ToTensor}]
        eval_dataset: {transforms: [{type: Resize, size: 248}]}
        callbacks: [{type: MFLossMonitor}]
        parallel: {parallel_mode: 0}
    """))
    recipe = settings.recipe(settings.config(), 64, 14)
    assert (recipe.lr, recipe.warmup_epochs, recipe.beta2, recipe.clip_norm) == (1e-3, 0.5, 0.95, 3.0)
    assert settings.config().embed_dim == 384 and settings.config().drop_path_rate == 0.3
    augmentation = recipe.augmentation
    assert augmentation.crop_scale == (0.5, 1.0) and not augmentation.flip and not augmentation.mixup and not augmentation.rand_augment
    assert recipe.preprocessing.interpolation == "bilinear" and int(224 / recipe.preprocessing.crop_pct) == 248
    assert settings.without_effect == ("callbacks", "parallel.parallel_mode")


@pytest.mark.parametrize("document", [
    {"optimizer": {"type": "sgd"}}, {"use_parallel": True}, {"lr_schedule": {"type": "linear"}}, {"model": {"arch": {"type": "Swin"}}},
    {"runner_config": {"epochs": "many"}}, {"train_dataset": {"transforms": [{"type": "Blur"}]}}, {"resume_training": True},
    {"train_dataset": {"mixup_op": {"mode": "pair"}}}])
def test_refused_keys(document):
    with pytest.raises(UsageError):
        settings_of(document)


def test_errors(folders):
    with pytest.raises(UsageError, match="unknown task"):
        Trainer(task="text_generation")
    with pytest.raises(ValueError, match="unknown model"):
        Trainer(model="resnet50")
    with pytest.raises(UsageError, match="no folder"):
        Trainer(train_dataset="nowhere")
    with pytest.raises(UsageError, match="optimizers"):
        Trainer(optimizers=object())
    trainer = Trainer(model=ViTForImageClassification(tiny(num_classes=3)), train_dataset="imageNet-1k/train",
                      eval_dataset="imageNet-1k/val")
    for call, message in ((lambda: trainer.train(), "3 classes, the data 4"), (lambda: trainer.evaluate(), "4 classes"),
                          (lambda: trainer.train(resume_or_finetune_from_checkpoint="x"), "do_finetune=True"),
                          (lambda: trainer.train(do_finetune=True), "needs weights"), (lambda: trainer.finetune(), "names no weights"),
                          (lambda: trainer.train(resume_training=True), "resume_training"),
                          (lambda: trainer.train(initial_epoch=3), "initial_epoch"),
                          (lambda: trainer.evaluate(eval_checkpoint=True), "no checkpoint in"),
                          (lambda: trainer.evaluate(auto_trans_ckpt=True), "auto_trans_ckpt"),
                          (lambda: Trainer(model="vit_base_p16").evaluate(), "eval_dataset"),
                          (lambda: Trainer(model="vit_base_p16").train(), "train_dataset")):
        with pytest.raises(UsageError, match=message):
            call()
    # Trap: weights that could not be had left a random model.
    with pytest.raises(checkpoint.CheckpointError, match="vit_base_p16.ckpt"):
        Trainer(model="vit_base_p16", eval_dataset="imageNet-1k/val").evaluate()
    assert not os.path.exists("output")
