"""Every operator through the Ascend C source on the twin: values and gradients against the reference in float16 accuracy."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from vit_kernels.ops import AddLayerNormOp, AttentionOp, GeluMlpOp, LayerNormOp, LinearOp

RNG = np.random.default_rng(0)


def normal(*shape, scale=1.0):
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


CASES = {
    "attention": (lambda b: AttentionOp(32, None, b), [normal(2, 17, 3, 2, 32)]),
    "layer_norm": (lambda b: LayerNormOp(1e-6, b), [normal(2, 9, 48), 1 + normal(48), normal(48)]),
    "add_layer_norm": (lambda b: AddLayerNormOp(1e-6, b), [normal(2, 9, 48), normal(2, 9, 48), 1 + normal(48), normal(48)]),
    "gelu_mlp erf": (lambda b: GeluMlpOp("none", b).set_train(), [normal(2, 9, 32), normal(64, 32, scale=0.2), normal(64),
                                                                  normal(32, 64, scale=0.2), normal(32)]),
    "gelu_mlp tanh, nothing saved": (lambda b: GeluMlpOp("tanh", b).set_train(False),
                                     [normal(2, 9, 32), normal(64, 32, scale=0.2), normal(64), normal(32, 64, scale=0.2),
                                      normal(32)]),
    "linear": (LinearOp, [normal(2, 9, 32), normal(48, 32, scale=0.2), normal(48)]),
    "linear, residual": (LinearOp, [normal(2, 9, 32), normal(48, 32, scale=0.2), normal(48), normal(2, 9, 48)]),
    "linear, residual and scale": (LinearOp, [normal(2, 9, 32), normal(48, 32, scale=0.2), normal(48), normal(2, 9, 48),
                                              normal(48)]),
}


class Loss(nn.Cell):
    """sum(weight * op(...)), a scalar whose gradients are those of the operator."""

    def __init__(self, op, count):
        super().__init__()
        self.op, self.pair = op, count == 4 and isinstance(op, AddLayerNormOp)

    def construct(self, weight, *args):
        if self.pair:
            total, y = self.op(*args)
            return (total * weight).sum() + (y * weight * weight).sum()
        return (self.op(*args) * weight).sum()


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, mode):
    make, arrays = CASES[name]
    results = []
    for backend in ("twin", "reference"):
        op = make(backend)
        tensors = [Tensor(a) for a in arrays]
        out = op(*tensors)
        out = out if isinstance(out, tuple) else (out,)
        weight = Tensor(np.random.default_rng(1).standard_normal(out[-1].shape).astype(np.float32))
        loss = Loss(op, len(arrays)).set_train(op.training)
        _, gradients = ms.value_and_grad(loss, tuple(range(1, len(arrays) + 1)))(weight, *tensors)
        results.append(([o.asnumpy() for o in out], [g.asnumpy() for g in gradients]))
    (out, grads), (expected_out, expected_grads) = results
    for mine, theirs in zip(out + grads, expected_out + expected_grads):
        assert mine.shape == theirs.shape and mine.dtype == np.float32
        np.testing.assert_allclose(mine, theirs, atol=4e-3 * max(1.0, float(np.abs(theirs).max())))
        assert np.abs(mine).max() > 0


@pytest.mark.parametrize("dtype", [ms.float16, ms.bfloat16])
def test_sixteen_bit_activations_stay(dtype, mode):
    x = Tensor(normal(1, 5, 32)).astype(dtype)
    w, b = Tensor(normal(16, 32)).astype(dtype), Tensor(normal(16)).astype(dtype)
    assert LinearOp("twin")(x, w, b).dtype == dtype
    assert LayerNormOp(1e-6, "twin")(x, Tensor(normal(32)), Tensor(normal(32))).dtype == dtype


def test_a_linear_layer_with_one_output(mode):
    """One output is where an absent operand could be taken for a present one."""
    x, w, b = Tensor(normal(4, 32)), Tensor(normal(1, 32)), Tensor(normal(1))
    np.testing.assert_allclose(LinearOp("twin")(x, w, b).asnumpy(), LinearOp("reference")(x, w, b).asnumpy(), atol=2e-2)


def test_shapes_are_checked_before_the_kernel_is_called(mode):
    with pytest.raises(ValueError, match="gelu_mlp: w2 has shape"):
        GeluMlpOp("none", "twin")(*(Tensor(normal(*s)) for s in ((2, 32), (64, 32), (64,), (32, 48), (32,))))


def test_operators_in_one_graph_keep_their_own_gradients(graph_mode):
    """Every primitive of this backend calls the same symbol; MindSpore must not take one's gradient for another's."""
    x, w, b = normal(2, 6, 96), normal(96, 32, scale=0.2), normal(96)

    class Two(nn.Cell):
        def __init__(self, backend):
            super().__init__()
            self.norm, self.linear = LayerNormOp(1e-6, backend), LinearOp(backend)
            self.small, self.large = AttentionOp(32, 0.1, backend), AttentionOp(32, 0.7, backend)
            self.erf, self.tanh = GeluMlpOp("none", backend).set_train(), GeluMlpOp("tanh", backend).set_train(False)

        def construct(self, x, gamma, w, b):
            y = self.norm(x, gamma, gamma)
            y = y.reshape((2, 6, 3, 1, 32))
            y = self.small(y) + self.large(y)
            y = self.erf(y, w, b, w.T, b[:32]) - 0.5 * self.tanh(y, w, b, w.T, b[:32])
            return (self.linear(y, w, b) ** 2).mean()

    args = [Tensor(a) for a in (x, 1 + normal(96), w, b)]
    gradients = [ms.grad(Two(backend), (0, 1, 2, 3))(*args) for backend in ("twin", "reference")]
    for mine, theirs in zip(*gradients):
        np.testing.assert_allclose(mine.asnumpy(), theirs.asnumpy(), atol=6e-3 * float(np.abs(theirs.asnumpy()).max()))


@pytest.mark.parametrize("op, shapes", [
    (AttentionOp(16, None, "twin"), [(1, 5, 3, 1, 16)]), (GeluMlpOp("none", "twin"), [(2, 24), (64, 24), (64,), (24, 64), (24,)]),
    (LayerNormOp(1e-6, "twin"), [(2, 2048), (2048,), (2048,)])], ids=["head_dim", "width", "wide norm"])
def test_what_the_kernels_do_not_cover_runs_on_the_reference(op, shapes, mode, caplog):
    from vit_kernels.ops import _backend

    _backend.notice.cache_clear()
    arrays = [Tensor(normal(*shape)) for shape in shapes]
    with caplog.at_level("WARNING", "vit_kernels"):
        out = op(*arrays)
    assert np.isfinite(out.asnumpy()).all()
    assert len([r for r in caplog.records if "using the reference backend" in r.getMessage()]) == 1


def test_training_follows_the_cpu_backend(graph_mode):
    """Twenty steps of a small ViT on the digits, every kernel the Ascend C source."""
    from vit_kernels.data import Loader, load_dataset
    from vit_kernels.models import ViTConfig, ViTForImageClassification
    from vit_kernels.training.optimizer import AdamW
    from vit_kernels.training.param_groups import parameter_groups
    from vit_kernels.training.recipes import RECIPES
    from vit_kernels.training.step import TrainStep

    recipe, data = RECIPES["digits"], load_dataset("digits")
    losses = {}
    for backend in ("twin", "cpu"):
        config = ViTConfig(**{**recipe.model, "depth": 2, "embed_dim": 64, "num_heads": 2}, num_classes=10)
        model = ViTForImageClassification(config, backend=backend, seed=0)
        step = TrainStep(model, AdamW(parameter_groups(model, 0.05), 5e-4), clip_norm=1.0)
        loader = Loader(data.train, recipe.preprocessing, 16, shuffle=True, drop_last=True, workers=0)
        losses[backend] = [float(step(Tensor(b.images), Tensor(b.targets)).asnumpy()) for b, _ in zip(loader.epoch(), range(20))]
    twin, cpu = (np.array(losses[backend]) for backend in ("twin", "cpu"))
    np.testing.assert_allclose(twin, cpu, rtol=1e-2)
    assert np.mean(cpu[-5:]) < np.mean(cpu[:5]) - 0.05
