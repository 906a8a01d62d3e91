"""Where weights and configurations are kept under a name, and the mix-ins that give models and configurations
`from_pretrained`, `save_pretrained` and `show_support_list`, with MindFormers' folders and file layout.

    ./checkpoint_download/<first word of the name>/<name>.ckpt     or $CHECKPOINT_DOWNLOAD_FOLDER
    ./checkpoint_download/<digest of an address>/<file>            what was downloaded from there
    ./checkpoint_save/<name>.ckpt and .yaml                        or $CHECKPOINT_SAVE_FOLDER
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from vit_kernels.checkpoint import Checkpoint, CheckpointError, atomic_file, load, load_checkpoint_into, save
from vit_kernels.config_files import config_fields, read_config
from vit_kernels.download import download, is_address

DOWNLOAD_ENV, DOWNLOAD_DEFAULT = "CHECKPOINT_DOWNLOAD_FOLDER", "./checkpoint_download"
SAVE_ENV, SAVE_DEFAULT = "CHECKPOINT_SAVE_FOLDER", "./checkpoint_save"
SAVE_NAME = "mindspore_model"
# The names whose weights MindFormers published for its ViT.
SUPPORT_LIST = ("vit_base_p16",)
# The files that the named weights are made from.
_ORIGINS = {
    "vit_base_p16": "mae_finetuned_vit_base.pth of facebookresearch/mae (CC-BY-NC 4.0)",
    "mae_vit_base_p16": "mae_pretrain_vit_base.pth of facebookresearch/mae (CC-BY-NC 4.0)",
}


class WeightsMissing(CheckpointError):
    """A model's name whose weights are not on this machine. The message says where they belong and what makes them."""


def download_folder() -> Path:
    """The root of downloaded weights."""
    return Path(os.environ.get(DOWNLOAD_ENV) or DOWNLOAD_DEFAULT)


def save_folder() -> Path:
    """Where `save_pretrained` writes by default."""
    return Path(os.environ.get(SAVE_ENV) or SAVE_DEFAULT)


def weights_path(name: str) -> Path:
    """The file that a named model's weights are expected in."""
    owner, _, bare = name.rpartition("/")
    return download_folder() / owner / bare.split("_")[0] / f"{bare}.ckpt"


def starts_training(name: str) -> bool:
    """Whether a name stands for pre-trained weights without a classifier, to fine-tune from."""
    return name.rpartition("/")[2].startswith("mae_")


def find_weights(where: str | os.PathLike, sha256: str | None = None, timeout: float = 30.0) -> Path:
    """The file or folder with the weights that `where` means.

    Args:
        where: an existing path, an http(s) address, which is downloaded, or a model's name.
        sha256, timeout: of a download.

    Raises:
        WeightsMissing: they are not there.
        DownloadError: the download failed.
    """
    if is_address(where):
        # A folder per address: many files are called model.safetensors.
        return download(str(where), download_folder() / hashlib.sha256(str(where).encode()).hexdigest()[:16], sha256, timeout)
    if os.path.exists(where):
        return Path(where)
    name = os.fspath(where)
    path = weights_path(name)
    if path.is_file():
        return path
    bare = name.rpartition("/")[2]
    origin = _ORIGINS.get(bare, "any checkpoint of that architecture (timm, MAE, Hugging Face, Google)")
    source = origin.split(" ")[0] if bare in _ORIGINS else "CHECKPOINT"
    raise WeightsMissing(
        f"the weights of {name!r} are not on this machine: expected the file {path.name} in the folder {path.parent} (the root is "
        f"${DOWNLOAD_ENV}, or {DOWNLOAD_DEFAULT}). Get {origin} and run: "
        f"python -m vit_kernels.convert --input {source} --output {path} --to mindformers")


