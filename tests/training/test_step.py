"""The training step against torch: loss with soft targets, clipping by the global norm, whole updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn

from vit_kernels.training.optimizer import AdamW
from vit_kernels.training.step import SoftTargetCrossEntropy, TrainStep

RNG = np.random.default_rng(0)
X = RNG.standard_normal((16, 6)).astype(np.float32)
TARGETS = RNG.dirichlet(np.ones(5), 16).astype(np.float32)
W1, W2 = RNG.standard_normal((8, 6)).astype(np.float32), RNG.standard_normal((5, 8)).astype(np.float32)


def test_loss(mode):
    logits = (RNG.standard_normal((7, 5)) * 50).astype(np.float32)
    got = SoftTargetCrossEntropy()(Tensor(logits), Tensor(TARGETS[:7])).asnumpy()
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(TARGETS[:7]))
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-6)


def network() -> nn.Cell:
    net = nn.SequentialCell(nn.Dense(6, 8, has_bias=False), nn.ReLU(), nn.Dense(8, 5, has_bias=False))
    net[0].weight.set_data(Tensor(W1))
    net[2].weight.set_data(Tensor(W2))
    return net


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_steps_follow_torch(mode, clip):
    net = network()
    step = TrainStep(net, AdamW(net.trainable_params(), 0.02, weight_decay=0.1), clip_norm=clip)
    twin = torch.nn.Sequential(torch.nn.Linear(6, 8, bias=False), torch.nn.ReLU(), torch.nn.Linear(8, 5, bias=False))
    with torch.no_grad():
        twin[0].weight.copy_(torch.from_numpy(W1))
        twin[2].weight.copy_(torch.from_numpy(W2))
    optimizer = torch.optim.AdamW(twin.parameters(), 0.02, weight_decay=0.1)
    for k in range(10):
        x = X * 1.5 ** k  # so that norms differ from step to step and Adam cannot undo the clipping
        ours = float(step(Tensor(x), Tensor(TARGETS)).asnumpy())
        loss = torch.nn.functional.cross_entropy(twin(torch.from_numpy(x)), torch.from_numpy(TARGETS))
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip)
        optimizer.step()
        assert ours == pytest.approx(loss.item(), rel=1e-4)
    np.testing.assert_allclose(net[0].weight.asnumpy(), twin[0].weight.detach().numpy(), atol=2e-4)


class Record(nn.Optimizer):
    """Hands out the gradients it is given, in place of the parameters."""

    def __init__(self, params):
        super().__init__(1.0, params)

    def construct(self, gradients):
        for parameter, gradient in zip(self._parameters, gradients):
            self.assignadd(parameter, -parameter + gradient)
        return True


@pytest.mark.parametrize("clip", [0.01, 1e6])
def test_gradients_are_clipped_by_their_common_norm(graph_mode, clip):
    net = network()
    TrainStep(net, Record(net.trainable_params()), clip_norm=clip)(Tensor(X), Tensor(TARGETS))
    w1, w2 = (torch.from_numpy(w).requires_grad_() for w in (W1, W2))
    loss = torch.nn.functional.cross_entropy(torch.relu(torch.from_numpy(X) @ w1.T) @ w2.T, torch.from_numpy(TARGETS))
    loss.backward()
    if clip:
        torch.nn.utils.clip_grad_norm_([w1, w2], clip)
    for got, expected in ((net[0].weight, w1.grad), (net[2].weight, w2.grad)):
        np.testing.assert_allclose(got.asnumpy(), expected.numpy(), rtol=1e-3, atol=1e-7)
