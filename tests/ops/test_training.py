"""The operators inside MindSpore's training machinery: losses and weights must follow torch's."""

from __future__ import annotations

import mindspore as ms
import mindspore.dataset as ds
import numpy as np
import pytest
import torch
from mindspore import Parameter, Tensor, nn
from mindspore.train import Callback, Model

from tests.ops import _check
from vit_kernels import ops

BATCH, TOKENS, WIDTH, HEADS, CLASSES, STEPS, RATE = 4, 9, 32, 2, 5, 6, 0.05
SHAPES = {"gamma": (WIDTH,), "beta": (WIDTH,), "qkv_w": (3 * WIDTH, WIDTH), "qkv_b": (3 * WIDTH,), "proj_w": (WIDTH, WIDTH),
          "proj_b": (WIDTH,), "scale": (WIDTH,), "gamma2": (WIDTH,), "beta2": (WIDTH,), "w1": (4 * WIDTH, WIDTH),
          "b1": (4 * WIDTH,), "w2": (WIDTH, 4 * WIDTH), "b2": (WIDTH,), "gamma3": (WIDTH,), "beta3": (WIDTH,),
          "head_w": (CLASSES, WIDTH), "head_b": (CLASSES,)}


def _weights():
    rng = np.random.default_rng(3)
    drawn = {name: rng.standard_normal(shape) / shape[-1] ** 0.5 for name, shape in SHAPES.items()}
    return {name: 1 + 0.1 * a if name.startswith(("gamma", "scale")) else a for name, a in drawn.items()}


def _data():
    rng = np.random.default_rng(4)
    return (rng.standard_normal((STEPS, BATCH, TOKENS, WIDTH)).astype(np.float32),
            rng.integers(0, CLASSES, (STEPS, BATCH)).astype(np.int32))


