"""The Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929)."""

from vit_kernels.models.vit.config import ViTConfig, create_config, model_names
from vit_kernels.models.vit.inspection import attention_rollout, class_token_map
from vit_kernels.models.vit.model import ViTForImageClassification, ViTModel
from vit_kernels.models.vit.statistics import count_macs, count_parameters

__all__ = ["ViTConfig", "ViTForImageClassification", "ViTModel", "attention_rollout", "class_token_map", "count_macs",
           "count_parameters", "create_config", "model_names"]
