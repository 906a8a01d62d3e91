"""Writing checkpoints in every format we read, one tensor in memory at a time, atomically."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from typing import Any, BinaryIO, Iterator, Mapping, Sequence

import numpy as np

from vit_kernels.checkpoint.errors import CheckpointError
from vit_kernels.checkpoint.formats import ckpt, npz, safetensors_file, torch_file
from vit_kernels.checkpoint.inference import infer_config
from vit_kernels.checkpoint.tensor import LazyTensor, from_array
from vit_kernels.checkpoint.vocabularies import untranslate

# Target -> (file format, vocabulary); 'hf' chooses between ViT and DINOv2 by the tensors.
TARGETS = {
    "ckpt": ("ckpt", "timm"),
    "mindformers": ("ckpt", "mindformers"),
    "mindcv": ("ckpt", "mindcv"),
    "safetensors": ("safetensors", "timm"),
    "timm": ("safetensors", "timm"),
    "hf": ("safetensors", "hf"),
    "pth": ("pth", "timm"),
    "google": ("npz", "google"),
}
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16",
          "float32": "float32", "float16": "float16", "bfloat16": "bfloat16"}
_WRITERS = {"ckpt": ckpt.write, "safetensors": safetensors_file.write, "pth": torch_file.write, "npz": npz.write}
_BY_EXTENSION = {".ckpt": "ckpt", ".safetensors": "safetensors", ".pth": "pth", ".pt": "pth", ".bin": "pth", ".npz": "google"}


def target_for(path: str | os.PathLike) -> str:
    """The target that a file name suggests.

    Raises:
        CheckpointError: an extension that says nothing.
    """
    extension = os.path.splitext(os.fspath(path))[1].lower()
    if extension not in _BY_EXTENSION:
        raise CheckpointError(f"{os.fspath(path)}: its extension names no format; choose one of {', '.join(TARGETS)}")
    return _BY_EXTENSION[extension]


def save(path: str | os.PathLike, tensors: Mapping[str, Any], target: str | None = None, dtype: str | None = None,
         config: Mapping[str, Any] | None = None, classes: Sequence[str] | None = None,
         preprocessor: Mapping[str, Any] | None = None, metadata: Mapping[str, str] | None = None) -> str:
    """Write weights.

    Args:
        path: file to write; for target 'hf' a path without extension becomes a folder with model.safetensors and
            config.json, which `transformers` opens with from_pretrained.
        tensors: our names -> LazyTensor, NumPy array, or anything with `asnumpy()`.
        target: a key of `TARGETS`; None goes by the extension.
        dtype: 'fp32', 'fp16' or 'bf16' for the floating-point tensors; None keeps each one's own.
        config: fields of `ViTConfig`; None infers them from the tensors.
        classes: names for the config.json of a folder of target 'hf'; None for LABEL_0, ...
        preprocessor: the preprocessor_config.json of such a folder; None for none.
        metadata: text entries of a safetensors file.

    Returns:
        The file's path.

    Raises:
        CheckpointError: unknown target or dtype, a tensor the vocabulary has no name for, a full disk. Nothing is left
            half-written.
    """
    path = os.fspath(path)
    target = target or target_for(path)
    if target not in TARGETS:
        raise CheckpointError(f"unknown target {target!r}, expected one of {', '.join(TARGETS)}")
    if dtype is not None and dtype not in DTYPES:
        raise CheckpointError(f"unknown dtype {dtype!r}, expected fp32, fp16 or bf16")
    file_format, vocabulary = TARGETS[target]
    lazy = {name: _as_lazy(name, value) for name, value in tensors.items()}
    if not lazy:
        raise CheckpointError(f"no tensors to write to {path}")
    if vocabulary == "hf":
        scaled = any(name == "reg_token" or ".ls1." in name for name in lazy)
        vocabulary = "hf-dinov2" if scaled else "hf-vit"
    if vocabulary in ("google", "hf-vit", "hf-dinov2"):
        # Only these need to know the number of heads.
        config = dict(config or infer_config(lazy))
    named = untranslate(lazy, vocabulary, (config or {}).get("num_heads", 1))
    if target == "hf" and not os.path.splitext(path)[1]:
        os.makedirs(path, exist_ok=True)
        documents = {"config.json": hf_config(config, vocabulary, classes), "preprocessor_config.json": preprocessor}
        for name, document in documents.items():
            if document is not None:
                with atomic_file(os.path.join(path, name)) as handle:
                    handle.write((json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
        path = os.path.join(path, "model.safetensors")
    with atomic_file(path) as handle:
        extra = {"metadata": metadata} if file_format == "safetensors" else {}
        _WRITERS[file_format](handle, named, DTYPES[dtype] if dtype else None, **extra)
    return path


def _as_lazy(name: str, value: Any) -> LazyTensor:
    if isinstance(value, LazyTensor):
        return value
    if hasattr(value, "asnumpy"):
        # NumPy has no bfloat16 of its own; MindSpore's is told by its name.
        if str(getattr(value, "dtype", "")) == "BFloat16":
            return from_array(name, value.float().asnumpy()).astype("bfloat16")
        value = value.asnumpy()
    return from_array(name, np.asarray(value))


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is complete.

    Raises:
        CheckpointError: it cannot be written; the temporary file is gone and an older file of that name untouched.
    """
    path = os.fspath(path)
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise CheckpointError(f"cannot write {path}: the disk is full ({error.strerror}); nothing was written") from error
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def hf_config(config: Mapping[str, Any], vocabulary: str, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """The config.json with which `transformers` builds the same model; `classes` are the names of its outputs."""
    tanh = "tanh" in config.get("hidden_act", "gelu")
    result = {
        "hidden_size": config["embed_dim"], "num_hidden_layers": config["depth"], "num_attention_heads": config["num_heads"],
        "image_size": config["image_size"], "patch_size": config["patch_size"], "num_channels": config["in_chans"],
        "qkv_bias": config["qkv_bias"], "layer_norm_eps": config["layer_norm_eps"],
        "hidden_act": "gelu_pytorch_tanh" if tanh else "gelu", "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0,
    }
    if config["num_classes"]:
        names = classes or [f"LABEL_{i}" for i in range(config["num_classes"])]
        result["id2label"] = {str(i): name for i, name in enumerate(names)}
        result["label2id"] = {name: i for i, name in enumerate(names)}
    if vocabulary == "hf-vit":
        name = "ViTForImageClassification" if config["num_classes"] else "ViTModel"
        hidden = round(config["embed_dim"] * config["mlp_ratio"])
        return {"architectures": [name], "model_type": "vit", "intermediate_size": hidden, **result}
    registers = config.get("reg_tokens", 0)
    family = "Dinov2WithRegisters" if registers else "Dinov2"
    result.update(mlp_ratio=config["mlp_ratio"], layerscale_value=1.0, use_swiglu_ffn=False, drop_path_rate=0.0)
    if registers:
        result["num_register_tokens"] = registers
    return {"architectures": [f"{family}Model"],
            "model_type": "dinov2_with_registers" if registers else "dinov2", **result}
