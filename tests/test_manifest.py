"""What belongs to weights besides the weights: it survives conversions, and fine-tuning starts from it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests._commands import call, image_tree, refused, tiny_recipes
from tests.checkpoint._models import hf_vit, timm_weights
from vit_kernels import (
    TrainingArguments, ViTConfig, ViTForImageClassification, ViTImageProcessor, ViTProcessor, checkpoint, convert, eval,
    predict, train,
)
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.inference import load_classifier
from vit_kernels.pipeline import pipeline
from vit_kernels.trainer import Trainer
from vit_kernels.training import checkpoint_io

ODD = Preprocessing((32, 32), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), crop_pct=0.8, interpolation="bilinear")
NAMES = ["amanita", "Größe 中文", "crane", "crane", "tick \"x\""]


@pytest.fixture
def own():
    """A checkpoint as training writes it, of a model that Hugging Face's classes can hold too."""
    config = ViTConfig(embed_dim=48, depth=2, num_heads=3, image_size=32, patch_size=16, num_classes=5, global_pool="token",
                       drop_path_rate=0.0, layer_norm_eps=1e-5)
    model = ViTForImageClassification(config, backend="reference", seed=1)
    rng = np.random.default_rng(0)
    weights = {name: (value + 0.1 * rng.standard_normal(value.shape)).astype(np.float32)
               for name, value in checkpoint_io.weights_of(model).items()}
    made = checkpoint_io.Checkpoint(config, ODD, NAMES, weights, {"m.head.bias": np.ones(5, np.float32)},
                                    {"dataset": "/data/x", "epoch": 3})
    checkpoint_io.save("run.safetensors", made)
    return made


@pytest.fixture
def tree(tmp_path):
    return image_tree(tmp_path / "tree", each=8)


def converted(source, output, *words) -> dict:
    ran = call(convert.main, "--input", source, "--output", output, *words)
    assert ran.code == 0, ran.err
    for what, where in ran.result["kept"].items():
        assert f"kept: {what}, in {where}" in ran.out
    for what, why in ran.result["left_behind"].items():
        assert f"left behind: {what}: {why}" in ran.out
    return ran.result


def same(own, where, config=True) -> None:
    """The classifier in `where` is the one of the training's checkpoint."""
    got = load_classifier(where, "reference")
    assert got.preprocessing == own.preprocessing and got.classes == own.classes
    assert not config or got.model.config == own.config
    for name, parameter in got.model.parameters_and_names():
        np.testing.assert_array_equal(parameter.asnumpy(), own.weights[name], err_msg=name)


@pytest.mark.parametrize("name, to", [("a.safetensors", "safetensors"), ("a.safetensors", "timm"), ("a.ckpt", "ckpt"),
                                      ("a.ckpt", "mindformers"), ("a.ckpt", "mindcv"), ("a.pth", "pth"), ("folder", "hf"),
                                      ("a.npz", "google")])
def test_there_and_back(own, name, to, pynative_mode):
    there = converted("run.safetensors", name, "--to", to)
    assert set(there["kept"]) == {"configuration", "preprocessing", "5 class names"}
    same(own, name)
    back = converted(name, "back.safetensors")
    assert set(back["kept"]) == set(there["kept"]) and not back["left_behind"]
    same(own, "back.safetensors")
    again = checkpoint_io.load("back.safetensors")
    in_file = to in ("safetensors", "timm")
    assert again.training == (own.training if in_file else {}) and not again.optimizer
    assert ("record of the training" in there["left_behind"]) != in_file


def test_half_precision_keeps_it_too(own, pynative_mode):
    converted("run.safetensors", "half.safetensors", "--dtype", "bf16")
    got = load_classifier("half.safetensors", "reference")
    assert got.preprocessing == ODD and got.classes == NAMES
    want = torch.from_numpy(own.weights["head.weight"]).bfloat16().float().numpy()
    np.testing.assert_array_equal(got.model.head.weight.asnumpy(), want)


@pytest.mark.parametrize("mode", ["center", "squash"])
def test_transformers_feeds_it_the_same_way(own, mode, pynative_mode):
    from transformers import AutoConfig, AutoImageProcessor

    own.preprocessing = dataclasses.replace(ODD, crop_mode=mode)
    checkpoint_io.save("run.safetensors", own)
    converted("run.safetensors", "folder", "--to", "hf")
    config = AutoConfig.from_pretrained("folder")
    assert config.id2label == dict(enumerate(NAMES)) and config.layer_norm_eps == 1e-5
    processor = AutoImageProcessor.from_pretrained("folder")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 64, 3), dtype=np.uint8))
    theirs = np.asarray(processor(image, return_tensors="np")["pixel_values"])
    ours = load_classifier("folder", "reference").prepare([image])
    difference = np.abs(theirs - ours) * np.array(ODD.std)[:, None, None]
    assert ours.shape == theirs.shape and difference.max() <= 1.01 / 255


