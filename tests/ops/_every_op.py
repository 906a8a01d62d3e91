"""Compares every operator with its definition in both modes and prints the instruction set and what it compared."""

from __future__ import annotations

import mindspore as ms

from tests.ops import _check
from tests.ops._cases import CASES
from vit_kernels.ops import _library


def main() -> None:
    for mode in (ms.PYNATIVE_MODE, ms.GRAPH_MODE):
        ms.set_context(mode=mode)
        ms.runtime.launch_blocking()
        for case in CASES.values():
            _check.compare(case.make("cpu"), case.reference, case.arrays())
    print(_library.isa(), *CASES)


if __name__ == "__main__":
    main()
