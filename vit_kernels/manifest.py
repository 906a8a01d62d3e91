"""What belongs to weights besides the weights: architecture, preprocessing, class names. Read from, and written for, the
files that carry it: our own header, `save_pretrained`'s YAML file, Hugging Face's config.json and preprocessor_config.json.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from vit_kernels._version import __version__
from vit_kernels.checkpoint import Checkpoint, CheckpointError, atomic_file
from vit_kernels.checkpoint.inference import OWN_HEADER
from vit_kernels.config_files import config_fields, read_yaml
from vit_kernels.data.labels import imagenet_labels
from vit_kernels.data.preprocessing import Preprocessing
from vit_kernels.models import ViTConfig

# What the published weights of Google and Hugging Face were trained with: pixels scaled to -1..1.
_HALF = (0.5, 0.5, 0.5)
_PILLOW_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
# Vocabularies whose models have properties that neither shapes nor other vocabularies show.
_TELLING = ("google", "big-vision", "hf-vit", "hf-dinov2")


@dataclasses.dataclass
class Manifest:
    """Everything that has to be known to use weights.

    Attributes:
        config: the architecture, as fields of `ViTConfig`; this module needs no MindSpore.
        preprocessing: how an image becomes the model's input.
        classes: names of the outputs, in order.
        training: what the file says of its training; empty for other projects' files.
        preprocessing_from: where the preprocessing is stated; '' where nothing states it and MAE's rule is taken.
        named: whether the file has names for its classes.
        telling: whether the file says more than its tensors' shapes do.
    """

    config: dict[str, Any]
    preprocessing: Preprocessing
    classes: list[str]
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    preprocessing_from: str = ""
    named: bool = False
    telling: bool = False

    def header(self) -> str:
        """The text under which our safetensors files carry it."""
        return header_of(self.config, self.preprocessing, self.classes, self.training)

    def hugging_face(self) -> dict[str, Any]:
        """The preprocessor_config.json with which `transformers` feeds the model."""
        ours, (height, width) = self.preprocessing, self.preprocessing.image_size
        filters = {name: number for number, name in _PILLOW_FILTERS.items()}
        document: dict[str, Any] = {"do_resize": True, "resample": filters[ours.interpolation], "do_rescale": True,
                                    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": list(ours.mean),
                                    "image_std": list(ours.std)}
        if ours.crop_mode == "squash":
            return {"image_processor_type": "ViTImageProcessor", **document, "size": {"height": height, "width": width}}
        # The ViT processor cannot crop; this one is DINOv2's.
        return {"image_processor_type": "BitImageProcessor", **document,
                "size": {"shortest_edge": math.floor(max(height, width) / ours.crop_pct)}, "do_center_crop": True,
                "crop_size": {"height": height, "width": width}, "do_convert_rgb": ours.channels == 3}

    def write_yaml(self, path: Path) -> bool:
        """Write `save_pretrained`'s YAML file with preprocessing and class names in it; False, and nothing is written, where
        another kind of file has that name.

        Raises:
            CheckpointError: it cannot be written.
        """
        if path.exists() and not _is_model_yaml(path):
            return False
        with atomic_file(path) as file:
            file.write(ViTConfig(**self.config).yaml(**self.sections()).encode())
        return True

    def sections(self) -> dict[str, Any]:
        """What that YAML file says of preprocessing and class names: the part of it that is stated anywhere."""
        stated = {"preprocessing": self.preprocessing.to_dict()} if self.preprocessing_from else {}
        return {**stated, **({"classes": self.classes} if self.named else {})}

    def of_model(self, config: ViTConfig) -> "Manifest":
        """This manifest for a model whose size, channels or classes have changed since it was read."""
        channels = config.in_chans == self.preprocessing.channels
        named = self.named and len(self.classes) == config.num_classes
        if channels:
            preprocessing, stated = dataclasses.replace(self.preprocessing, image_size=config.image_hw), self.preprocessing_from
        else:
            preprocessing, stated = mae_preprocessing(config.image_hw, config.in_chans), ""
        return dataclasses.replace(self, config=config.to_dict(), preprocessing=preprocessing, preprocessing_from=stated,
                                   named=named, classes=self.classes if named else _default_names(config.num_classes))


def header_of(config: dict[str, Any], preprocessing: Preprocessing, classes: list[str], training: dict[str, Any]) -> str:
    """The JSON text of our own header."""
    return json.dumps({"version": __version__, "config": config, "preprocessing": preprocessing.to_dict(),
                       "classes": classes, "training": training})


def manifest_of(opened: Checkpoint, image_hw: tuple[int, int] | None = None) -> Manifest:
    """What an opened checkpoint says of itself, and the rules of its origin for the rest.

    Args:
        opened: of `checkpoint.load`.
        image_hw: (height, width) of the images that the weights are going to see; None for the checkpoint's own.

    Raises:
        CheckpointError: a damaged header or companion, or a number of heads that cannot be told.
    """
    architecture = ViTConfig(**{**config_fields(opened), "checkpoint_name_or_path": None})
    config, classes = architecture.to_dict(), architecture.num_classes
    image_hw = image_hw or architecture.image_hw
    if OWN_HEADER in opened.metadata:
        try:
            header = json.loads(opened.metadata[OWN_HEADER])
            stated = dataclasses.replace(Preprocessing.from_dict(header["preprocessing"]), image_size=image_hw)
            names = [str(name) for name in header["classes"]]
            return Manifest(config, stated, names, dict(header["training"]), "its header", True, True)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{opened.path}: its {OWN_HEADER} header is damaged ({str(error)[:100]})") from None
    preprocessing, where = _preprocessing(opened, image_hw, architecture.in_chans)
    names = _names(opened, classes)
    return Manifest(config, preprocessing, names or _default_names(classes), {}, where, names is not None,
                    bool(where) or names is not None or opened.vocabulary in _TELLING or _beside(opened).is_file())


def manifest_of_model(model: Any) -> Manifest:
    """What a model in memory knows of its weights: what they were loaded with, or trained with; for others MAE's rule."""
    config = model.config
    if getattr(model, "manifest", None) is not None:
        return model.manifest.of_model(config)
    preprocessing = mae_preprocessing(config.image_hw, config.in_chans)
    return Manifest(config.to_dict(), preprocessing, _default_names(config.num_classes))


