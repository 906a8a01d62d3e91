"""Cells whose calls take turns when several Python threads make them.

MindSpore runs one operator or graph at a time per process: two threads that call stock operators at once get each other's
results or crash the process. The kernels themselves have no such limit, and each uses all cores.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from mindspore import nn

_turn = threading.RLock()


def _new_turn() -> None:
    global _turn
    _turn = threading.RLock()


# Another thread may hold the lock while the process forks; in the child nobody would ever release it.
os.register_at_fork(after_in_child=_new_turn)


class SerialCell(nn.Cell):
    """A cell that runs for one Python thread at a time; inside a graph it is a cell like any other."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _turn:
            return super().__call__(*args, **kwargs)
