"""The whole model, inference and training step: the fused kernels, MindSpore's own layers, and our reference backend."""

import numpy as np
import pytest

from benchmarks import _timing
from vit_kernels.benchmarking import engines


@pytest.mark.parametrize("engine", ["fused", "stock", "reference"])
@pytest.mark.parametrize("batch", _timing.BATCHES)
@pytest.mark.parametrize("direction", _timing.DIRECTIONS)
def test_model(benchmark, request, config, engine, batch, direction):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, config.in_chans, *config.image_hw), dtype=np.float32)
    targets = np.eye(config.num_classes, dtype=np.float32)[rng.integers(0, config.num_classes, batch)]
    made = engines.make(engine, config, engines.random_weights(config, 0), images, targets)
    _timing.run(benchmark, request, made.logits if direction == "forward" else made.train_step, "model", engine, batch, direction)
