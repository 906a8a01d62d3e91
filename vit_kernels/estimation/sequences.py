"""What a Vision Transformer runs, operator by operator: through the fused kernels, and as stock operators would.

Both sides are priced by the same time model. The stock side is given every benefit of the doubt: biases are free, one
operator splits and permutes the packed qkv, a layer norm is the fused kernel's own, and every matrix product is as good
as this project's. Every operator starts with a cold L2 on both sides.
"""

from __future__ import annotations

import dataclasses

from vit_kernels.estimation import price
from vit_kernels.estimation.price import ABSENT, Price, elementwise, kernel, matmul, total

FLOAT = "float32"


@dataclasses.dataclass(frozen=True)
class Dimensions:
    """Sizes of one block's problem."""

    batch: int
    tokens: int
    width: int
    heads: int
    hidden: int
    dtype: str = "float16"
    sku: str = "910B1"

    @property
    def rows(self) -> int:
        return self.batch * self.tokens

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


# ---- operator by operator: (fused, unfused) for 'forward' and 'backward'

def layer_norm(d: Dimensions, backward: bool) -> tuple[Price, Price]:
    """A layer norm is one operator either way."""
    x, vector, rows = (d.rows, d.width), (d.width,), (d.rows,)
    if backward:
        fused = kernel("vit_layer_norm_grad", [x, x, vector, rows, rows], [d.dtype] * 2 + [FLOAT] * 3, d.sku)
    else:
        fused = kernel("vit_layer_norm", [x, vector, vector], [d.dtype, FLOAT, FLOAT], d.sku, eps=1e-6)
    return fused, fused


def add_layer_norm(d: Dimensions, backward: bool) -> tuple[Price, Price]:
    """The residual sum and the norm of it; backward, the gradient of the norm and the sum of both gradients."""
    x, vector, rows = (d.rows, d.width), (d.width,), (d.rows,)
    if backward:
        fused = kernel("vit_add_layer_norm_grad", [x, x, x, vector, rows, rows], [d.dtype] * 3 + [FLOAT] * 3, d.sku)
    else:
        fused = kernel("vit_add_layer_norm", [x, x, vector, vector], [d.dtype] * 2 + [FLOAT] * 2, d.sku, eps=1e-6)
    return fused, layer_norm(d, backward)[1] + elementwise(d.rows * d.width, d.sku, inputs=2)


def attention(d: Dimensions, backward: bool) -> tuple[Price, Price]:
    """From packed qkv to the heads' outputs side by side. Stock: permute, scale, product, softmax, product, permute."""
    qkv, out, statistics = (d.batch, d.tokens, 3, d.heads, d.head_dim), (d.batch, d.tokens, d.width), (d.batch, d.heads, d.tokens)
    elems, scores = d.rows * d.width, d.batch * d.heads * d.tokens ** 2
    tall, scale = d.batch * d.heads * d.tokens, d.head_dim ** -0.5
    inner = matmul(tall, d.head_dim, d.tokens, d.sku, d.dtype)  # Q K^T, dO V^T
    outer = matmul(tall, d.tokens, d.head_dim, d.sku, d.dtype)  # P V, dS K, dS^T Q, P^T dO
    one, three = _permutation(elems, d), _permutation(3 * elems, d)
    if not backward:
        fused = kernel("vit_attention", [qkv], [d.dtype], d.sku, scale=scale)
        softmax = elementwise(scores, d.sku, passes=price.SOFTMAX_PASSES)
        return fused, total([three, elementwise(elems, d.sku), inner, softmax, outer, one])
    fused = kernel("vit_attention_grad", [out, qkv, out, statistics, statistics], [d.dtype] * 3 + [FLOAT] * 2, d.sku,
                   scale=scale, deterministic=True)
    softmax = elementwise(scores, d.sku, inputs=2, passes=price.SOFTMAX_GRAD_PASSES)
    return fused, total([one, inner, softmax, outer, outer, outer, elementwise(elems, d.sku), three])