def test_a_runs_output_folder_is_a_checkpoint(digits_run, pynative_mode):
    best = checkpoint_io.load(digits_run / "checkpoints/best.safetensors")
    model = ViTForImageClassification.from_pretrained(digits_run)
    assert model.config == best.config
    np.testing.assert_array_equal(model.head.weight.asnumpy(), best.weights["head.weight"])


def test_what_has_no_place_is_said(own):
    single = converted("run.safetensors", "one.safetensors", "--to", "hf")
    assert not single["kept"] and set(single["left_behind"]) == {"configuration", "preprocessing", "5 class names",
                                                                 "record of the training"}
    Path("b.yaml").write_text("lr: 3\n")
    taken = converted("run.safetensors", "b.ckpt")
    assert not taken["kept"] and "b.yaml" in taken["left_behind"]["preprocessing"] and Path("b.yaml").read_text() == "lr: 3\n"


def test_hugging_faces_own_folder(pynative_mode):
    """eps, preprocessing and names of a folder of theirs are not in its tensors; they stay with the weights."""
    model = hf_vit(layer_norm_eps=1e-12, id2label={i: f"name {i}" for i in range(7)}, label2id={f"name {i}": i for i in range(7)})
    model.save_pretrained("hf")
    Path("hf/preprocessor_config.json").write_text(json.dumps({"size": {"height": 32, "width": 32}, "resample": 3,
                                                               "image_mean": [0.4] * 3, "image_std": [0.2] * 3}))
    for name in ("a.safetensors", "a.ckpt"):
        converted("hf", name)
        got = load_classifier(name, "reference")
        assert got.model.config.layer_norm_eps == 1e-12 and got.classes == [f"name {i}" for i in range(7)]
        assert got.preprocessing == Preprocessing((32, 32), (0.4,) * 3, (0.2,) * 3, crop_mode="squash")
    assert ViTProcessor.from_pretrained("a.yaml").image_processor.preprocessing == got.preprocessing


def test_weights_that_say_nothing_get_no_companions():
    torch.save(timm_weights(), "timm.pth")
    assert converted("timm.pth", "a.ckpt")["kept"] == {} and not Path("a.yaml").exists()


def test_timms_folder(pynative_mode):
    """Their hub puts the preprocessing into config.json."""
    Path("hub").mkdir()
    checkpoint.save("hub/model.safetensors", {name: value.numpy() for name, value in timm_weights().items()}, "timm")
    Path("hub/config.json").write_text(json.dumps({"architecture": "vit_x", "num_classes": 7, "pretrained_cfg": {
        "input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 0.9, "crop_mode": "center",
        "interpolation": "bicubic"}}))
    assert load_classifier("hub", "reference").preprocessing == Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3, crop_pct=0.9)


def test_damaged_companions(own, pynative_mode):
    converted("run.safetensors", "a.ckpt")
    document = yaml.safe_load(Path("a.yaml").read_text())
    for damage, word in (({"preprocessing": {"mean": "x"}}, "preprocessing"), ({"preprocessing": {"sharpen": 1}}, "sharpen")):
        Path("a.yaml").write_text(yaml.safe_dump({**document, **damage}))
        with pytest.raises(checkpoint.CheckpointError, match=word):
            load_classifier("a.ckpt")
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    for text in (bomb, "a: &a [*a]\nclasses: *a\n", "preprocessing: &p {mean: *p}\n"):
        Path("a.yaml").write_text(text + yaml.safe_dump({"model": document["model"]}))
        with pytest.raises(ValueError, match="refers to itself|cannot be read as YAML"):
            load_classifier("a.ckpt")


def test_predict_and_eval_of_a_converted_checkpoint(digits_run, tmp_path):
    """The digits' own checkpoint through ckpt: the same rows, the same score."""
    best = digits_run / "checkpoints/best.safetensors"
    converted(digits_run, "d.ckpt")
    folder = image_tree(tmp_path / "tree") / "class0"
    rows = [call(predict.main, "--checkpoint", path, "--topk", 2, folder).result for path in (best, "d.ckpt")]
    assert rows[0] == rows[1]
    scores = [call(eval.main, "--checkpoint", path, "--dataset", "digits").result for path in (best, "d.ckpt")]
    assert scores[0]["top1"] == scores[1]["top1"] and scores[0]["count"] == scores[1]["count"]