class Network(nn.Cell):
    """One transformer block and a classifier, every operator at least once."""

    def __init__(self, backend="cpu"):
        super().__init__()
        for name, value in _weights().items():
            setattr(self, name, Parameter(Tensor(value.astype(np.float32)), name))
        self.layer_norm, self.add_layer_norm = ops.LayerNormOp(1e-6, backend), ops.AddLayerNormOp(1e-6, backend)
        self.linear, self.attention = ops.LinearOp(backend), ops.AttentionOp(WIDTH // HEADS, None, backend)
        self.gelu_mlp = ops.GeluMlpOp("none", backend)

    def construct(self, x):
        y = self.layer_norm(x, self.gamma, self.beta)
        y = self.attention(self.linear(y, self.qkv_w, self.qkv_b))
        x = self.linear(y, self.proj_w, self.proj_b, x, self.scale)
        y = self.gelu_mlp(self.layer_norm(x, self.gamma2, self.beta2), self.w1, self.b1, self.w2, self.b2)
        _, y = self.add_layer_norm(y, x, self.gamma3, self.beta3)
        return self.linear(y.mean(1), self.head_w, self.head_b)


def _forward(p, x):
    y = _check.layer_norm(x, p["gamma"], p["beta"], 1e-6)
    qkv = _check.linear(y, p["qkv_w"], p["qkv_b"]).reshape(BATCH, TOKENS, 3, HEADS, WIDTH // HEADS)
    x = _check.linear(_check.attention(qkv, (WIDTH // HEADS) ** -0.5), p["proj_w"], p["proj_b"], x, p["scale"])
    y = _check.gelu_mlp(_check.layer_norm(x, p["gamma2"], p["beta2"], 1e-6), p["w1"], p["b1"], p["w2"], p["b2"], "none")
    y = _check.layer_norm(x + y, p["gamma3"], p["beta3"], 1e-6)
    return _check.linear(y.mean(1), p["head_w"], p["head_b"])


@pytest.fixture(scope="module")
def expected():
    """Losses and final weights of plain gradient descent in float64 torch, and the gradients of the first step."""
    parameters = {n: torch.tensor(w, requires_grad=True) for n, w in _weights().items()}
    images, labels = _data()
    losses, first = [], None
    for x, label in zip(images, labels):
        loss = torch.nn.functional.cross_entropy(_forward(parameters, torch.tensor(x, dtype=torch.float64)),
                                                 torch.tensor(label, dtype=torch.int64))
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        first = first or dict(zip(parameters, (g.numpy() for g in gradients)))
        losses.append(loss.item())
        with torch.no_grad():
            for parameter, gradient in zip(parameters.values(), gradients):
                parameter -= RATE * gradient
    assert losses[0] > 1
    return losses, {n: p.detach().numpy() for n, p in parameters.items()}, first


def _compare_weights(network, weights):
    for name, value in weights.items():
        _check.assert_close(getattr(network, name).asnumpy(), value, 2e-6, name)


def _parts():
    network = Network()
    network.set_train()
    return network, nn.CrossEntropyLoss(), nn.SGD(network.trainable_params(), RATE)


def test_value_and_grad(mode, expected):
    network, loss, _ = _parts()
    images, labels = _data()
    step = ms.value_and_grad(nn.WithLossCell(network, loss), None, network.trainable_params())
    value, gradients = step(Tensor(images[0]), Tensor(labels[0]))
    _check.assert_close(value.asnumpy(), np.float64(expected[0][0]), 2e-6)
    for parameter, gradient in zip(network.trainable_params(), gradients):
        _check.assert_close(gradient.asnumpy(), expected[2][parameter.name], 5e-6, parameter.name)


def test_train_one_step_cell(mode, expected):
    network, loss, optimizer = _parts()
    step = nn.TrainOneStepCell(nn.WithLossCell(network, loss), optimizer).set_train()
    losses = [float(step(Tensor(x), Tensor(label)).asnumpy()) for x, label in zip(*_data())]
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    _compare_weights(network, expected[1])


def test_jit_step(expected, pynative_mode):
    """A PyNative program whose step is one @jit function."""
    network, loss, optimizer = _parts()
    value_and_grad = ms.value_and_grad(nn.WithLossCell(network, loss), None, optimizer.parameters)

    @ms.jit
    def step(x, label):
        value, gradients = value_and_grad(x, label)
        optimizer(gradients)
        return value

    losses = [float(step(Tensor(x), Tensor(label)).asnumpy()) for x, label in zip(*_data())]
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    _compare_weights(network, expected[1])


class _Losses(Callback):
    def __init__(self):
        self.losses = []

    def on_train_step_end(self, run_context):
        self.losses.append(float(run_context.original_args().net_outputs.asnumpy()))


@pytest.mark.parametrize("sink", [False, True])
def test_model_train(mode, expected, sink):
    network, loss, optimizer = _parts()
    images, labels = _data()
    data = ds.NumpySlicesDataset((images.reshape(-1, TOKENS, WIDTH), labels.reshape(-1)), ["x", "label"],
                                 shuffle=False, num_parallel_workers=1).batch(BATCH)
    record = _Losses()
    model = Model(network, loss, optimizer, metrics={"accuracy"})
    model.train(1, data, callbacks=[record], dataset_sink_mode=sink)
    np.testing.assert_allclose(record.losses, expected[0], rtol=1e-5)
    _compare_weights(network, expected[1])
    assert 0 <= model.eval(data, dataset_sink_mode=sink)["accuracy"] <= 1


@pytest.mark.parametrize("format", ["ckpt", "safetensors"])
def test_save_and_load(mode, tmp_path, format):
    network, x = Network(), Tensor(_data()[0][0])
    file = str(tmp_path / f"weights.{format}")
    ms.save_checkpoint(network, file, format=format)
    again = Network("cpu")
    for parameter in again.get_parameters():
        parameter.set_data(Tensor(np.zeros(parameter.shape, np.float32)))
    ms.load_param_into_net(again, ms.load_checkpoint(file, format=format))
    assert (again(x).asnumpy() == network(x).asnumpy()).all()


def test_fused_follows_reference(mode):
    images, _ = _data()
    x = Tensor(images[0])
    _check.assert_close(Network("cpu")(x).asnumpy(), Network("reference")(x).asnumpy().astype(np.float64), 2e-6)
