"""The loss and the training step as cells, so that GRAPH_MODE compiles forward, backward and update into one graph."""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor, nn, ops


class SoftTargetCrossEntropy(nn.Cell):
    """Mean over the batch of -sum(target * log_softmax(logits)), in fp32; takes smoothed and mixed targets."""

    def construct(self, logits: Tensor, targets: Tensor) -> Tensor:
        """logits, targets (B, C) -> scalar."""
        log_probabilities = ops.log_softmax(ops.cast(logits, ms.float32), -1)
        return -ops.sum(log_probabilities * ops.cast(targets, ms.float32)) / logits.shape[0]


class ModelWithLoss(nn.Cell):
    """images, targets -> loss."""

    def __init__(self, model: nn.Cell, loss: nn.Cell):
        super().__init__(auto_prefix=False)
        self.model, self.loss = model, loss

    def construct(self, images: Tensor, targets: Tensor) -> Tensor:
        return self.loss(self.model(images), targets)


class TrainStep(nn.Cell):
    """One optimizer update.

    Args:
        model: images -> logits.
        optimizer: takes the gradients of its own parameters.
        loss: (logits, targets) -> scalar; default soft-target cross entropy.
        clip_norm: gradients of a larger global norm are scaled down to it; 0 for no clipping.
    """

    def __init__(self, model: nn.Cell, optimizer: nn.Optimizer, loss: nn.Cell | None = None, clip_norm: float = 0.0):
        super().__init__(auto_prefix=False)
        self.network = ModelWithLoss(model, loss or SoftTargetCrossEntropy())
        self.network.set_train()
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.value_and_grad = ms.value_and_grad(self.network, None, optimizer.parameters)

    def construct(self, images: Tensor, targets: Tensor) -> Tensor:
        """images (B, C, H, W), targets (B, classes) float -> the loss before the update, scalar."""
        loss, gradients = self.value_and_grad(images, targets)
        if self.clip_norm > 0:
            gradients = ops.clip_by_global_norm(gradients, self.clip_norm)
        return ops.depend(loss, self.optimizer(gradients))
