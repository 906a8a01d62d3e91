"""attention on a model's qkv tensor."""

from benchmarks import _timing
from vit_kernels import ops


@_timing.cases
def test_attention(benchmark, request, config, engine, batch, direction):
    qkv = (batch, config.num_tokens, 3, config.num_heads, config.head_dim)
    _timing.time_operator(benchmark, request, "attention", lambda backend: ops.AttentionOp(config.head_dim, None, backend),
                          [qkv], [(batch, config.num_tokens, config.embed_dim)], engine, batch, direction)
