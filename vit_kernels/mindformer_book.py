"""MindFormerBook: what there is, as MindFormers' lists of it."""

from __future__ import annotations

import os
from pathlib import Path

from vit_kernels import pretrained

_TASK = "image_classification"


class MindFormerBook:
    """Lists of tasks, models and folders. Every `show_X` prints what `get_X` returns."""

    _trainers = {_TASK: {"vit_base_p16": "configs/vit/run_vit_base_p16_224_100ep.yaml"}}

    @classmethod
    def get_trainer_support_task_list(cls) -> dict[str, dict[str, str]]:
        """Task -> model -> the recipe's file."""
        return {task: dict(models) for task, models in cls._trainers.items()}

    @classmethod
    def get_trainer_support_model_list(cls, task: str = _TASK) -> list[str]:
        """Models of a task.

        Raises:
            KeyError: an unknown task.
        """
        if task not in cls._trainers:
            raise KeyError(f"unknown task {task!r}, expected one of {', '.join(cls._trainers)}")
        return list(cls._trainers[task])

    @classmethod
    def get_pipeline_support_task_list(cls) -> dict[str, list[str]]:
        """Task -> models of `pipeline`."""
        return {_TASK: list(pretrained.SUPPORT_LIST)}

    @classmethod
    def get_model_support_list(cls) -> dict[str, list[str]]:
        """Family -> names."""
        return {"vit": list(pretrained.SUPPORT_LIST)}

    @classmethod
    def get_config_support_list(cls) -> dict[str, list[str]]:
        """Family -> names of configurations."""
        return cls.get_model_support_list()

    @classmethod
    def get_processor_support_list(cls) -> dict[str, list[str]]:
        """Family -> names of processors."""
        return cls.get_model_support_list()

    @classmethod
    def get_model_ckpt_path_list(cls) -> dict[str, str]:
        """Name -> the file its weights are expected in; nothing is downloaded by name."""
        return {name: str(pretrained.weights_path(name)) for name in (*pretrained.SUPPORT_LIST, "mae_vit_base_p16")}

    @classmethod
    def get_project_path(cls) -> str:
        """The folder of the package."""
        return str(Path(__file__).resolve().parent)

    @classmethod
    def get_default_checkpoint_download_folder(cls) -> str:
        """The root of downloaded weights."""
        return str(pretrained.download_folder())

    @classmethod
    def set_default_checkpoint_download_folder(cls, folder: str) -> None:
        """Change it for this process and its children."""
        os.environ[pretrained.DOWNLOAD_ENV] = os.fspath(folder)

    @classmethod
    def get_default_checkpoint_save_folder(cls) -> str:
        """Where save_pretrained writes by default."""
        return str(pretrained.save_folder())

    @classmethod
    def set_default_checkpoint_save_folder(cls, folder: str) -> None:
        """Change it for this process and its children."""
        os.environ[pretrained.SAVE_ENV] = os.fspath(folder)


def _show(name: str):
    def show(cls, *arguments: str) -> None:
        value = getattr(cls, f"get_{name}")(*arguments)
        print(f"{name.replace('_', ' ')}:")
        for line in ([f"{k}: {v}" for k, v in value.items()] if isinstance(value, dict) else value if isinstance(value, list)
                     else [value]):
            print(f"   {line}")

    show.__name__, show.__doc__ = f"show_{name}", f"Print what `get_{name}` returns."
    return classmethod(show)


for _name in [attribute[4:] for attribute in vars(MindFormerBook) if attribute.startswith("get_")]:
    setattr(MindFormerBook, f"show_{_name}", _show(_name))