class PretrainedConfig:
    """Adds `from_pretrained`, `save_pretrained` and `show_support_list` to a configuration class, which has `from_name(name,
    **overrides)` and `to_mindformers()`."""

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike | None = None, *,
                        pretrained_model_name_or_path: str | os.PathLike | None = None, **overrides: Any):
        """A configuration by name, or from a YAML file of MindFormers' layout or a folder with one.

        Args:
            name_or_path: 'vit_base_p16', ..., or a path. By name, the model made from it loads that name's weights
                (checkpoint_name_or_path); pass checkpoint_name_or_path='' for starting weights.
            pretrained_model_name_or_path: the same under another name.
            overrides: fields to change, in either vocabulary.

        Raises:
            TypeError: not a string, or an unknown field.
            ValueError: unknown name, not a YAML file, or values that do not fit each other.
        """
        where = _one_of(cls, name_or_path, pretrained_model_name_or_path)
        if os.path.isdir(where):
            found = sorted(Path(where).glob("*.yaml"))
            if len(found) != 1:
                raise ValueError(f"the folder {where} has {len(found)} .yaml files, expected one; give the file")
            where = found[0]
        if os.path.isfile(where) or str(where).endswith((".yaml", ".yml")):
            if not str(where).endswith((".yaml", ".yml")):
                raise ValueError(f"{where} is not named .yaml; weights are read by {cls.__name__[:-6]}Model.from_pretrained")
            return cls(**read_config(where)).replace(**overrides)
        return cls.from_name(os.fspath(where), **{"checkpoint_name_or_path": os.fspath(where), **overrides})

    def save_pretrained(self, save_directory: str | os.PathLike | None = None, save_name: str = SAVE_NAME) -> str:
        """Write `<save_directory>/<save_name>.yaml` in MindFormers' layout, which `from_pretrained` reads back unchanged.

        Args:
            save_directory: default $CHECKPOINT_SAVE_FOLDER, or ./checkpoint_save.
            save_name: without extension.

        Returns:
            The file's path.

        Raises:
            CheckpointError: it cannot be written.
        """
        path = _target(save_directory, save_name, ".yaml")
        with atomic_file(path) as file:
            file.write(self.yaml().encode())
        return str(path)

    def yaml(self, **sections: Any) -> str:
        """The text of the YAML file; `sections` are further ones of it."""
        import yaml

        document = {"model": {"arch": {"type": "ViTForImageClassification"},
                              "model_config": {"type": type(self).__name__, **self.to_mindformers()}}, **sections}
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)

    @classmethod
    def show_support_list(cls) -> None:
        """Print the names whose weights were published, as MindFormers does."""
        show_support_list(cls.__name__)

    @classmethod
    def get_support_list(cls) -> list[str]:
        """The names that `show_support_list` prints."""
        return list(SUPPORT_LIST)


