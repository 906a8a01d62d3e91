"""layer_norm and add_layer_norm on a model's token tensors."""

from benchmarks import _timing
from vit_kernels import ops


@_timing.cases
def test_layer_norm(benchmark, request, config, engine, batch, direction):
    width = config.embed_dim
    x = (batch, config.num_tokens, width)
    _timing.time_operator(benchmark, request, "layer_norm", lambda backend: ops.LayerNormOp(1e-6, backend),
                          [x, (width,), (width,)], [x], engine, batch, direction)


@_timing.cases
def test_add_layer_norm(benchmark, request, config, engine, batch, direction):
    width = config.embed_dim
    x = (batch, config.num_tokens, width)
    _timing.time_operator(benchmark, request, "add_layer_norm", lambda backend: ops.AddLayerNormOp(1e-6, backend),
                          [x, x, (width,), (width,)], [x, x], engine, batch, direction)
