"""run_mindformer.py: its modes, flags and overrides, and a YAML file of MindFormers unchanged."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import pytest
import yaml

from tests.checkpoint._models import timm_weights
from tests.test_pretrained import put
from tests.test_trainer import RECIPE, ROOT, folders, pictures  # noqa: F401
from vit_kernels import _cli, checkpoint, run_mindformer
from vit_kernels.errors import UsageError
from vit_kernels.mindformers_config import override, settings_of

TINY = ["--model.model_config.hidden_size", "64", "--model.model_config.num_hidden_layers=1", "--options",
        "model.model_config.num_attention_heads=1", "model.model_config.intermediate_size=128", "model.model_config.image_size=32",
        "eval_dataset.transforms=null", "train_dataset.num_parallel_workers=0"]

# The schema of MindFormers r0.8's file, every key of it, short values.
MINDFORMERS = """
seed: 0
run_mode: 'train'
output_dir: './output'
load_checkpoint: ''
src_strategy_path_or_dir: ''
auto_trans_ckpt: False
only_save_strategy: False
resume_training: False
context: {mode: 0, device_target: "Ascend", enable_graph_kernel: False, graph_kernel_flags: "--opt_level=0", max_call_depth: 10000,
          save_graphs: False, device_id: 0}
remote_save_url: "Please input obs url on AICC platform."
runner_config: {epochs: 1, batch_size: 8, image_size: 32, sink_mode: True, sink_size: 2, num_classes: 4}
runner_wrapper: {type: MFTrainOneStepCell, scale_sense: {type: FixedLossScaleUpdateCell, loss_scale_value: 1024}}
use_parallel: False
parallel: {parallel_mode: 0, gradients_mean: True, enable_alltoall: False, full_batch: False, search_mode: "sharding_propagation",
           enable_parallel_optimizer: False, strategy_ckpt_save_file: "./ckpt_strategy.ckpt"}
parallel_config: {data_parallel: 1, model_parallel: 1, expert_parallel: 1, pipeline_stage: 1, micro_batch_num: 1,
                  gradient_aggregation_group: 4}
micro_batch_interleave_num: 1
moe_config: {expert_num: 1, capacity_factor: 1.05, aux_loss_factor: 0.05, num_experts_chosen: 1}
recompute_config: {recompute: False, parallel_optimizer_comm_recompute: False, mp_comm_recompute: True,
                   recompute_slice_activation: False}
auto_tune: False
profile: False
trainer: {type: image_classification, model_name: 'vit_base_p16'}
do_eval: False
train_dataset: &train_dataset
  seed: 2022
  batch_size: 32
  data_loader: {type: ImageFolderDataset, dataset_dir: "imageNet-1k/train", num_parallel_workers: 8, shuffle: True}
  transforms:
    - {type: Decode}
    - {type: RandomResizedCrop, size: 32, scale: [0.08, 1.0], interpolation: cubic}
    - {type: RandomHorizontalFlip, prob: 0.5}
    - {type: ToPIL}
    - {type: rand_augment_transform, config_str: "rand-m9-mstd0.5-inc1", hparams: {translate_const: 100, img_mean: [124, 116, 104],
       interpolation: cubic}}
    - {type: ToTensor}
    - {type: Normalize, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], is_hwc: False}
    - {type: RandomErasing, probability: 0.25, mode: pixel, max_count: 1}
  mixup_op: {type: Mixup, mixup_alpha: 0.8, cutmix_alpha: 1.0, cutmix_minmax: null, prob: 1.0, switch_prob: 0.5,
             label_smoothing: 0.1}
  input_columns: ["image", "label"]
  output_columns: ["image", "label"]
  column_order: ["image", "label"]
  num_parallel_workers: 2
  python_multiprocessing: False
  drop_remainder: True
  repeat: 1
  numa_enable: False
  prefetch_size: 30
train_dataset_task: {type: ImageCLSDataset, dataset_config: *train_dataset}
eval_dataset:
  data_loader: {type: ImageFolderDataset, dataset_dir: "imageNet-1k/val", shuffle: True}
  transforms: [{type: Decode}, {type: Resize, size: 36, interpolation: cubic}, {type: CenterCrop, size: 32}, {type: ToTensor},
               {type: Normalize, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], is_hwc: False}]
  batch_size: 32
  drop_remainder: True
