"""AdamW against torch.optim.AdamW: bias correction, decay groups, rates that change, in both modes."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
import torch
from mindspore import Parameter, Tensor, nn, ops

from vit_kernels.training.optimizer import AdamW

SHAPES = ((4, 3), (3,), (2, 2, 2))
RATES = [1e-2, 3e-2, 3e-2, 1e-2, 5e-3, 1e-3]


def start() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]


def gradients(step: int) -> list[np.ndarray]:
    """Sizes from tiny (where eps matters) to large."""
    rng = np.random.default_rng(100 + step)
    return [(rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 3, shape)).astype(np.float32) for shape in SHAPES]


def parameters() -> list[Parameter]:
    return [Parameter(Tensor(x), name=f"p{i}") for i, x in enumerate(start())]


def groups(params) -> list[dict]:
    return [{"params": [params[0]], "weight_decay": 0.3, "lr_scale": 0.5}, {"params": params[1:], "weight_decay": 0.0}]


def torch_run(beta2: float = 0.999, eps: float = 1e-8) -> list[list[np.ndarray]]:
    """The parameters after each step, by torch."""
    params = [torch.nn.Parameter(torch.from_numpy(x)) for x in start()]
    optimizer = torch.optim.AdamW([{"params": [params[0]], "weight_decay": 0.3}, {"params": params[1:], "weight_decay": 0.0}],
                                  lr=1.0, betas=(0.9, beta2), eps=eps)
    states = []
    for step, rate in enumerate(RATES):
        for group, scale in zip(optimizer.param_groups, (0.5, 1.0)):
            group["lr"] = rate * scale
        for p, g in zip(params, gradients(step)):
            p.grad = torch.from_numpy(g)
        optimizer.step()
        states.append([p.detach().numpy().copy() for p in params])
    return states


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("beta2, eps", [(0.999, 1e-8), (0.95, 1e-6)])
def test_follows_torch(mode, backend, beta2, eps):
    params = parameters()
    optimizer = AdamW(groups(params), RATES, beta2=beta2, eps=eps, backend=backend)
    assert optimizer.fused == (backend == "cpu")
    for step, expected in enumerate(torch_run(beta2, eps)):
        optimizer(tuple(Tensor(g) for g in gradients(step)))
        for p, e in zip(params, expected):
            np.testing.assert_allclose(p.asnumpy(), e, rtol=2e-5, atol=2e-6)


def test_reads_before_and_after_the_update_keep_their_places(mode):
    """The fused kernel writes parameters in place; a graph must not move a read across it."""
    class Net(nn.Cell):
        def __init__(self):
            super().__init__()
            self.w = Parameter(Tensor(np.ones(5, np.float32)), name="w")
            self.optimizer = AdamW([self.w], 0.1, weight_decay=0.0, backend="cpu")

        def construct(self, g):
            before = self.w * 1.0
            done = self.optimizer((g,))
            between = ops.depend(self.w, done) * 1.0
            self.optimizer((g,))
            return before, between, self.w * 1.0

    net = Net()
    for start in (1.0, 0.8):
        for value, expected in zip(net(Tensor(np.ones(5, np.float32))), (start, start - 0.1, start - 0.2)):
            np.testing.assert_allclose(value.asnumpy(), expected, rtol=1e-5)


def test_gradients_of_other_shapes_are_refused(mode):
    optimizer = AdamW([Parameter(Tensor(np.ones((2, 3), np.float32)), name="w")], 0.1, backend="cpu")
    with pytest.raises(ValueError, match=r"adamw: gradient has shape \(3, 2\), expected \(2, 3\)"):
        optimizer((Tensor(np.ones((3, 2), np.float32)),))


def test_half_precision_parameters_take_the_stock_kernel(graph_mode):
    assert not AdamW([Parameter(Tensor(np.ones(3, np.float16)), name="p")], backend="cpu").fused


def test_the_first_step_has_the_size_of_the_rate(graph_mode):
    """What bias correction is for; without it the first step would be 1 / sqrt(1 - 0.999) = 31 times off in parts."""
    p = Parameter(Tensor(np.zeros((2, 2), np.float32)), name="p")
    AdamW([p], 0.01, weight_decay=0.0)((Tensor(np.array([[5, -5], [1e-3, -300]], np.float32)),))
    np.testing.assert_allclose(p.asnumpy(), [[-0.01, 0.01], [-0.01, 0.01]], rtol=1e-4)


def test_the_last_rate_stays(graph_mode):
    p = Parameter(Tensor(np.zeros(1, np.float32)), name="p")
    optimizer = AdamW([p], [0.5, 0.25], weight_decay=0.0)
    steps = []
    for _ in range(4):
        before = p.asnumpy().copy()
        optimizer((Tensor(np.ones(1, np.float32)),))
        steps.append(float((before - p.asnumpy())[0]))
    np.testing.assert_allclose(steps, [0.5, 0.25, 0.25, 0.25], rtol=1e-4)


def test_state_carries_on_exactly(graph_mode):
    params = parameters()
    first = AdamW(groups(params), RATES)
    for step in range(3):
        first(tuple(Tensor(g) for g in gradients(step)))
    saved, weights = first.state(), [p.asnumpy().copy() for p in params]
    for step in range(3, 6):
        first(tuple(Tensor(g) for g in gradients(step)))
    again = [Parameter(Tensor(w), name=f"p{i}") for i, w in enumerate(weights)]
    second = AdamW(groups(again), RATES)
    second.load_state(saved)
    for step in range(3, 6):
        second(tuple(Tensor(g) for g in gradients(step)))
    for a, b in zip(params, again):
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def test_state_of_another_model_is_refused():
    state = AdamW(parameters()).state()
    other = [Parameter(Tensor(np.zeros((4, 4), np.float32)), name="p0")]
    before = AdamW(other)
    with pytest.raises(ValueError, match="optimizer state does not fit the model"):
        before.load_state(state)
    assert not any(p.asnumpy().any() for p in before.exp_avg)


def test_arguments_out_of_range():
    params = parameters()
    with pytest.raises(ValueError, match="a parameter is in two groups"):
        AdamW([{"params": params}, {"params": params[:1]}])
    with pytest.raises(ValueError, match="unknown keys .'lr'."):
        AdamW([{"params": params, "lr": 1.0}])
    for wrong in ({"beta1": 1.0}, {"beta2": 0}, {"eps": 0}, {"weight_decay": -1}):
        with pytest.raises(ValueError, match="expected"):
            AdamW(params, **wrong)


def test_half_precision_gradients_are_accepted(graph_mode):
    p = Parameter(Tensor(np.ones(3, np.float32)), name="p")
    AdamW([p], 0.1, weight_decay=0.0)((Tensor(np.ones(3, np.float32), ms.float16),))
    np.testing.assert_allclose(p.asnumpy(), 0.9, rtol=1e-4)


def test_is_an_optimizer_for_mindspores_own_cells(graph_mode):
    net = nn.Dense(3, 1)
    step = nn.TrainOneStepCell(nn.WithLossCell(net, nn.MSELoss()), AdamW(net.trainable_params(), 0.05))
    x, y = Tensor(np.eye(3, dtype=np.float32)), Tensor(np.ones((3, 1), np.float32))
    losses = [float(step(x, y).asnumpy()) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
