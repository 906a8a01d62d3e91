"""Seeing inside a model whose fused kernels are on: tokens of single layers, attention maps, and what is made of them.

A flash kernel never stores its probabilities, so the maps are recomputed with stock operators, for the layers that are asked
for and nothing else; everything around them stays as fused as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops


class Inspection:
    """Methods of `ViTModel` that look at its layers. They run outside of `construct`, in either of MindSpore's modes."""

    def get_intermediate_layers(self, images: Tensor, n: int | Sequence[int] = 1, norm: bool = True,
                                reshape: bool = False) -> tuple[Tensor, ...]:
        """Patch tokens after chosen blocks, as DINOv2 names and defaults it (arXiv:2304.07193).

        Args:
            images: (B, C, H, W), normalised.
            n: how many of the last blocks, or the numbers of blocks (from 0; negative from the end).
            norm: apply the model's final norm; it has one when `global_pool` is 'token'.
            reshape: (B, embed_dim, rows, columns) instead of (B, patches, embed_dim).

        Raises:
            ValueError: a block that does not exist, or norm of a model without one.
        """
        if norm and self.averages:
            raise ValueError("norm is True, but a model with global_pool='avg' has no norm over tokens; pass norm=False")
        wanted = self._layers(range(self.config.depth - n, self.config.depth) if isinstance(n, int) else n, "n")
        found = {}
        for i, _, (x, branch) in self._walk(images, max(wanted)):
            if i in wanted:
                found[i] = self.norm.add(branch, x)[1] if norm else x + branch
        rows, columns = self.config.grid
        out = []
        for i in wanted:
            tokens = found[i][:, self.num_prefix_tokens:]
            if reshape:
                tokens = ops.reshape(ops.transpose(tokens, (0, 2, 1)), (tokens.shape[0], -1, rows, columns))
            out.append(tokens)
        return tuple(out)

    def attention_maps(self, images: Tensor, layers: Sequence[int] = (-1,)) -> list[Tensor]:
        """softmax(q k^T scale) of chosen blocks: fp32 (B, heads, N, N) each, rows are queries and sum to 1.

        Args:
            images: (B, C, H, W), normalised.
            layers: numbers of blocks, from 0; negative from the end.

        Raises:
            ValueError: a block that does not exist.
        """
        wanted = self._layers(layers, "layers")
        found = {}
        for i, (x, branch), _ in self._walk(images, max(wanted)):
            if i in wanted:
                block = self.blocks[i]
                y = block.norm1(x) if branch is None else block.norm1.add(branch, x)[1]
                qkv = ops.cast(block.attn.split(y), ms.float32)
                q, k, _ = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 0)
                scores = ops.matmul(q * block.attn.attention.scale, ops.transpose(k, (0, 1, 3, 2)))
                found[i] = ops.softmax(scores, -1)
        return [found[i] for i in wanted]

    def _layers(self, numbers: Sequence[int], argument: str) -> list[int]:
        depth = self.config.depth
        chosen = list(numbers)
        for i in chosen:
            if not -depth <= i < depth:
                raise ValueError(f"{argument} asks for block {i}, the model has blocks 0 to {depth - 1}")
        if not chosen:
            raise ValueError(f"{argument} names no block; the model has blocks 0 to {depth - 1}")
        return [i % depth for i in chosen]

    def _walk(self, images: Tensor, last: int) -> Iterator[tuple[int, tuple, tuple]]:
        """(number, what enters, what leaves) for the blocks up to `last`, each a pair of tokens and an unadded branch."""
        if self.training:
            raise ValueError("the model is in training mode, where dropout changes what is seen; call set_train(False) first")
        state = (self.embed(images), None)
        for i in range(last + 1):
            before, state = state, self.blocks[i](*state)
            yield i, before, state


def attention_rollout(maps: Sequence[np.ndarray], identity: float = 0.5) -> np.ndarray:
    """Attention through all layers (Abnar and Zuidema 2020, arXiv:2005.00928).

    Args:
        maps: (B, heads, N, N) of each block, the first block first.
        identity: the share of the residual connection.

    Returns:
        (B, N, N): row i says how much of each input token reaches token i; rows sum to 1.
    """
    total = None
    for layer in maps:
        mean = np.asarray(layer, np.float64).mean(axis=1)
        mixed = identity * np.eye(mean.shape[-1]) + (1 - identity) * mean
        mixed /= mixed.sum(axis=-1, keepdims=True)
        total = mixed if total is None else mixed @ total
    if total is None:
        raise ValueError("maps is empty, expected the attention maps of at least one block")
    return total


def class_token_map(attention: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """What the class token looks at: (..., N, N) -> (..., rows, columns), the patches being the last tokens.

    Raises:
        ValueError: fewer tokens than the grid has patches.
    """
    rows, columns = grid
    attention = np.asarray(attention)
    if attention.shape[-1] <= rows * columns:
        raise ValueError(f"attention has {attention.shape[-1]} tokens, a grid of {rows} x {columns} patches and a class token "
                         f"need at least {rows * columns + 1}")
    return attention[..., 0, -rows * columns:].reshape(*attention.shape[:-2], rows, columns)