eval_dataset_task: {type: ImageCLSDataset}
model:
  arch: {type: ViTForImageClassification}
  model_config: {type: ViTConfig, image_size: 32, patch_size: 16, num_channels: 3, initializer_range: 0.02, hidden_size: 64,
                 num_hidden_layers: 1, num_attention_heads: 1, intermediate_size: 128, qkv_bias: True, hidden_act: gelu,
                 post_layernorm_residual: False, layer_norm_eps: !!float 1e-6, attention_probs_dropout_prob: 0.0,
                 hidden_dropout_prob: 0.0, drop_path_rate: 0.1, use_mean_pooling: True, num_labels: 4,
                 loss_type: SoftTargetCrossEntropy, encoder_stride: 16, checkpoint_name_or_path: 'vit_base_p16',
                 layernorm_compute_type: float32, softmax_compute_type: float32, param_init_type: float32}
lr_schedule: {type: cosine, learning_rate: 5.e-4, lr_end: 1.e-6, warmup_epochs: 5, total_steps: -1}
layer_scale: True
layer_decay: 0.65
optimizer: {type: adamw, beta1: 0.9, beta2: 0.999, eps: 1.e-8, weight_decay: 0.05}
lr_scale: True
lr_scale_factor: 256
callbacks:
  - {type: MFLossMonitor}
  - {type: CheckpointMointor, prefix: "mindformers", save_checkpoint_steps: 100, integrated_save: True, async_save: False}
  - {type: ObsMonitor}
