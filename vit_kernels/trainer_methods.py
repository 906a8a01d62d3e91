"""The methods of MindFormers' Trainer beside train, finetune, evaluate and predict."""

from __future__ import annotations

from typing import Any

from mindspore import nn

from vit_kernels.errors import UsageError
from vit_kernels.training.run_folder import find_checkpoint


class TrainerMethods:
    """Data loaders, the last checkpoint, recomputation. What configures several devices or experts is accepted where it asks
    for one, so that scripts which spell out the defaults run."""

    settings: Any
    recomputes = False

    def get_train_dataloader(self) -> Any:
        """An iterable with `len` and `epoch()`: the training batches, prepared and mixed as `train` sees them.

        Raises:
            UsageError: there is no train_dataset.
        """
        images, classes = self._data("train_dataset")
        batch = self._batch_size(images)
        recipe = self.settings.recipe(self.settings.config(num_classes=len(classes)), batch, 1)
        return self._train_loader(images, batch, classes, self._preprocessing(None, recipe.preprocessing)[0], recipe)

    def get_eval_dataloader(self) -> Any:
        """The same of the evaluation images: every one, in order, none mixed.

        Raises:
            UsageError: there is no eval_dataset.
        """
        images, classes = self._data("eval_dataset")
        configured = self.settings.preprocessing(self.settings.config())
        return self._eval_loader(self.eval_dataset, images, self._preprocessing(None, configured)[0], classes)

    def get_last_checkpoint(self) -> str | None:
        """The file that `True` means as a checkpoint argument: the newest run's in `output_dir`; None when there is none."""
        try:
            return str(find_checkpoint(None, self.settings.output_dir))
        except UsageError:
            return None

    def set_recompute_config(self, recompute: bool = False, parallel_optimizer_comm_recompute: bool = False,
                             mp_comm_recompute: bool = True, recompute_slice_activation: bool = False) -> None:
        """Whether blocks keep only their input for the backward pass and compute the rest again: less memory, a third more
        work. The other arguments are about several devices.

        Raises:
            UsageError: another argument than `recompute` is not at its default.
        """
        _refuse("set_recompute_config", {"parallel_optimizer_comm_recompute": parallel_optimizer_comm_recompute,
                                         "recompute_slice_activation": recompute_slice_activation,
                                         "mp_comm_recompute": not mp_comm_recompute})
        self.recomputes = bool(recompute)

    def set_parallel_config(self, data_parallel: int = 1, model_parallel: int = 1, expert_parallel: int = 1,
                            pipeline_stage: int = 1, micro_batch_interleave_num: int = 1, micro_batch_num: int = 1,
                            use_seq_parallel: bool = False, optimizer_shard: bool = False,
                            gradient_aggregation_group: int = 4, vocab_emb_dp: bool = True) -> None:
        """One device: every degree of parallelism is 1.

        Raises:
            UsageError: another value is asked for.
        """
        degrees = {"data_parallel": data_parallel, "model_parallel": model_parallel, "expert_parallel": expert_parallel,
                   "pipeline_stage": pipeline_stage, "micro_batch_interleave_num": micro_batch_interleave_num,
                   "micro_batch_num": micro_batch_num}
        _refuse("set_parallel_config", {name: value for name, value in degrees.items() if value != 1}
                | {"use_seq_parallel": use_seq_parallel, "optimizer_shard": optimizer_shard})

    def set_moe_config(self, expert_num: int = 1, **others: Any) -> None:
        """A plain ViT has one expert: its MLP.

        Raises:
            UsageError: expert_num is not 1.
        """
        _refuse("set_moe_config", {"expert_num": expert_num} if expert_num != 1 else {})

    def _recomputing(self, model: nn.Cell) -> None:
        if self.recomputes:
            for block in model.blocks:
                block.recompute()


def _refuse(method: str, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value:
            raise UsageError(f"Trainer.{method}: {name}={value!r} has no effect here, where there is one device and one MLP per "
                             "block; leave it out")