def foreign_preprocessing(opened: Checkpoint, config: ViTConfig) -> Preprocessing:
    """How another project feeds these weights: from its own file where there is one, else from where they come."""
    return _preprocessing(opened, config.image_hw, config.in_chans)[0]


def foreign_classes(opened: Checkpoint, config: ViTConfig) -> list[str]:
    """Names of the outputs: the file's own, ImageNet's for a thousand of them, else numbers."""
    return _names(opened, config.num_classes) or _default_names(config.num_classes)


def mae_preprocessing(image_hw: tuple[int, int], channels: int = 3) -> Preprocessing:
    """Of MAE, MindFormers and MindCV: the shorter side to 256 for 224 pixels; larger inputs are not cropped."""
    grey = {"mean": (0.5,), "std": (0.5,)} if channels == 1 else {}
    return Preprocessing(image_hw, crop_pct=0.875 if max(image_hw) <= 224 else 1.0, **grey)


def _preprocessing(opened: Checkpoint, image_hw: tuple[int, int], channels: int) -> tuple[Preprocessing, str]:
    """(preprocessing, where it is stated)."""
    beside = _beside(opened)
    try:
        section = read_yaml(beside).get("preprocessing") if beside.is_file() else None
        if isinstance(section, dict):
            return dataclasses.replace(Preprocessing.from_dict(section), image_size=image_hw), beside.name
        if isinstance(opened.metadata.get("preprocessor"), dict):
            return _of_hugging_face(opened.metadata["preprocessor"], image_hw), "preprocessor_config.json"
        hub = opened.metadata.get("config")
        if isinstance(hub, dict) and isinstance(hub.get("pretrained_cfg"), dict):
            return _of_timm(hub["pretrained_cfg"], image_hw), "config.json"
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{opened.path}: the preprocessing stated beside it cannot be used ({error})") from error
    half = (0.5,) * channels
    if opened.vocabulary in ("google", "big-vision"):
        return Preprocessing(image_hw, half, half, crop_pct=0.9), f"its origin ({opened.vocabulary})"
    if opened.vocabulary == "hf-vit":
        return (Preprocessing(image_hw, half, half, crop_mode="squash", interpolation="bilinear"),
                f"its origin ({opened.vocabulary})")
    return mae_preprocessing(image_hw, channels), ""


def _of_hugging_face(stated: dict[str, Any], image_hw: tuple[int, int]) -> Preprocessing:
    size, crop = stated.get("size"), stated.get("crop_size")
    fields: dict[str, Any] = {"interpolation": _PILLOW_FILTERS.get(stated.get("resample"), "bilinear")}
    if stated.get("do_normalize", True):
        fields.update(mean=stated.get("image_mean", _HALF), std=stated.get("image_std", _HALF))
    else:
        fields.update(mean=(0.0,) * 3, std=(1.0,) * 3)
    shortest = size.get("shortest_edge") if isinstance(size, dict) else None
    if isinstance(shortest, int) and (crop is not None or stated.get("do_center_crop")):
        # crop_pct such that floor(side / crop_pct) is the stated size.
        fields["crop_pct"] = min(1.0, max(image_hw) / shortest)
        if math.floor(max(image_hw) / fields["crop_pct"]) != shortest:
            fields["crop_pct"] = max(image_hw) / (shortest + 0.5)
    else:
        fields["crop_mode"] = "squash"
    return Preprocessing(image_hw, **fields)


def _of_timm(stated: dict[str, Any], image_hw: tuple[int, int]) -> Preprocessing:
    fields = {name: stated[name] for name in ("mean", "std", "crop_pct", "interpolation") if name in stated}
    return Preprocessing(image_hw, crop_mode="squash" if stated.get("crop_mode") == "squash" else "center", **fields)


def _names(opened: Checkpoint, count: int) -> list[str] | None:
    """The file's own names of its classes; None where it has none, or transformers' LABEL_0, ... only."""
    beside, hub = _beside(opened), opened.metadata.get("config")
    listed = read_yaml(beside).get("classes") if beside.is_file() else None
    if isinstance(listed, list) and len(listed) == count and count:
        return [str(name) for name in listed]
    stated = hub.get("id2label") if isinstance(hub, dict) else None
    if not isinstance(stated, dict) or not count or set(stated) != {str(i) for i in range(count)}:
        return None
    names = [str(stated[str(i)]) for i in range(count)]
    return None if names == [f"LABEL_{i}" for i in range(count)] else names


def _default_names(count: int) -> list[str]:
    return imagenet_labels() if count == 1000 else [str(i) for i in range(count)]


def _beside(opened: Checkpoint) -> Path:
    return Path(opened.path).with_suffix(".yaml")


def _is_model_yaml(path: Path) -> bool:
    try:
        document = read_yaml(path)
    except ValueError:
        return False
    return isinstance(document.get("model"), dict) and "model_config" in document["model"]