eval_callbacks: [{type: ObsMonitor}]
metric: {type: Accuracy, eval_type: classification}
processor: {type: ViTProcessor, image_processor: {type: ViTImageProcessor, size: 32}}
"""


def run(*words) -> int:
    before = ms.get_context("mode")
    try:
        return _cli.run(lambda argv: run_mindformer.main(argv, ROOT), [str(word) for word in words])
    finally:
        ms.set_context(mode=before)


def result(text: str):
    return json.loads(text.split("--result\n", 1)[1])


def test_a_mindformers_file_unchanged(folders, capsys, caplog):  # noqa: F811
    Path("mf.yaml").write_text(MINDFORMERS)
    assert run("--config", "mf.yaml") == 0
    trained = result(capsys.readouterr().out)
    assert trained["epochs"] == 1 and trained["steps"] == 2
    listed = [record.message for record in caplog.records if "no effect" in record.message]
    assert len(listed) == 1 and "context.device_target" in listed[0] and "callbacks" in listed[0]
    keys = listed[0].split(": ", 1)[1].split(", ")
    assert len(keys) == len(set(keys))
    assert not [key for key in keys if key.startswith(("optimizer", "lr_", "layer_", "model.", "train_dataset.mixup", "train_dataset.tr"))]
    assert run("--config", "mf.yaml", "--run_mode", "eval", "--load_checkpoint", next(Path("output").iterdir())) == 0
    assert "Top1 Accuracy = {'Top1 Accuracy': " in capsys.readouterr().out


def test_modes_with_overrides(folders, capsys):  # noqa: F811
    config = ["--config", "configs/vit/run_vit_base_p16_224_100ep.yaml"]
    state = timm_weights(width=64, depth=1, hidden=128, patch=16, grid=2, norm="norm", classes=0)
    put(state, "start.pth")
    capsys.readouterr()
    assert run(*config, "--run_mode", "finetune", "--load_checkpoint", "start.pth", "--epochs", 2, "--batch_size", 8, *TINY,
               "--output_dir", "runs", "--lr_schedule.learning_rate", "1e-9", "--dataset_dir", "imageNet-1k/train") == 0
    assert result(capsys.readouterr().out)["steps"] == 4
    best = next(Path("runs").iterdir()) / "checkpoints/best.safetensors"
    trained = dict(checkpoint.load(best).arrays())
    assert abs(trained["blocks.0.attn.qkv.weight"] - state["blocks.0.attn.qkv.weight"].numpy()).max() < 1e-6
    assert run(*config, "--run_mode", "eval", "--load_checkpoint", best, "--eval_dataset_dir", "imageNet-1k/val", *TINY) == 0
    assert result(capsys.readouterr().out)["count"] == 12
    assert run(*config, "--run_mode", "predict", "--load_checkpoint", best, "--predict_data", "sunflower.png", "imageNet-1k/val/n01",
               "--top_k", 2, "--predict_batch_size", 3, *TINY) == 0
    out = capsys.readouterr().out
    assert "output result is: [[{'score': " in out and "output result is saved at: image_classification_result.txt" in out
    assert len(result(out)) == 4 and [len(row) for row in result(out)] == [2] * 4
    assert Path("image_classification_result.txt").read_text().startswith("[[{'score': ")


@pytest.mark.parametrize("command, word", [("train", "--epochs"), ("eval", "--load_checkpoint"), ("predict", "--predict_data")])
def test_the_commands_take_a_recipe_too(command, word, capsys):
    module = importlib.import_module(f"vit_kernels.{command}")
    assert _cli.run(module.main, ["--config", "nothing.yaml", word, "1"]) == 2
    assert "--config nothing.yaml does not exist" in capsys.readouterr().err


def test_training_by_command(folders, capsys):  # noqa: F811
    from vit_kernels import train

    Path("mf.yaml").write_text(MINDFORMERS)
    before = ms.get_context("mode")
    assert _cli.run(train.main, ["--config", "mf.yaml", "--batch-size", "4", "--output", "there"]) == 0
    ms.set_context(mode=before)
    assert result(capsys.readouterr().out)["steps"] == 4 and len(list(Path("there").iterdir())) == 1


def test_predict_reports_what_it_cannot_read(folders, capsys):  # noqa: F811
    """A folder with a damaged image: the rest is done, exit 1. Random weights only when asked for."""
    Path("imageNet-1k/val/n01/broken.png").write_text("no image")
    words = ["--config", str(RECIPE), "--run_mode", "predict", "--predict_data", "imageNet-1k/val/n01", *TINY]
    assert run(*words) == 1 and "--allow_random" in capsys.readouterr().err
    assert run(*words, "--allow_random", "--predict_batch_size", 2, "--top_k", 2) == 1
    out, err = capsys.readouterr()
    assert "broken.png is not an image" in err and "1 of 4 images could not be read" in err and "Traceback" not in err
    rows = result(out)
    assert [len(ranked) for ranked in rows] == [2, 2, 2] and set(rows[0][0]) == {"score", "label", "index"}
    assert Path("image_classification_result.txt").read_text() == f"{rows}\n"


def test_the_script(folders):  # noqa: F811
    """At the top of the checkout, with the configuration found beside it."""
    done = subprocess.run([sys.executable, str(ROOT / "run_mindformer.py"), "--config", "configs/vit/run_vit_base_p16_224_100ep.yaml",
                           "--run_mode", "predict", "--predict_data", "sunflower.png"], capture_output=True, text=True)
    assert done.returncode == 1 and "vit_base_p16.ckpt in the folder checkpoint_download/vit" in done.stderr
    assert "Traceback" not in done.stderr


def test_train_starts_from_scratch_and_predict_from_the_name():
    """The same file: training has random weights unless load_checkpoint names some, evaluation the named ones. Known, and kept."""
    settings = settings_of(yaml.safe_load(MINDFORMERS))
    assert settings.checkpoint == "" and settings.named_weights == "vit_base_p16"


@pytest.mark.parametrize("words, code, message", [
    ([], 2, "--config"), (["--config", "nothing.yaml"], 2, "does not exist"), (["--config", "bad.yaml"], 2, "YAML"),
    (["--config", RECIPE, "--run_mode", "export"], 2, "invalid choice"),
    (["--config", RECIPE, "--run_mode", "predict"], 2, "--predict_data is missing"),
    (["--config", RECIPE, "--run_mode", "finetune"], 2, "names no weights"),
    (["--config", RECIPE, "--lr_shedule.learning_rate", "1"], 2, "no section lr_shedule"),
    (["--config", RECIPE, "--lr_schedule.learning_rate"], 2, "has no value"), (["--config", RECIPE, "--nonsense", "1"], 2, "unknown argument"),
    (["--config", RECIPE, "--options", "seed"], 2, "KEY=VALUE"), (["--config", RECIPE, "--use_parallel", "true"], 2, "one device"),
    (["--config", RECIPE, "--do_eval", "perhaps"], 2, "neither true nor false"), (["--config", RECIPE, "--num_samples", "5"], 2, "num_samples"),
    (["--config", RECIPE, "--run_mode", "train"], 2, "needs train_dataset"),
    (["--config", "based.yaml"], 2, "base_config"),
])
def test_errors(words, code, message, capsys):
    Path("bad.yaml").write_text("a: [")
    Path("based.yaml").write_text("base_config: [a.yaml]")
    assert run(*words) == code
    assert message in capsys.readouterr().err


def test_override():
    document = {"a": {"b": {"c": 1}}}
    override(document, "a.b.c", 2)
    override(document, "a.d", 3)
    assert document == {"a": {"b": {"c": 2}, "d": 3}}
    with pytest.raises(UsageError, match="a.x"):
        override(document, "a.x.y", 1)
