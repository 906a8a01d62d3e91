"""The shapes on which the attention kernels have to hold: a few for every run, the whole grid for a run on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.ascend._attention import Case
from tests.ascend._shapes import BATCHES, HEADS, TOKENS

# One token, fewer than a fractal, the ViT length, lengths past one and two blocks, every head size, the online merge
# beyond 1,024 tokens with a last chunk of one column and of an odd length.
QUICK = (
    Case(3, 1, 2, 64),
    Case(1, 9, 3, 32, "bfloat16"),
    Case(3, 50, 4, 64),
    Case(1, 197, 6, 64),
    Case(1, 197, 3, 64, "bfloat16"),
    Case(1, 197, 2, 80),
    Case(1, 197, 1, 96, "bfloat16"),
    Case(1, 257, 2, 128),
    Case(1, 577, 2, 64, "bfloat16"),
    Case(1, 1025, 1, 64),
    Case(1, 1537, 1, 80, "bfloat16"),
)

# Every buffer and every slot of the ring is used more than once: what a missing flag would do has to happen. The gradient's
# come with the way dQ is summed: a head in L1, in order, atomically.
FORWARD_MUTATION = (Case(30, 33, 4, 64), Case(1, 1100, 1, 128), Case(1, 1537, 1, 32))
BACKWARD_MUTATION = ((Case(30, 33, 4, 64), False), (Case(1, 577, 1, 32), True), (Case(1, 577, 1, 32), False))


# Head sizes and lengths that no ViT of the grid has: the other kernels, a row that ends within a chunk, the longest.
OTHERS = tuple(Case(batch, tokens, 2, head_dim, dtype) for batch, tokens, head_dim, dtype in itertools.product(
    (1, 3), (1, 50, 197, 577, 1025), (32, 96, 128), ("float16", "bfloat16"))) + (
    Case(1, 1500, 3, 64), Case(1, 1500, 2, 80, "bfloat16"), Case(2, 2049, 1, 128), Case(1, 4096, 1, 64))


def grid() -> Iterator[Case]:
    """Every ViT's heads, token count, batch and dtype, and what no ViT has."""
    for (heads, head_dim), tokens, batch, dtype in itertools.product(HEADS.values(), TOKENS, BATCHES, ("float16", "bfloat16")):
        yield Case(batch, tokens, heads, head_dim, dtype)
    yield from OTHERS
