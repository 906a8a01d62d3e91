"""The shapes on which the GELU-MLP kernels have to hold: a few for every run, the whole grid for a run on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.ascend._gelu_mlp import Case
from tests.ascend._shapes import BATCHES, TOKENS, WIDTHS

# Rows that end in the middle of a tile or a fractal, one row, hidden sizes that are no multiple of a tile, out != width.
QUICK = (
    Case(197, 192, 768),
    Case(197, 192, 768, "bfloat16", 1),
    Case(1, 192, 768, "bfloat16"),
    Case(50, 64, 272, approximate=1),
    Case(37, 80, 48, "bfloat16", bias_dtype="float32", out=112),
    Case(300, 48, 160, bias_dtype="float32"),
    Case(24 * 136, 16, 144, out=32),  # cores with 144 rows in two blocks beside cores with 128 rows
)

# More rows than one block per core, and a last core with little to do.
SEVERAL_BLOCKS = Case(24 * 160 + 1, 32, 304, approximate=1)

# Small, but every buffer of the ring and every queue is used again: what a missing flag would do has to happen.
MUTATION = (Case(33, 64, 528, "bfloat16", bias_dtype="float32", out=1040), Case(24 * 144 + 1, 16, 272, approximate=1, out=272))


def grid() -> Iterator[Case]:
    """Every ViT width, token count, batch, dtype and form."""
    for width, tokens, batch, dtype, form in itertools.product(WIDTHS.values(), TOKENS, BATCHES,
                                                               ("float16", "bfloat16"), (0, 1)):
        yield Case(batch * tokens, width, 4 * width, dtype, form)
