"""How every case is timed: compiled and checked against its peer first, then single calls, each waited for."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

BATCHES = (1, 8)
ENGINES = ("fused", "stock")
DIRECTIONS = ("forward", "training")
BACKEND = {"fused": "fused", "stock": "reference"}  # an operator's reference is made of stock MindSpore operators

every_case = [pytest.mark.parametrize("engine", ENGINES), pytest.mark.parametrize("batch", BATCHES),
              pytest.mark.parametrize("direction", DIRECTIONS)]


def cases(function: Callable) -> Callable:
    """Decorate a suite's function: every direction, batch size and engine, fused beside stock."""
    for mark in every_case:
        function = mark(function)
    return function


class _Training(nn.Cell):
    """Forward and backward, gradients of all arguments."""

    def __init__(self, op: nn.Cell):
        super().__init__()
        self.op = op
        self.gradient = ops.GradOperation(get_all=True, sens_param=True)

    def construct(self, *args):
        return self.gradient(self.op)(*args)


def time_operator(benchmark, request, name: str, make: Callable[[str], nn.Cell], shapes: list[tuple[int, ...]],
                  outputs: list[tuple[int, ...]], engine: str, batch: int, direction: str) -> None:
    """Time an operator.

    Args:
        benchmark, request: pytest's fixtures.
        name: the operator's.
        make: backend -> cell.
        shapes: of the arguments.
        outputs: shapes of the outputs.
        engine: 'fused' or 'stock'.
        batch: for the report.
        direction: 'forward', or 'training' for forward and backward.
    """
    rng = np.random.default_rng(0)
    arguments: list[Any] = [Tensor(rng.standard_normal(shape, dtype=np.float32) / (shape[-1] ** 0.5 if len(shape) == 2 else 1))
                            for shape in shapes]

    def built(which: str) -> nn.Cell:
        cell = make(BACKEND[which]).set_train(direction == "training")
        return _Training(cell) if direction == "training" else cell

    if direction == "training":
        sens = [Tensor(rng.standard_normal(shape, dtype=np.float32)) for shape in outputs]
        arguments.append(tuple(sens) if len(sens) > 1 else sens[0])
    cell = built(engine)
    if engine == "fused":
        _agree(cell(*arguments), built("stock")(*arguments))
    run(benchmark, request, lambda: cell(*arguments), name, engine, batch, direction)


def run(benchmark, request, call: Callable[[], Any], name: str, engine: str, batch: int, direction: str) -> None:
    """Time a call that has been compiled, each one waited for."""
    def timed():
        call()
        ms.runtime.synchronize()

    benchmark.group = f"{name} {direction} batch {batch}"
    benchmark.extra_info.update(op=name, engine=engine, batch=batch, direction=direction,
                                model=request.config.getoption("--model"))
    benchmark.pedantic(timed, rounds=request.config.getoption("--rounds"), warmup_rounds=2)


def _agree(got: Any, expected: Any) -> None:
    """A wrong result that comes fast is not worth timing."""
    if not isinstance(got, (tuple, list)):
        got, expected = (got,), (expected,)
    for g, e in zip(got, expected):
        g, e = g.asnumpy(), e.asnumpy()
        assert np.abs(g - e).max() <= 1e-4 * max(1.0, np.abs(e).max())