class PretrainedModel:
    """Adds `from_pretrained`, `save_pretrained` and `show_support_list` to a model class.

    The class has `config_class` and `classifies` (whether it is a classifier), its instances `config`. `manifest` says how the
    weights that were loaded are fed and what their classes are called (`vit_kernels.manifest`); None for starting weights.
    """

    config_class: type
    classifies = False
    manifest = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike | None = None, *,
                        pretrained_model_name_or_path: str | os.PathLike | None = None, download_checkpoint: bool = True,
                        new_head: bool = False, backend: str | None = None, seed: int | None = None, sha256: str | None = None,
                        timeout: float = 30.0, **overrides: Any):
        """A model with weights.

        Args:
            name_or_path: a name such as 'vit_base_p16', whose file is looked for in $CHECKPOINT_DOWNLOAD_FOLDER or
                ./checkpoint_download; a checkpoint file of any supported kind or a folder with one; an http(s) address.
            pretrained_model_name_or_path: the same under another name.
            download_checkpoint: False builds the named architecture with starting weights.
            new_head: the classifier may be absent or have another number of classes, and starts anew.
            backend, seed: of the model.
            sha256, timeout: of a download.
            overrides: fields of the configuration, in either vocabulary.

        Raises:
            TypeError: unknown fields.
            ValueError: an unknown name.
            CheckpointError: the weights are not there, cannot be read, or do not fit.
            DownloadError: the download failed.
        """
        where = _one_of(cls, name_or_path, pretrained_model_name_or_path)
        is_name = not is_address(where) and not os.path.exists(where)
        if is_name and os.path.splitext(where)[1]:
            raise CheckpointError(f"{os.fspath(where)} does not exist; give an existing path, or a name such as {SUPPORT_LIST[0]}")
        named = cls.config_class.from_name(os.fspath(where)) if is_name else None
        if is_name and not download_checkpoint:
            return cls(named.replace(**overrides), backend=backend, seed=seed)
        opened = load(find_weights(where, sha256, timeout))
        config = cls.config_class(**{**config_fields(opened), "checkpoint_name_or_path": None})
        if named is not None:
            for field in ("embed_dim", "depth", "num_heads", "patch_size"):
                if config[field] != named[field]:
                    raise CheckpointError(f"{opened.path} holds a model with {field} {config[field]}, {where} has {named[field]}; "
                                          "put the right weights there")
            if starts_training(os.fspath(where)) and not config.num_classes:
                config, new_head = config.replace(num_classes=named.num_classes, global_pool=named.global_pool), True
            config = config.replace(drop_path_rate=named.drop_path_rate)
        config = config.replace(**overrides)
        if cls.classifies and not config.num_classes and "num_classes" not in cls.config_class.translate(overrides):
            raise CheckpointError(f"{opened.path} is a backbone without a classifier; pass num_classes=... and new_head=True to "
                                  "put a new one on top, or num_classes=0 for its features")
        model = cls(config, backend=backend, seed=seed, draw=new_head)
        load_checkpoint_into(model, opened, new_head=new_head)
        model.remember(opened)
        return model

    def remember(self, opened: Checkpoint) -> None:
        """Keep what the checkpoint of the weights says besides them."""
        from vit_kernels.manifest import manifest_of  # which is made of this module's configurations

        self.manifest = manifest_of(opened)

    def load_configured(self) -> None:
        """Load the weights that `config.checkpoint_name_or_path` names; afterwards the configuration does not name them any
        more, since they are in the model.

        Raises:
            CheckpointError: they are not there or do not fit: a model never stays random unnoticed.
        """
        where = self.config.checkpoint_name_or_path
        if not where:
            return
        self.config = self.config.replace(checkpoint_name_or_path=None)
        opened = load(find_weights(where))
        load_checkpoint_into(self, opened, new_head=starts_training(os.fspath(where)))
        self.remember(opened)

    def save_pretrained(self, save_directory: str | os.PathLike | None = None, save_name: str = SAVE_NAME) -> tuple[str, str]:
        """Write `<save_name>.ckpt` and `<save_name>.yaml`, which `from_pretrained` reads back bit for bit, with preprocessing and
        class names where the model knows them.

        Args:
            save_directory: default $CHECKPOINT_SAVE_FOLDER, or ./checkpoint_save.
            save_name: without extension.

        Returns:
            The two paths.

        Raises:
            CheckpointError: they cannot be written.
        """
        path = _target(save_directory, save_name, ".ckpt")
        save(path, {parameter.name: parameter for parameter in self.get_parameters()}, "ckpt")
        sections = self.manifest.of_model(self.config).sections() if self.manifest is not None else {}
        beside = path.with_suffix(".yaml")
        with atomic_file(beside) as file:
            file.write(self.config.yaml(**sections).encode())
        return str(path), str(beside)

    @classmethod
    def show_support_list(cls) -> None:
        """Print the names whose weights were published, as MindFormers does."""
        show_support_list(cls.__name__)

    @classmethod
    def get_support_list(cls) -> list[str]:
        """The names that `show_support_list` prints."""
        return list(SUPPORT_LIST)


def show_support_list(class_name: str) -> None:
    """Print the three lines that MindFormers logs."""
    print(f"support list of {class_name} is:\n   {list(SUPPORT_LIST)}\n{'-' * 37}", flush=True)


def _one_of(cls: type, first: Any, second: Any) -> str | os.PathLike:
    where = first if first is not None else second
    if not isinstance(where, (str, os.PathLike)) or not os.fspath(where):
        raise TypeError(f"{cls.__name__}.from_pretrained({where!r}): expected a name such as {SUPPORT_LIST[0]!r}, or a path")
    return where


def _target(directory: str | os.PathLike | None, name: str, extension: str) -> Path:
    if not name or os.path.basename(name) != name:
        raise ValueError(f"save_name={name!r}, expected a file name without folder and extension")
    folder = Path(directory) if directory is not None else save_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot make the folder {folder}: {error.strerror}") from error
    return folder / f"{name}{extension}"
