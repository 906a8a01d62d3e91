"""The model as it is exported: stock operators, evaluation mode, any batch size, and the outputs that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

import mindspore as ms
from mindspore import Tensor

from vit_kernels.errors import UsageError
from vit_kernels.exporting import INPUT, OUTPUTS
from vit_kernels.models import ViTConfig, ViTForImageClassification, ViTModel


class ExportedViT(ViTForImageClassification):
    """A classifier, or with num_classes=0 a backbone, on the reference backend.

    Args:
        config: the architecture; dropping is switched off.
        returns: keys of `OUTPUTS`; empty for the logits, or the features of a backbone.

    Raises:
        UsageError: logits of a backbone, or an output that does not exist or is named twice.
    """

    def __init__(self, config: ViTConfig, returns: Sequence[str] = ()):
        returns = tuple(returns) or ("logits" if config.num_classes else "features",)
        if set(returns) - set(OUTPUTS) or len(set(returns)) != len(returns):
            raise UsageError(f"returns={', '.join(returns)}: expected some of {', '.join(OUTPUTS)}, each once")
        if "logits" in returns and not config.num_classes:
            raise UsageError("returns=logits: the model is a backbone without a classifier; ask for features or tokens")
        super().__init__(config.replace(drop_rate=0.0, attention_dropout_rate=0.0, drop_path_rate=0.0,
                                        checkpoint_name_or_path=None), backend="reference")
        self.returns = returns
        self.set_train(False)

    def inputs(self, batch: int | None) -> dict[str, tuple[int | str, ...]]:
        """Name -> shape; 'batch' where the batch size is free."""
        return {INPUT: (batch or "batch", self.config.in_chans, *self.config.image_hw)}

    def outputs(self, batch: int | None) -> dict[str, tuple[int | str, ...]]:
        """Name -> shape, in the order of `returns`."""
        rows, config = batch or "batch", self.config
        shapes = {"logits": (rows, config.num_classes), "features": (rows, config.embed_dim),
                  "tokens": (rows, config.num_tokens, config.embed_dim)}
        return {name: shapes[name] for name in self.returns}

    def _check_images(self, images: Tensor) -> None:
        """Nothing: a `raise` would be part of the graph when the batch size is not known, and MINDIR cannot reload one."""

    def construct(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """images (B, C, H, W) float32, normalised -> one tensor, or a tuple in the order of `returns`."""
        tokens = self.forward_features(images)
        found = ()
        for name in self.returns:
            if name == "tokens":
                found += (tokens,)
            elif name == "features":
                found += (self.pool(tokens),)
            else:
                found += (self.forward_head(tokens),)
        if len(found) == 1:
            return found[0]
        return found


def exported_copy(model: ViTModel, returns: Sequence[str] = ()) -> ExportedViT:
    """The same weights, in fp32, in a cell to be exported; the model itself stays as it is."""
    config = model.config if model.classifies else model.config.replace(num_classes=0)
    copy = ExportedViT(config, returns)
    weights = dict(model.parameters_and_names())  # by their place in the model: a cell around it may have renamed them
    for parameter in copy.get_parameters():
        parameter.set_data(Tensor(weights[parameter.name].astype(ms.float32).asnumpy()))
    return copy
