"""gelu_mlp with a model's widths."""

from benchmarks import _timing
from vit_kernels import ops


@_timing.cases
def test_gelu_mlp(benchmark, request, config, engine, batch, direction):
    width, hidden = config.embed_dim, config.intermediate_size
    x = (batch, config.num_tokens, width)
    _timing.time_operator(benchmark, request, "gelu_mlp", lambda backend: ops.GeluMlpOp("none", backend),
                          [x, (hidden, width), (hidden,), (width, hidden), (width,)], [x], engine, batch, direction)
