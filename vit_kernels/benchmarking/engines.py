"""What can be timed: each engine builds the same model from the same weights and offers the same two steps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

if TYPE_CHECKING:  # the torch engine's process must not load MindSpore, which this import would
    from vit_kernels.models import ViTConfig

PEERS = ("stock", "reference", "torch")
_LEARNING_RATE, _WEIGHT_DECAY = 1e-4, 0.05


class Engine:
    """One implementation.

    Attributes:
        logits: () -> (B, num_classes) array, an inference step.
        train_step: () -> loss before the update, a training step: forward, backward, AdamW.
        facts: what to report about it ('isa', 'threads', 'backend'; only what applies).
    """

    def __init__(self, logits: Callable[[], np.ndarray], train_step: Callable[[], float], facts: dict[str, Any]):
        self.logits, self.train_step, self.facts = logits, train_step, facts


def make(name: str, config: ViTConfig, weights: dict[str, np.ndarray], images: np.ndarray, targets: np.ndarray,
         backend: str = "fused") -> Engine:
    """Build an engine.

    Args:
        name: 'fused' (this package's kernels), 'reference' (this package on stock operators), 'stock' (MindSpore's layers) or
            'torch'.
        config: no dropping, registers or LayerScale; mean pooling.
        weights: timm's names -> fp32 arrays.
        images: (B, C, H, W) fp32.
        targets: (B, num_classes) fp32, rows sum to one.
        backend: which kernels 'fused' means.

    Raises:
        ImportError: 'torch' without PyTorch.
    """
    if name == "torch":
        return _torch(config, weights, images, targets)
    return _mindspore(name, config, weights, images, targets, backend)


def _mindspore(name, config, weights, images, targets, backend) -> Engine:
    import mindspore as ms
    from mindspore import Tensor, nn

    from vit_kernels.models import ViTForImageClassification
    from vit_kernels.ops import _library
    from vit_kernels.training.optimizer import AdamW
    from vit_kernels.training.param_groups import parameter_groups
    from vit_kernels.training.step import TrainStep

    ms.set_context(mode=ms.GRAPH_MODE)
    if name == "stock":
        from vit_kernels.benchmarking.stock import StockViT

        model = StockViT(config, weights)
        facts: dict[str, Any] = {"backend": "stock"}
    else:
        model = ViTForImageClassification(config, backend="reference" if name == "reference" else backend)
        for parameter in model.get_parameters():
            parameter.set_data(Tensor(weights[parameter.name]))
        facts = {"backend": model.backend}
    if facts["backend"] == "cpu":
        facts.update(isa=_library.isa(), threads=_library.threads())
    elif ms.get_context("device_target") == "CPU":
        facts["threads"] = len(os.sched_getaffinity(0))  # the size of MindSpore's own pool
    x, y = Tensor(images), Tensor(targets)
    steps: dict[str, nn.Cell] = {}

    def logits() -> np.ndarray:
        model.set_train(False)
        return model(x).asnumpy()

    def train_step() -> float:
        if not steps:
            if name == "stock":
                optimizer = nn.AdamWeightDecay(model.trainable_params(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
            else:
                optimizer = AdamW(parameter_groups(model, _WEIGHT_DECAY), _LEARNING_RATE, backend=model.backend)
            steps["step"] = TrainStep(model, optimizer)
        return float(steps["step"](x, y).asnumpy())

    return Engine(logits, train_step, facts)


def _torch(config, weights, images, targets) -> Engine:
    import torch

    from vit_kernels.benchmarking.torch_vit import TorchViT

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = TorchViT(config, weights)
    x, y = torch.from_numpy(images), torch.from_numpy(targets)
    optimizers: list[torch.optim.Optimizer] = []

    def logits() -> np.ndarray:
        model.eval()
        with torch.inference_mode():
            return model(x).numpy()

    def train_step() -> float:
        model.train()
        if not optimizers:
            optimizers.append(torch.optim.AdamW(model.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY, fused=True))
        optimizers[0].zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizers[0].step()
        return loss.item()

    return Engine(logits, train_step, {"isa": torch.backends.cpu.get_cpu_capability().lower(),
                                       "threads": torch.get_num_threads()})


def random_weights(config: ViTConfig, seed: int) -> dict[str, np.ndarray]:
    """Weights under timm's names with which activations and logits are of order one, as in a trained model."""
    rng = np.random.default_rng(seed)
    width, hidden = config.embed_dim, config.intermediate_size
    shapes = {"patch_embed.proj.weight": (width, config.in_chans, config.patch_size, config.patch_size),
              "patch_embed.proj.bias": (width,), "cls_token": (1, 1, width), "pos_embed": (1, 1 + config.num_patches, width)}
    for i in range(config.depth):
        for part, (rows, columns) in {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (hidden, width),
                                      "mlp.fc2": (width, hidden)}.items():
            shapes[f"blocks.{i}.{part}.weight"], shapes[f"blocks.{i}.{part}.bias"] = (rows, columns), (rows,)
        for norm in ("norm1", "norm2"):
            shapes[f"blocks.{i}.{norm}.weight"] = shapes[f"blocks.{i}.{norm}.bias"] = (width,)
    shapes.update({"fc_norm.weight": (width,), "fc_norm.bias": (width,), "head.weight": (config.num_classes, width),
                   "head.bias": (config.num_classes,)})

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape, dtype=np.float32)
        if len(shape) == 1:
            return np.float32(0.02) * noise + np.float32(name.endswith("weight"))
        fan_in = int(np.prod(shape[1:])) if name.endswith("weight") else 2500  # 1 / sqrt(2500) = 0.02
        return noise / np.float32(fan_in ** 0.5)

    return {name: draw(name, shape) for name, shape in shapes.items()}