# -- models in memory ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stated():
    """A folder of Hugging Face's that says how it is fed, and its manifest."""
    names = {i: f"name {i}" for i in range(7)}
    hf_vit(id2label=names, label2id={name: i for i, name in names.items()}).save_pretrained("hf")
    Path("hf/preprocessor_config.json").write_text(json.dumps({"size": {"height": 32, "width": 32}, "resample": 2,
                                                               "image_mean": [0.4] * 3, "image_std": [0.2] * 3}))
    return Preprocessing((32, 32), (0.4,) * 3, (0.2,) * 3, crop_mode="squash", interpolation="bilinear"), list(names.values())


def test_a_loaded_model_is_fed_as_it_was_trained(stated, pynative_mode):
    model = ViTForImageClassification.from_pretrained("hf", backend="reference")
    classify = pipeline("image_classification", model=model)
    assert (classify.classifier.preprocessing, classify.classifier.classes) == stated
    model.save_pretrained("saved")
    named = model.config.replace(checkpoint_name_or_path="saved/mindspore_model.ckpt")
    for again in (ViTForImageClassification.from_pretrained("saved"), ViTForImageClassification(named)):
        known = pipeline(model=again).classifier
        assert (known.preprocessing, known.classes) == stated and again.config == model.config
    assert load_classifier("saved").preprocessing == stated[0]
    assert ViTProcessor.from_pretrained("saved/mindspore_model.yaml").image_processor.preprocessing == stated[0]


def test_a_changed_model_keeps_what_still_holds(stated, pynative_mode):
    model = ViTForImageClassification.from_pretrained("hf", backend="reference")
    model.reset_classifier(3)
    model.set_image_size((48, 32))
    known = pipeline(model=model).classifier
    assert known.preprocessing == dataclasses.replace(stated[0], image_size=(48, 32)) and known.classes == ["0", "1", "2"]
    assert len(pipeline(model=model)(Image.new("RGB", (50, 60)))[0]) == 3
    model.save_pretrained("saved")
    assert "classes" not in yaml.safe_load(Path("saved/mindspore_model.yaml").read_text())
    fresh = pipeline(model=ViTForImageClassification(model.config)).classifier
    assert fresh.preprocessing == Preprocessing((48, 32))  # MAE's rule


def test_trainer_feeds_a_given_model_as_it_was_trained(stated, tree):
    model = ViTForImageClassification.from_pretrained("hf", backend="reference", num_classes=2, new_head=True)
    before = ms.get_context("mode")
    try:
        trainer = Trainer(TrainingArguments(num_train_epochs=1, batch_size=4), model=model, train_dataset=str(tree),
                          eval_dataset=str(tree))
        trainer.train()
        said = yaml.safe_load(next(Path("output").glob("*/config.yaml")).read_text())
        assert said["preprocessing"] == stated[0].to_dict() and said["preprocessing_from"].startswith("the given model")
        assert trainer.classifier().preprocessing == stated[0] and trainer.classifier().classes == ["class0", "class1"]
    finally:
        ms.set_context(mode=before)


# -- fine-tuning ---------------------------------------------------------------------------------------------------------

CLI = ["--epochs", 1, "--lr", 1e-9, "--batch-size", 4, "--workers", 0, "--backend", "reference"]


def fine_tuned(*words) -> tuple[dict, str]:
    """config.yaml of a run of `train`, and the folder."""
    with tiny_recipes():
        ran = call(train.main, *CLI, *words)
    assert ran.code == 0, ran.err
    return yaml.safe_load(Path(ran.result["output"], "config.yaml").read_text()), ran.result["output"]


def test_train_takes_the_checkpoints_preprocessing(own, tree, monkeypatch):
    """The loader is given it, the run's configuration and checkpoint say it, and predict uses it afterwards."""
    seen = []
    original = Preprocessing.normalize
    monkeypatch.setattr(Preprocessing, "normalize", lambda self, pixels: seen.append(self) or original(self, pixels))
    document, output = fine_tuned("--dataset", tree, "--checkpoint", "run.safetensors")
    assert set(seen) == {ODD}
    assert document["preprocessing"] == ODD.to_dict() and document["preprocessing_from"] == "run.safetensors (its header)"
    assert document["checkpoint"] == "run.safetensors"
    got = load_classifier(output, "reference")
    assert got.preprocessing == ODD and got.classes == ["class0", "class1"]
    kept = got.model.blocks[1].mlp.fc1.weight.asnumpy()
    np.testing.assert_allclose(kept, own.weights["blocks.1.mlp.fc1.weight"], atol=1e-6)  # the rate is nearly zero
    assert got.model.config.global_pool == "token" and got.model.config.layer_norm_eps == 1e-5
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8))
    resized = image.resize((40, 50), Image.Resampling.BILINEAR).crop((4, 9, 36, 41))  # floor(32 / 0.8) = 40 pixels, centre
    want = (np.asarray(resized) / 255 - np.array(ODD.mean)) / np.array(ODD.std)
    np.testing.assert_allclose(got.prepare([image])[0], want.transpose(2, 0, 1), atol=1e-5)


