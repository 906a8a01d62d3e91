"""Loading into a model: the report, strictness, heads, resizing, and that a refusal changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.checkpoint._models import timm_weights
from vit_kernels.checkpoint import CheckpointError, CheckpointMismatch, load, load_checkpoint_into
from vit_kernels.models import ViTConfig, ViTForImageClassification

CONFIG = dict(embed_dim=128, depth=2, num_heads=2, image_size=32, patch_size=8, num_classes=7, global_pool="token",
              drop_path_rate=0.0)


def model(**changes):
    return ViTForImageClassification(ViTConfig(**{**CONFIG, **changes}), backend="reference", seed=3)


def saved(tmp_path, weights=None, **kwargs):
    path = tmp_path / "weights.pth"
    torch.save(weights if weights is not None else timm_weights(**kwargs), path)
    return path


def values(net) -> dict[str, np.ndarray]:
    return {p.name: p.asnumpy().copy() for p in net.get_parameters()}


def unchanged(net, before):
    for name, array in values(net).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_a_fitting_file(tmp_path):
    net, weights = model(), timm_weights()
    report = load_checkpoint_into(net, saved(tmp_path))
    assert report.complete and len(report.matched) == len(weights)
    for name, array in values(net).items():
        np.testing.assert_array_equal(array, weights[name].numpy())
    assert f"{len(weights)} matched" in str(report) and "timm names" in str(report)


@pytest.mark.parametrize("break_it, says", [
    (lambda w: w.pop("blocks.1.mlp.fc1.bias"), "missing: blocks.1.mlp.fc1.bias"),
    (lambda w: w.update({"blocks.5.norm1.weight": torch.ones(128)}), "unexpected: blocks.5.norm1.weight"),
    (lambda w: w.update({"norm.weight": torch.ones(64)}), r"norm.weight: \(64,\) in the file, \(128,\) in the model"),
    (lambda w: w.update({"norm.weight": torch.ones(128, dtype=torch.int64)}), "norm.weight: int64 in the file"),
    (lambda w: w.update({"head.weight": torch.ones(10, 128), "head.bias": torch.ones(10)}), "10 classes in the file, 7 in the model"),
    (lambda w: w.update({"pos_embed": torch.ones(1, 19, 128)}), r"pos_embed: \(1, 19, 128\) in the file"),
])
def test_strict_refuses_and_changes_nothing(tmp_path, break_it, says):
    weights = timm_weights()
    break_it(weights)
    net = model()
    before = values(net)
    with pytest.raises(CheckpointMismatch, match=says):
        load_checkpoint_into(net, saved(tmp_path, weights))
    unchanged(net, before)


def test_the_advice_fits_the_problem(tmp_path):
    weights = {**timm_weights(), "head.weight": torch.ones(10, 128), "head.bias": torch.ones(10)}
    with pytest.raises(CheckpointMismatch, match="num_classes, or pass new_head=True"):
        load_checkpoint_into(model(), saved(tmp_path, weights))
    with pytest.raises(CheckpointMismatch, match="pre-trained backbone: pass new_head=True"):
        load_checkpoint_into(model(global_pool="avg"), saved(tmp_path, classes=0))
    with pytest.raises(CheckpointMismatch, match="build the model from checkpoint.config"):
        load_checkpoint_into(model(depth=3), saved(tmp_path))


def test_not_strict_loads_what_fits(tmp_path):
    weights = timm_weights()
    weights.pop("norm.bias")
    net = model()
    report = load_checkpoint_into(net, saved(tmp_path, weights), strict=False)
    assert report.missing == ["norm.bias"] and not report.complete
    np.testing.assert_array_equal(values(net)["norm.weight"], weights["norm.weight"].numpy())


def test_new_head_keeps_its_start(tmp_path):
    net = model(num_classes=3)
    before = values(net)
    report = load_checkpoint_into(net, saved(tmp_path), new_head=True)
    assert set(report.replaced) == {"head.weight", "head.bias"} and "7 classes in the file, 3 in the model" in str(report)
    np.testing.assert_array_equal(values(net)["head.weight"], before["head.weight"])
    np.testing.assert_array_equal(values(net)["cls_token"], timm_weights()["cls_token"].numpy())


def test_mae_to_mean_pooling(tmp_path):
    """MAE's encoder has the class-token norm and no head; fine-tuning pools and starts both anew."""
    net = model(global_pool="avg")
    report = load_checkpoint_into(net, saved(tmp_path, classes=0), new_head=True)
    assert set(report.replaced) == {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
    assert set(report.ignored) == {"norm.weight", "norm.bias"} and not report.missing and not report.unexpected


def test_backbone_takes_a_classifier_file(tmp_path):
    report = load_checkpoint_into(model(num_classes=0), saved(tmp_path))
    assert report.complete and set(report.ignored) == {"head.weight", "head.bias"}


def test_other_grid_and_patch_are_resized(tmp_path):
    net = model(image_size=96, patch_size=16)
    report = load_checkpoint_into(net, saved(tmp_path))
    assert report.reshaped == {"pos_embed": "grid 4 x 4 resampled to 6 x 6",
                               "patch_embed.proj.weight": "patch 8 resized to 16 (FlexiViT)"}


def test_number_of_heads_is_compared_where_it_is_known(tmp_path):
    from vit_kernels.checkpoint import save

    save(tmp_path / "g.npz", {n: t.numpy() for n, t in timm_weights().items()}, "google", config={"num_heads": 4})
    with pytest.raises(CheckpointMismatch, match="num_heads: 4 in the file, 2 in the model"):
        load_checkpoint_into(model(hidden_act="gelu_tanh"), tmp_path / "g.npz")


def test_another_gelu_is_a_warning(tmp_path):
    from vit_kernels.checkpoint import save

    save(tmp_path / "g.npz", {n: t.numpy() for n, t in timm_weights().items()}, "google", config={"num_heads": 2})
    report = load_checkpoint_into(model(), tmp_path / "g.npz")
    assert any("hidden_act='gelu_tanh'" in warning for warning in report.warnings)


def test_nan_weights_are_a_warning_with_the_tensor(tmp_path):
    weights = timm_weights()
    weights["blocks.0.norm1.bias"][3] = float("nan")
    report = load_checkpoint_into(model(), saved(tmp_path, weights))
    assert report.warnings == ["blocks.0.norm1.bias holds 1 values that are not finite (NaN or infinity)"]


def test_nothing_in_common(tmp_path):
    with pytest.raises(CheckpointError):
        load_checkpoint_into(model(embed_dim=64, num_heads=1, num_classes=5), saved(tmp_path), strict=False)


def test_positions_without_class_token(tmp_path):
    """Some models give the class token no position: a row of zeros stands for it."""
    weights = timm_weights()
    weights["pos_embed"] = weights["pos_embed"][:, 1:]
    checkpoint = load(saved(tmp_path, weights))
    assert "class token" in checkpoint.adjusted["pos_embed"]
    pos = checkpoint.tensors["pos_embed"].read()
    assert not pos[:, 0].any()
    np.testing.assert_array_equal(pos[:, 1:], weights["pos_embed"].numpy())


def test_loading_is_a_copy_of_the_values(tmp_path):
    """fp16 and bf16 files load into fp32 parameters exactly."""
    weights = {name: tensor.to(torch.bfloat16) for name, tensor in timm_weights().items()}
    net = model()
    load_checkpoint_into(net, saved(tmp_path, weights))
    for name, array in values(net).items():
        np.testing.assert_array_equal(array, weights[name].float().numpy())