def _permutation(elems: int, d: Dimensions) -> Price:
    run = max(size for size in (16, 32, 64, 128) if size <= d.head_dim)
    return elementwise(elems, d.sku, passes=0, run_elems=run)


def linear(d: Dimensions, backward: bool, columns: int, rows: int | None = None, depth: int | None = None) -> tuple[Price, Price]:
    """A linear layer with bias. Stock, backward: two products and the sum of dy's rows."""
    rows, depth = rows or d.rows, depth or d.width
    x, w, y, b = (rows, depth), (columns, depth), (rows, columns), (columns,)
    if not backward:
        fused = kernel("vit_linear", [x, w, b, ABSENT, ABSENT], [d.dtype] * 2 + [FLOAT, d.dtype, FLOAT], d.sku)
        return fused, matmul(rows, depth, columns, d.sku, d.dtype)
    fused = kernel("vit_linear_grad", [y, x, w, b, ABSENT], [d.dtype] * 3 + [FLOAT] * 2, d.sku)
    return fused, total([matmul(rows, columns, depth, d.sku, d.dtype), matmul(columns, rows, depth, d.sku, d.dtype),
                         elementwise(rows * columns, d.sku, store=False)])


def gelu_mlp(d: Dimensions, backward: bool) -> tuple[Price, Price]:
    """Two linear layers and the erf GELU between them. Stock: product, GELU, product, and their gradients."""
    x, w1, w2, h = (d.rows, d.width), (d.hidden, d.width), (d.width, d.hidden), (d.rows, d.hidden)
    if not backward:
        fused = kernel("vit_gelu_mlp", [x, w1, (d.hidden,), w2, (d.width,)], [d.dtype, d.dtype, FLOAT, d.dtype, FLOAT], d.sku,
                       approximate=0, save=1)
        return fused, total([linear(d, False, d.hidden)[1], elementwise(d.rows * d.hidden, d.sku, passes=price.GELU_PASSES),
                             linear(d, False, d.width, depth=d.hidden)[1]])
    fused = kernel("vit_gelu_mlp_grad", [x, x, h, w1, w2], [d.dtype] * 5, d.sku, approximate=0)
    # The second layer's input, GELU(h), is what a stock graph keeps beside h.
    return fused, total([linear(d, True, d.width, depth=d.hidden)[1],
                         elementwise(d.rows * d.hidden, d.sku, inputs=2, passes=price.GELU_GRAD_PASSES),
                         linear(d, True, d.hidden)[1]])


# ---- whole sequences

def block_operators(d: Dimensions, backward: bool) -> dict[str, tuple[Price, Price]]:
    """Everything a block runs, by operator: both residual sums happen inside add_layer_norm."""
    qkv, proj = linear(d, backward, 3 * d.width), linear(d, backward, d.width)
    norms = add_layer_norm(d, backward)
    return {"add_layer_norm": (norms[0] * 2, norms[1] * 2), "linear": (qkv[0] + proj[0], qkv[1] + proj[1]),
            "attention": attention(d, backward), "gelu_mlp": gelu_mlp(d, backward)}


def block(d: Dimensions, backward: bool) -> tuple[Price, Price]:
    """One transformer block."""
    parts = block_operators(d, backward).values()
    return total(p[0] for p in parts), total(p[1] for p in parts)


def model(d: Dimensions, backward: bool, depth: int, patch_elems: int, classes: int) -> tuple[Price, Price]:
    """The whole model: patch projection, blocks, final norm, classifier.

    Args:
        d: of a block.
        depth: number of blocks.
        patch_elems: values of one patch.
        classes: outputs; 0 for none.
    """
    parts = [linear(d, backward, d.width, d.batch * (d.tokens - 1), patch_elems), add_layer_norm(d, backward)]
    if classes:
        parts.append(linear(d, backward, classes, d.batch))
    fused, unfused = block(d, backward)
    return fused * depth + total(p[0] for p in parts), unfused * depth + total(p[1] for p in parts)