def test_the_users_flags_come_first(own, tree):
    document, output = fine_tuned("--dataset", tree, "--checkpoint", "run.safetensors", "--mean", .5, .5, .5, "--crop-pct", 1)
    want = dataclasses.replace(ODD, mean=(.5,) * 3, crop_pct=1.0)
    assert document["preprocessing"] == want.to_dict()
    assert document["preprocessing_from"] == "run.safetensors (its header), but --mean, --crop-pct"
    assert load_classifier(output, "reference").preprocessing == want
    with tiny_recipes():
        for words, says in ((("--mean", .5), "--mean"), (("--interpolation", "magic"), "interpolation"),
                            (("--std", 0, 1, 1), "std")):
            refused(call(train.main, *CLI, "--dataset", tree, "--checkpoint", "run.safetensors", *words), 2, says)
        refused(call(train.main, *CLI, "--dataset", tree, "--checkpoint", "none.pth"), 2, "none.pth does not exist")


def test_train_from_folders_and_from_files_that_say_nothing(tree):
    hf_vit().save_pretrained("hf")
    document, _ = fine_tuned("--dataset", tree, "--checkpoint", "hf")
    assert document["preprocessing"]["mean"] == [0.5] * 3 and document["preprocessing"]["crop_mode"] == "squash"
    Path("hf/preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 40}, "do_center_crop": True, "resample": 3,
                                                               "image_mean": [0.4] * 3, "image_std": [0.2] * 3}))
    document, _ = fine_tuned("--dataset", tree, "--checkpoint", "hf")
    assert document["preprocessing"] == Preprocessing((32, 32), (0.4,) * 3, (0.2,) * 3, crop_pct=0.8).to_dict()
    assert document["preprocessing_from"].endswith("(preprocessor_config.json)")
    torch.save({"model": timm_weights(classes=0)}, "mae.pth")
    document, _ = fine_tuned("--dataset", tree, "--checkpoint", "mae.pth")
    assert document["preprocessing_from"] == "the recipe" and document["preprocessing"]["image_size"] == [32, 32]


def test_trainer_takes_it_too(own, tree, caplog):
    fields = {"embed_dim": 48, "depth": 2, "num_heads": 3, "image_size": 32, "layer_norm_eps": 1e-5}
    recipe = {"model": {"model_config": {**fields, "use_mean_pooling": False}}, "runner_config": {"epochs": 1, "batch_size": 4},
              "train_dataset": {"num_parallel_workers": 0}}

    def run(document, **options) -> tuple[dict, Preprocessing]:
        trainer = Trainer({**document, "output_dir": str(len(caplog.records)) + "out"}, train_dataset=str(tree),
                          eval_dataset=str(tree), backend="reference", **options)
        trainer.finetune("run.safetensors")
        folder, = Path(trainer.settings.output_dir).iterdir()
        return yaml.safe_load((folder / "config.yaml").read_text()), trainer.classifier(True).preprocessing

    before = ms.get_context("mode")
    try:
        said, used = run(recipe)
        assert said["preprocessing"] == ODD.to_dict() and used == ODD
        assert said["preprocessing_from"] == "run.safetensors (its header)"
        assert not any("was trained with" in r.getMessage() for r in caplog.records)
        said, used = run({**recipe, "eval_dataset": {"transforms": [{"type": "Resize", "size": 36}]}})
        assert used == Preprocessing((32, 32), crop_pct=32 / 36.5) or used.crop_pct == 32 / 36
        assert said["preprocessing_from"] == "the configuration's transforms"
        assert any("was trained with" in r.getMessage() for r in caplog.records)
        own_way = ViTImageProcessor(32, mean=(0.5,) * 3, std=(0.5,) * 3)
        said, used = run(recipe, image_processor=own_way)
        assert used == own_way.preprocessing and said["preprocessing_from"] == "the given image_processor"
    finally:
        ms.set_context(mode=before)
