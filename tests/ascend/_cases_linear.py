"""The shapes on which the linear kernels have to hold: a few for every run, the whole grid for a run on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.ascend._linear import Case
from tests.ascend._shapes import BATCHES, TOKENS, WIDTHS

# Every form; rows and columns that end in the middle of a tile or a fractal, one row, one column, a depth that is no
# multiple of 16 (a patch of 14 x 14 x 3), LayerScale as small as it starts out.
QUICK = (
    Case(197, 192, 576),
    Case(197, 192, 192, "brs", "bfloat16", layer_scale=1e-5),
    Case(300, 192, 192, "bs", vector_dtype="float32", layer_scale=1e-5),
    Case(1, 192, 768, ""),
    Case(37, 588, 10, "brs", "bfloat16", "float32"),
    Case(5, 7, 3, "rs"),
    Case(2, 1, 1, "b"),
    Case(50, 48, 1000, "r"),
    Case(1552, 256, 2048, "", "bfloat16"),  # some cores have a fractal of rows less, and would make do with fewer blocks
)

# From the least to do to the most: rows and columns dealt together, summands of dw and none, more columns of dw than fit a
# vector core; then several blocks of rows and panels of columns per core and a ring that fills.
FORWARD_MUTATION = (Case(33, 300, 100, "brs"), Case(300, 192, 520, "bs"), Case(50, 48, 1000, ""),
                    Case(1920, 192, 272, "bs"), Case(1920, 320, 272, "brs", vector_dtype="float32"))
BACKWARD_MUTATION = (Case(16, 16, 1040, "s"), Case(1, 192, 576, ""), Case(37, 100, 70, "bs"), Case(1600, 1100, 40, ""),
                     Case(1920, 320, 272, "bs", vector_dtype="float32"))


def grid() -> Iterator[Case]:
    """Every ViT width, token count, batch and dtype: qkv, a projection with everything around it, both halves of an MLP and
    a classifier."""
    for width, tokens, batch, dtype in itertools.product(WIDTHS.values(), TOKENS, BATCHES, ("float16", "bfloat16")):
        rows = batch * tokens
        yield Case(rows, width, 3 * width, "b", dtype)
        yield Case(rows, width, width, "brs", dtype, layer_scale=0.1)
        yield Case(rows, width, 4 * width, "b", dtype)
        yield Case(rows, 4 * width, width, "br", dtype)
    for width, batch, dtype in itertools.product(WIDTHS.values(), BATCHES, ("float16", "bfloat16")):
        yield Case(batch, width, 1000, "b", dtype)
