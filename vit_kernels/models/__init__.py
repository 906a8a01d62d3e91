"""Models: plain MindSpore cells that call the fused operators. Nothing here knows of training."""

from vit_kernels.models.vit import (
    ViTConfig, ViTForImageClassification, ViTModel, count_macs, count_parameters, create_config, model_names,
)

__all__ = ["ViTConfig", "ViTForImageClassification", "ViTModel", "count_macs", "count_parameters", "create_config",
           "model_names"]
