"""The shapes on which the layer-norm kernels have to hold: a few for every run, the whole grid for a run on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.ascend._layer_norm import Case
from tests.ascend._shapes import BATCHES, TOKENS, WIDTHS

DTYPES = ("float16", "bfloat16", "float32")

# Every ViT width and dtype, one row, fewer rows than cores, several tiles per core, parameters in float32, rows that do
# not end on 32 bytes (197 and 200 columns), one block and one column, the widest row, a mean far from zero.
QUICK = (
    Case(1, 1, 768),
    Case(3, 50, 192, "bfloat16"),
    Case(1, 197, 384, "float32"),
    Case(3, 197, 768),
    Case(1, 197, 1024, "bfloat16", parameters="float32"),
    Case(1, 577, 1280, parameters="float32"),
    Case(1, 50, 197, "float32"),
    Case(1, 130, 197, "bfloat16"),
    Case(7, 61, 200),
    Case(2, 33, 8, "float32"),
    Case(1, 5, 1, "float32"),
    Case(1, 61, 9),
    Case(1, 100, 2032, "float32"),
    Case(1, 100, 2032),
    Case(1, 197, 768, "float32", mean=100.0),
)

# A core has one tile, and a core has several, so that every buffer is used again; fewer cores than groups of columns.
MUTATION = (Case(1, 300, 200), Case(6, 500, 768), Case(1, 500, 768, "bfloat16", parameters="float32"),
            Case(3, 400, 1280, "float32"), Case(1, 3, 768))


def with_add(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """The same with a residual."""
    return tuple(Case(c.batch, c.tokens, c.width, c.dtype, True, c.parameters, c.mean) for c in cases)


def grid() -> Iterator[Case]:
    """Every ViT width, token count, batch and dtype, alone and with a residual."""
    for width, tokens, batch, dtype, add in itertools.product(WIDTHS.values(), TOKENS, BATCHES, DTYPES, (False, True)):
        yield Case(batch, tokens, width, dtype, add)
