"""The reference graph in ONNX operators, from a configuration and its weights.

MindSpore's own ONNX exporter knows neither Unstack nor Erf nor a batch size that is not fixed, so the graph is spelled out
here, in operators of opset 17: the first with LayerNormalization, and taken by every runtime of the last years. GELU and
attention are written in the forms that onnxruntime recognises and fuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from vit_kernels.exporting import INPUT
from vit_kernels.exporting.cell import ExportedViT

OPSET, IR_VERSION = 17, 8


class OnnxGraph:
    """Nodes in order of execution, and constants that are made when they are written.

    Attributes:
        nodes: of the graph.
        constants: name -> function that returns the array.
        inputs, outputs: name -> shape; 'batch' where the batch size is free.
    """

    def __init__(self, model: ExportedViT, batch: int | None = None):
        """Args:
            model: its configuration, weights and outputs.
            batch: a fixed batch size; None for any.
        """
        self.config = model.config
        self.weights = {parameter.name: parameter.asnumpy for parameter in model.get_parameters()}
        self.nodes: list[Any] = []
        self.constants: dict[str, Callable[[], np.ndarray]] = {}
        self.inputs, self.outputs = model.inputs(batch), model.outputs(batch)
        self._trunk()

    # -- the model ------------------------------------------------------------------------------------------------

    def _trunk(self) -> None:
        x = self._embed()
        for i in range(self.config.depth):
            x = self._block(x, f"blocks.{i}.")
        pooled = set(self.outputs) - {"tokens"}
        averages = self.config.global_pool == "avg"
        if averages:
            tokens = x
            if "tokens" in self.outputs:
                self._node("Identity", [tokens], "tokens")
        else:
            tokens = self._norm(x, "norm", "tokens")
        if not pooled:
            return
        if averages:
            first, last = [1 + self.config.reg_tokens], [self.config.num_tokens]
            patches = self._node("Slice", [tokens, self._const("patches.first", first), self._const("patches.last", last),
                                           self._const("axis.tokens", [1])], "patches")
            mean = self._node("ReduceMean", [patches], "pool", axes=[1], keepdims=0)
            features = self._norm(mean, "fc_norm", "features")
        else:
            features = self._node("Gather", [tokens, self._const("class.token", 0)], "features", axis=1)
        if "logits" in pooled:
            self._node("Gemm", [features, self._weight("head.weight"), self._weight("head.bias")], "logits", transB=1)

    def _embed(self) -> str:
        config, weights = self.config, self.weights
        patch, width = config.patch_size, config.embed_dim
        x = self._node("Conv", [INPUT, self._weight("patch_embed.proj.weight"), self._weight("patch_embed.proj.bias")],
                       "patch_embed.proj", kernel_shape=[patch, patch], strides=[patch, patch])
        x = self._node("Reshape", [x, self._const("shape.patches", [0, width, config.num_patches])], "patch_embed.flat")
        x = self._node("Transpose", [x], "patch_embed", perm=[0, 2, 1])
        x = self._node("Add", [x, self._array("pos_embed.patches", lambda: weights["pos_embed"]()[:, 1:])], "embed.patches")

        def prefix() -> np.ndarray:
            # The class token has a position, registers have none: both sums are the same for every image.
            tokens = weights["cls_token"]() + weights["pos_embed"]()[:, :1]
            return np.concatenate([tokens, weights["reg_token"]()], 1) if config.reg_tokens else tokens

        batch = self._node("Shape", [INPUT], "batch.size", start=0, end=1)
        rest = self._const("shape.prefix", [1 + config.reg_tokens, width])
        shape = self._node("Concat", [batch, rest], "prefix.shape", axis=0)
        expanded = self._node("Expand", [self._array("prefix", prefix), shape], "embed.prefix")
        return self._node("Concat", [expanded, x], "embed", axis=1)

    def _block(self, x: str, at: str) -> str:
        branch = self._attention(self._norm(x, at + "norm1"), at + "attn.")
        x = self._node("Add", [x, self._scaled(branch, at + "ls1")], at + "attn.sum")
        hidden = self._linear(self._norm(x, at + "norm2"), at + "mlp.fc1")
        branch = self._linear(self._gelu(hidden, at + "mlp.act"), at + "mlp.fc2")
        return self._node("Add", [x, self._scaled(branch, at + "ls2")], at + "mlp.sum")

    def _attention(self, x: str, at: str) -> str:
        config = self.config
        qkv = self._linear(x, at + "qkv")
        parts = [at + name for name in ("q", "k", "v")]
        self._node("Split", [qkv, self._const("split.qkv", [config.embed_dim] * 3)], parts, axis=-1)
        heads = self._const("shape.heads", [0, config.num_tokens, config.num_heads, config.head_dim])
        perms = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])  # k transposed, ready for the product
        q, k, v = (self._node("Transpose", [self._node("Reshape", [part, heads], part + ".heads")], part + ".t", perm=perm)
                   for part, perm in zip(parts, perms))
        q = self._node("Mul", [q, self._const("scale", np.float32(1 / math.sqrt(config.head_dim)))], at + "q.scaled")
        probabilities = self._node("Softmax", [self._node("MatMul", [q, k], at + "scores")], at + "probabilities", axis=-1)
        mixed = self._node("MatMul", [probabilities, v], at + "mixed")
        mixed = self._node("Transpose", [mixed], at + "mixed.t", perm=[0, 2, 1, 3])
        merged = self._const("shape.tokens", [0, config.num_tokens, config.embed_dim])
        mixed = self._node("Reshape", [mixed, merged], at + "merged")
        return self._linear(mixed, at + "proj")

    def _gelu(self, x: str, at: str) -> str:
        one, half = self._const("one", np.float32(1)), self._const("half", np.float32(0.5))
        if self.config.approximate == "none":  # x * (1 + erf(x / sqrt(2))) * 0.5
            inner = self._node("Div", [x, self._const("sqrt.2", np.float32(math.sqrt(2)))], at + ".in")
            inner = self._node("Erf", [inner], at + ".erf")
        else:  # x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) * 0.5
            cube = self._node("Pow", [x, self._const("three", np.float32(3))], at + ".cube")
            cube = self._node("Mul", [cube, self._const("tanh.cubic", np.float32(0.044715))], at + ".cubic")
            inner = self._node("Add", [x, cube], at + ".poly")
            inner = self._node("Mul", [inner, self._const("sqrt.2.pi", np.float32(math.sqrt(2 / math.pi)))], at + ".in")
            inner = self._node("Tanh", [inner], at + ".tanh")
        gate = self._node("Add", [inner, one], at + ".gate")
        return self._node("Mul", [self._node("Mul", [x, gate], at + ".twice"), half], at)

    def _scaled(self, branch: str, at: str) -> str:
        if self.config.init_values is None:
            return branch
        return self._node("Mul", [branch, self._weight(at + ".gamma")], at)

    def _norm(self, x: str, at: str, output: str | None = None) -> str:
        return self._node("LayerNormalization", [x, self._weight(at + ".weight"), self._weight(at + ".bias")], output or at,
                          axis=-1, epsilon=self.config.layer_norm_eps)

    def _linear(self, x: str, at: str) -> str:
        # MatMul wants (in, out); the name says that the weight is transposed.
        weight = self._array(at + ".weight.t", lambda: self.weights[at + ".weight"]().T)
        product = self._node("MatMul", [x, weight], at + ".product" if at + ".bias" in self.weights else at)
        if at + ".bias" not in self.weights:
            return product
        return self._node("Add", [product, self._weight(at + ".bias")], at)

    # -- nodes and constants ----------------------------------------------------------------------------------------

    def _node(self, operator: str, inputs: list[str], output: str | list[str], **attributes: Any) -> str:
        from onnx import helper

        outputs = [output] if isinstance(output, str) else output
        self.nodes.append(helper.make_node(operator, inputs, outputs, f"{outputs[0]}/{operator}", **attributes))
        return outputs[0]

    def _weight(self, name: str) -> str:
        return self._array(name, self.weights[name])

    def _array(self, name: str, make: Callable[[], np.ndarray]) -> str:
        self.constants[name] = make
        return name

    def _const(self, name: str, value: Any) -> str:
        array = np.asarray(value) if isinstance(value, np.generic) else np.asarray(value, np.int64)
        return self._array(name, lambda: array)
