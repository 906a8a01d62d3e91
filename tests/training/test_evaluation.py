"""Evaluation against torch's topk and cross entropy; every image counts once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mindspore import Tensor, nn, ops

from vit_kernels.data import ArrayImages, Loader, Preprocessing
from vit_kernels.training.evaluation import cross_entropies, evaluate, label_ranks


def test_ranks_and_losses_against_torch():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((200, 17)).astype(np.float32) * 30, rng.integers(0, 17, 200)
    ranks = label_ranks(logits, labels)
    for k in (1, 5, 16):
        top = torch.from_numpy(logits).topk(k).indices.numpy()
        np.testing.assert_array_equal(ranks < k, (top == labels[:, None]).any(1))
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels), reduction="none")
    np.testing.assert_allclose(cross_entropies(logits, labels), expected.numpy(), rtol=1e-9, atol=1e-12)


def test_ties_go_to_the_lower_index_as_with_argmax():
    logits = np.array([[1, 3, 3, 0], [2, 2, 2, 2]], np.float32)
    assert label_ranks(logits, np.array([2, 0])).tolist() == [1, 0] and logits.argmax(1).tolist() == [1, 0]


def test_rows_that_are_not_finite_never_score():
    logits = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [np.nan] * 3], np.float32)
    assert (label_ranks(logits, np.array([0, 0, 1])) == 3).all()


class Darkness(nn.Cell):
    """Logits of a 1 x 1 image with value v: -(v - k)^2 for class k, so the class is the nearest integer."""

    def construct(self, images):
        return -ops.square(images.reshape(-1, 1) - ops.arange(0, 7).astype(images.dtype))


@pytest.mark.parametrize("count", [1, 4, 13, 16])
def test_counts_every_image_once(graph_mode, count):
    rng = np.random.default_rng(count)
    values, labels = rng.integers(0, 7, count), rng.integers(0, 7, count)
    data = ArrayImages(values.astype(np.uint8).reshape(-1, 1, 1), labels, list("abcdefg"))
    # pixels / 255 / (1 / 255): the model sees the pixel value
    loader = Loader(data, Preprocessing((1, 1), (0.0,), (1 / 255,), crop_pct=1.0), 4)
    seen: list[int] = []
    metrics = evaluate(Darkness(), loader, seen.append)
    logits = -(values[:, None] - np.arange(7)) ** 2.0
    order = np.argsort(-logits, 1, kind="stable")
    assert metrics.count == count == sum(seen)
    assert metrics.top1 == pytest.approx(np.mean(order[:, 0] == labels))
    assert metrics.top5 == pytest.approx(np.mean((order[:, :5] == labels[:, None]).any(1)))
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    assert metrics.loss == pytest.approx(expected.item(), rel=1e-4) and metrics.samples_per_sec > 0


def test_puts_the_model_in_evaluation_mode(graph_mode):
    class Net(nn.Cell):
        def construct(self, images):
            return images.reshape(-1, 1) * Tensor(np.ones(7, np.float32))

    net = Net().set_train()
    data = ArrayImages(np.zeros((3, 1, 1), np.uint8), np.zeros(3, int), list("abcdefg"))
    evaluate(net, Loader(data, Preprocessing((1, 1), (0.0,), (1.0,), crop_pct=1.0), 2))
    assert not net.training
