"""The Ascend C operators as both of their callers see them: names and order of inputs, attributes and outputs.

csrc/ascend/<op>/op_host holds the same facts for CANN; a test keeps the two, and the kernels' arguments, equal.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """One Ascend C operator.

    Attributes:
        name: of the kernel function; its CamelCase is the operator's type, `aclnn` + that the name of its interface.
        inputs: in the kernel's order.
        outputs: in the kernel's order.
        attrs: (name, type as CustomRegOp spells it), in the interface's order.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: tuple[tuple[str, str], ...] = ()

    @property
    def type(self) -> str:
        """VitAttention for vit_attention."""
        return "".join(word.capitalize() for word in self.name.split("_"))


KERNELS = {kernel.name: kernel for kernel in (
    Kernel("vit_attention", ("qkv",), ("out", "softmax_max", "softmax_sum"), (("scale", "float"),)),
    Kernel("vit_attention_grad", ("dout", "qkv", "attention_out", "softmax_max", "softmax_sum"), ("dqkv",),
           (("scale", "float"), ("deterministic", "bool"))),
    Kernel("vit_gelu_mlp", ("x", "w1", "b1", "w2", "b2"), ("y", "h"), (("approximate", "int"), ("save", "bool"))),
    Kernel("vit_gelu_mlp_grad", ("dy", "x", "h", "w1", "w2"), ("dx", "dw1", "db1", "dw2", "db2"),
           (("approximate", "int"),)),
    Kernel("vit_linear", ("x", "w", "b", "residual", "scale"), ("y",)),
    Kernel("vit_linear_grad", ("dy", "x", "w", "b", "scale"), ("dx", "dw", "db", "dscale")),
    Kernel("vit_layer_norm", ("x", "gamma", "beta"), ("y", "mean", "rstd"), (("eps", "float"),)),
    Kernel("vit_add_layer_norm", ("x", "residual", "gamma", "beta"), ("sum", "y", "mean", "rstd"), (("eps", "float"),)),
    Kernel("vit_layer_norm_grad", ("dy", "x", "gamma", "mean", "rstd"), ("dx", "dgamma", "dbeta")),
    Kernel("vit_add_layer_norm_grad", ("dsum", "dy", "sum", "gamma", "mean", "rstd"), ("dx", "dgamma", "dbeta")),
)}

# What the kernels cover; everything else runs on the reference.
HEAD_DIMS = (32, 64, 80, 96, 128)
MAX_TOKENS = 4096
MAX_NORM_WIDTH = 2032  # a row of floats has to fit a repeat stride
MLP_UNIT = 16          # widths are whole fractals
