"""Loading a checkpoint into a model: every tensor is accounted for before the first one is touched."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError, CheckpointMismatch
from vit_kernels.checkpoint.inference import grid_of
from vit_kernels.checkpoint.reading import Checkpoint, load
from vit_kernels.checkpoint.report import LoadReport
from vit_kernels.checkpoint.resize import resize_patch_weight, resize_pos_embed

logger = logging.getLogger("vit_kernels")

HEAD = ("head.weight", "head.bias")
_FINAL_NORMS = {"norm.weight": "fc_norm.weight", "norm.bias": "fc_norm.bias",
                "fc_norm.weight": "norm.weight", "fc_norm.bias": "norm.bias"}


def load_checkpoint_into(model: Any, source: str | os.PathLike | Checkpoint, strict: bool = True, new_head: bool = False,
                         antialias: bool = False) -> LoadReport:
    """Load weights of any format and vocabulary into a model, and say what happened to each.

    Position embeddings are resampled to the model's grid and the patch projection to its patch size. All checks come
    before the first change: after an exception the model is as it was.

    Args:
        model: a MindSpore cell whose parameters carry our names, with a `config`.
        source: what `load` takes, or its result.
        strict: raise unless every parameter is found and nothing is left over. False loads what fits.
        new_head: the classifier (and the final norm, if the model pools differently) may be absent or have another
            class count; it keeps its starting values. For fine-tuning.
        antialias: resample position embeddings as timm does instead of as MAE does; matters only when shrinking.

    Returns:
        The report, which is logged too.

    Raises:
        CheckpointMismatch: strict, and the checkpoint does not fit. Its `report` lists everything.
        CheckpointError: the file cannot be read.
    """
    checkpoint = source if isinstance(source, Checkpoint) else load(source)
    parameters = {parameter.name: parameter for parameter in model.get_parameters()}
    report = LoadReport(checkpoint.path, checkpoint.format, checkpoint.vocabulary, ignored=dict(checkpoint.ignored),
                        unexpected=list(checkpoint.unexpected), reshaped=dict(checkpoint.adjusted))
    for name, parameter in parameters.items():
        _place(report, name, tuple(parameter.shape), checkpoint, getattr(model, "config", None), new_head or not strict)
    for name in checkpoint.tensors:
        if name in parameters:
            continue
        if name in HEAD and not any(head in parameters for head in HEAD):
            report.ignored[name] = "the model has no classifier"
        elif new_head and _FINAL_NORMS.get(name) in report.replaced:
            report.ignored[name] = "the final norm of another kind of pooling"
        else:
            report.unexpected.append(name)
    _compare_configs(report, checkpoint, getattr(model, "config", None))
    if strict and (report.missing or report.unexpected or report.mismatched):
        raise CheckpointMismatch(_explain(report), report)
    if not report.matched and not report.reshaped:
        raise CheckpointMismatch(f"{report.path}: not one of its tensors fits the model\n{report}", report)
    _assign(report, parameters, checkpoint, getattr(model, "config", None), antialias)
    logger.log(logging.WARNING if report.warnings or not report.complete else logging.INFO, "%s", report)
    return report


def _place(report: LoadReport, name: str, shape: tuple[int, ...], checkpoint: Checkpoint, config: Any,
           head_may_differ: bool) -> None:
    """Decide what becomes of one parameter of the model."""
    tensor = checkpoint.tensors.get(name)
    if tensor is None:
        if head_may_differ and name in HEAD:
            report.replaced[name] = "not in the file; keeps its starting values"
        elif head_may_differ and name in _FINAL_NORMS and _FINAL_NORMS[name] in checkpoint.tensors:
            report.replaced[name] = f"the file has {_FINAL_NORMS[name]} instead; keeps its starting values"
        else:
            report.missing.append(name)
        return
    if not tensor.is_float:
        report.mismatched[name] = f"{tensor.dtype} in the file, floating point in the model"
    elif tensor.shape == shape:
        if name not in report.reshaped:
            report.matched.append(name)
    elif name in HEAD and tensor.shape[1:] == shape[1:]:
        text = f"{tensor.shape[0]} classes in the file, {shape[0]} in the model"
        if head_may_differ:
            report.replaced[name] = f"{text}; keeps its starting values"
        else:
            report.mismatched[name] = text
    elif name == "pos_embed" and config is not None and _resizable(tensor.shape, shape):
        old, new = _grids(checkpoint, config)
        report.reshaped[name] = f"grid {old[0]} x {old[1]} resampled to {new[0]} x {new[1]}"
    elif name == "patch_embed.proj.weight" and tensor.shape[:2] == shape[:2] and len(tensor.shape) == 4 \
            and tensor.shape[2] == tensor.shape[3] > 0:
        report.reshaped[name] = f"patch {tensor.shape[2]} resized to {shape[2]} (FlexiViT)"
    else:
        report.mismatched[name] = f"{tensor.shape} in the file, {shape} in the model"


def _resizable(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    if len(old) != 3 or old[0] != 1 or old[2] != new[2]:
        return False
    try:
        grid_of(old[1] - 1)
    except CheckpointError:
        return False
    return True


def _grids(checkpoint: Checkpoint, config: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return grid_of(checkpoint.tensors["pos_embed"].shape[1] - 1), tuple(config.grid)


def _compare_configs(report: LoadReport, checkpoint: Checkpoint, config: Any) -> None:
    """What shapes do not show: the number of heads must agree, another activation deserves a warning."""
    if config is None or "patch_embed.proj.weight" not in checkpoint.tensors:
        return
    known = checkpoint.metadata.get("num_heads")
    if known is None and isinstance(checkpoint.metadata.get("config"), dict):
        known = checkpoint.metadata["config"].get("num_attention_heads")
    if known is not None and known != config.num_heads:
        report.mismatched["num_heads"] = f"{known} in the file, {config.num_heads} in the model"
    try:
        expected = checkpoint.config["hidden_act"]
    except CheckpointError:
        return
    if ("tanh" in expected) != ("tanh" in config.hidden_act):
        report.warnings.append(f"the weights were trained with hidden_act={expected!r}, the model has "
                               f"{config.hidden_act!r}; outputs differ in the third digit")


def _explain(report: LoadReport) -> str:
    """The exception's text: reason, full report, what to do."""
    if set(report.mismatched) | set(report.missing) <= set(HEAD) and not report.unexpected:
        advice = "build the model with the file's num_classes, or pass new_head=True to train a new classifier"
    elif not report.mismatched and set(report.missing) <= {*HEAD, *_FINAL_NORMS} and set(report.unexpected) <= set(_FINAL_NORMS):
        advice = "this looks like a pre-trained backbone: pass new_head=True to train a new classifier"
    else:
        advice = "build the model from checkpoint.config, or pass strict=False to load what fits"
    return f"the checkpoint does not fit the model; {advice}\n{report}"


def _assign(report: LoadReport, parameters: dict[str, Any], checkpoint: Checkpoint, config: Any, antialias: bool) -> None:
    import mindspore as ms

    values = {}
    for name in [*report.matched, *report.reshaped]:
        array = checkpoint.tensors[name].read()
        if not np.isfinite(array).all():
            count = int(array.size - np.isfinite(array).sum())
            report.warnings.append(f"{name} holds {count} values that are not finite (NaN or infinity)")
        shape = tuple(parameters[name].shape)
        if array.shape != shape and name == "pos_embed":
            array = resize_pos_embed(array.astype(np.float32, copy=False), *_grids(checkpoint, config), antialias=antialias)
        elif array.shape != shape:
            array = resize_patch_weight(array.astype(np.float32, copy=False), shape[2])
        values[name] = array
    for name, array in values.items():
        parameter = parameters[name]
        parameter.set_data(ms.Tensor(np.ascontiguousarray(array), dtype=parameter.dtype))
