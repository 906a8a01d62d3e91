"""The fused operators: pure functions of their arguments, one module each, with stock-MindSpore references.

Each comes as a function (`attention(...)`) and as a parameter-free cell with its constants fixed (`AttentionOp(...)`),
which is what a layer keeps. Nothing here knows of Vision Transformers.
"""

from vit_kernels.ops._backend import CHOICES as BACKENDS
from vit_kernels.ops._backend import resolve_backend
from vit_kernels.ops._library import NativeLibraryError
from vit_kernels.ops._serial import SerialCell
from vit_kernels.ops.attention import AttentionOp, attention
from vit_kernels.ops.gelu_mlp import GeluMlpOp, gelu_mlp
from vit_kernels.ops.layer_norm import AddLayerNormOp, LayerNormOp, add_layer_norm, layer_norm
from vit_kernels.ops.linear import LinearOp, linear

__all__ = [
    "BACKENDS", "NativeLibraryError", "SerialCell", "resolve_backend",
    "AttentionOp", "attention", "GeluMlpOp", "gelu_mlp", "LinearOp", "linear",
    "AddLayerNormOp", "LayerNormOp", "add_layer_norm", "layer_norm",
]
