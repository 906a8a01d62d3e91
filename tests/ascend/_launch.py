"""A launch of a kernel on the twin that can be repeated: its inputs are rounded to their types once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.twin import _native_module as native


@dataclass(frozen=True)
class Launch:
    """An operator with everything that it reads; calling it runs it, with `twin_run`'s further arguments."""

    op: str
    arrays: list[np.ndarray]  # as bits
    dtypes: list[str]
    attrs: dict[str, float] = field(default_factory=dict)

    def __call__(self, **kwargs) -> dict:
        return native.twin_run(self.op, self.arrays, self.dtypes, self.attrs, **kwargs)
