"""linear as a block's two projections and as the patch embedding."""

from mindspore import nn

from benchmarks import _timing
from vit_kernels import ops


@_timing.cases
def test_qkv(benchmark, request, config, engine, batch, direction):
    width = config.embed_dim
    _timing.time_operator(benchmark, request, "linear qkv", ops.LinearOp,
                          [(batch, config.num_tokens, width), (3 * width, width), (3 * width,)],
                          [(batch, config.num_tokens, 3 * width)], engine, batch, direction)


class _Residual(nn.Cell):
    """linear with its residual, every operand positional."""

    def __init__(self, backend):
        super().__init__()
        self.linear = ops.LinearOp(backend)

    def construct(self, x, w, b, residual):
        return self.linear(x, w, b, residual)


@_timing.cases
def test_projection_with_residual(benchmark, request, config, engine, batch, direction):
    width = config.embed_dim
    x = (batch, config.num_tokens, width)
    _timing.time_operator(benchmark, request, "linear proj + residual", _Residual, [x, (width, width), (width,), x], [x],
                          engine, batch, direction)
