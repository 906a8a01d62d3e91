"""The price of one operator: a run of its kernel on the twin that only counts."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Iterable, Sequence

Shape = tuple[int, ...]

# fp32 vector instructions per element of what the stock operators compute (assumed; the fused kernels' own are counted).
SOFTMAX_PASSES, SOFTMAX_GRAD_PASSES = 8, 5
GELU_PASSES, GELU_GRAD_PASSES = 20, 30
_CONTIGUOUS = 8192  # elements of a run that nothing interrupts

ABSENT: Shape = (0,)


@dataclasses.dataclass(frozen=True)
class Price:
    """Estimated cost of one or several operators.

    Attributes:
        us: microseconds, launches apart.
        bound_us: what the busiest resource alone needs, microseconds.
        bounds: resource -> microseconds it needs ('hbm', 'l2', 'cube', 'vector').
        hbm_bytes: bytes that have to come from or go to HBM when every operator starts with a cold L2.
        launches: number of kernels.
    """

    us: float = 0.0
    bound_us: float = 0.0
    bounds: tuple[tuple[str, float], ...] = ()
    hbm_bytes: float = 0.0
    launches: int = 0

    def __add__(self, other: "Price") -> "Price":
        mine, theirs = dict(self.bounds), dict(other.bounds)
        bounds = tuple((name, mine.get(name, 0.0) + theirs.get(name, 0.0)) for name in {**mine, **theirs})
        return Price(self.us + other.us, self.bound_us + other.bound_us, bounds, self.hbm_bytes + other.hbm_bytes,
                     self.launches + other.launches)

    def __mul__(self, times: int) -> "Price":
        return Price(self.us * times, self.bound_us * times, tuple((n, v * times) for n, v in self.bounds),
                     self.hbm_bytes * times, self.launches * times)

    @property
    def binding(self) -> str:
        """The resource that needs the most time."""
        return max(self.bounds, key=lambda item: item[1])[0] if self.bounds else "nothing"


def total(prices: Iterable[Price]) -> Price:
    """The sum: operators run one after another."""
    return sum(prices, Price())


def skus() -> tuple[str, ...]:
    """The chips the time model knows."""
    return ("910B1", "910B2", "910B3", "910B4")


def run(op: str, shapes: Sequence[Shape], dtypes: Sequence[str], sku: str, timeline: bool = False,
        **attrs: float) -> dict[str, Any]:
    """One cost-only run of a kernel on the twin.

    Raises:
        NativeLibraryError: the twin is not built.
        ValueError: the kernel refuses the arguments, or the SKU is unknown.
    """
    from vit_kernels.ops._ascend import require_twin

    require_twin()
    from vit_kernels import _native

    return _native.twin_run(op, list(shapes), list(dtypes), {k: float(v) for k, v in attrs.items()}, sku=sku, mode="cost",
                            timeline=timeline)


@functools.lru_cache(maxsize=None)
def _price(op: str, shapes: tuple[Shape, ...], dtypes: tuple[str, ...], sku: str, attrs: tuple[tuple[str, float], ...]) -> Price:
    result = run(op, shapes, dtypes, sku, **dict(attrs))
    estimate = result["estimate"]
    bounds = tuple((name, estimate[f"{name}_bound_us"]) for name in ("hbm", "l2", "cube", "vector"))
    return Price(estimate["kernel_us"], estimate["bound_us"], bounds, result["counters"]["hbm_bytes"], 1)


def kernel(op: str, shapes: Sequence[Shape], dtypes: Sequence[str], sku: str, **attrs: float) -> Price:
    """The price of one of this project's kernels.

    Args:
        op: its name, such as 'vit_attention'.
        shapes: of the inputs, in the kernel's order; `ABSENT` for an optional one that is not given.
        dtypes: of the inputs.
        sku: of the chip, see `skus`.
        attrs: the operator's attributes.
    """
    return _price(op, tuple(map(tuple, shapes)), tuple(dtypes), sku, tuple(sorted(attrs.items())))


def matmul(rows: int, depth: int, columns: int, sku: str, dtype: str = "float16") -> Price:
    """A stock matrix product, its bias free of charge: this project's own product without an epilogue, which is as good as
    its fused ones. A batch of products is priced as one with as many rows."""
    return kernel("vit_linear", [(rows, depth), (columns, depth), ABSENT, ABSENT, ABSENT], [dtype] * 5, sku)


def elementwise(elems: int, sku: str, inputs: int = 1, passes: int = 1, run_elems: int = _CONTIGUOUS, store: bool = True) -> Price:
    """A stock operator that reads `inputs` tensors, computes `passes` vector instructions per element and writes one.

    Args:
        elems: of one tensor, 16 bits each.
        run_elems: contiguous elements that are read at a time; a permutation's rows are short.
        store: False for a reduction.
    """
    # The stand-in works on whole tiles; what the last one lacks of one is priced as if it were there.
    elems = math.ceil(elems / _CONTIGUOUS) * _CONTIGUOUS
    return kernel("stock_stream", [(inputs, elems)], ["float16"], sku, passes=passes, row_elems=run_elems, store=store)
