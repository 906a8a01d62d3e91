"""Changing a finished model: another classifier, another image size. What was learned stays."""

from __future__ import annotations

import gc

from mindspore import Parameter, Tensor, nn

from vit_kernels.checkpoint.resize import resize_pos_embed
from vit_kernels.models.vit.initialization import initialize
from vit_kernels.models.vit.layers import LayerNorm


class Adaptation:
    """Methods of `ViTModel` that replace parameters.

    Parameters that are replaced are new objects: make optimizers and training steps afterwards. Graphs that were compiled
    with the old ones are compiled again.
    """

    def set_image_size(self, size: int | tuple[int, int], antialias: bool = False) -> None:
        """Take images of another size from now on; position embeddings are resampled as when a checkpoint is loaded.

        Args:
            size: side of a square, or (height, width), pixels; multiples of the patch size.
            antialias: resample as timm does instead of as MAE does; matters only when shrinking.

        Raises:
            ValueError: not such a size; the model is as it was.
        """
        config = self.config.replace(image_size=size)
        if config.grid != self.config.grid:
            old = self.pos_embed
            values = resize_pos_embed(old.asnumpy(), self.config.grid, config.grid, antialias=antialias)
            self.pos_embed = Parameter(Tensor(values), name=old.name, requires_grad=old.requires_grad)
        self.config = config
        self._forget_graphs()

    def _forget_graphs(self) -> None:
        # MindSpore knows a graph again by the shapes of its arguments alone, and would go on with the old parameters. Cells
        # around the model have graphs as well, and a cell does not know what it is part of.
        for cell in [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Cell)]:
            if cell.compile_cache and any(inner is self for _, inner in cell.cells_and_names()):
                cell.compile_cache.clear()


class ClassifierAdaptation(Adaptation):
    """Methods of `ViTForImageClassification` that replace parameters."""

    def reset_classifier(self, num_classes: int, global_pool: str | None = None, seed: int | None = None) -> None:
        """Put a new classifier on the model, with the starting values of a fresh one.

        Args:
            num_classes: its outputs; 0 for none, so that the model gives its pooled features.
            global_pool: 'token' or 'avg'; None keeps it. Another one comes with a norm of its own, which starts anew too.
            seed: of the starting weights; None takes MindSpore's global seed, else 0.

        Raises:
            ValueError: something else; the model is as it was.
        """
        changes = {} if global_pool is None else {"global_pool": global_pool}
        if isinstance(num_classes, bool):
            raise ValueError(f"num_classes={num_classes!r}, expected an integer >= 0")
        config = self.config.replace(num_classes=num_classes, **changes)
        if config.global_pool != self.config.global_pool:
            old, new = ("norm", "fc_norm") if config.global_pool == "avg" else ("fc_norm", "norm")
            delattr(self, old)
            setattr(self, new, LayerNorm(config.embed_dim, config.layer_norm_eps, self.backend).set_train(self.training))
            self.averages = config.global_pool == "avg"
        if self.config.num_classes:
            del self.head  # after the norm in the order of parameters, whether that is new or not
        self.config = config
        self._build_head()
        if config.num_classes:
            self.head.set_train(self.training)
        prefix = self.cls_token.name[:-len("cls_token")]  # a cell around the model may have put its own name in front
        for name, parameter in self.parameters_and_names():
            parameter.name = prefix + name
        initialize(self, seed, ("head.weight",))
        self._forget_graphs()
