"""Counts the samples of an optimizer step over all processes: those of a batch, or of all batches of an accumulation
window."""

from collections.abc import Sized
from typing import Any, cast

import lightning as L
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

from datamodules.spec import HasGlobalBatches


def batch_sizes(loader: Any, num_replicas: int) -> list[int] | None:
    """Number of samples in each batch of the current epoch, over all processes; None if it is unknown.

    Args:
        loader: the training loader of this process.
        num_replicas: number of processes.
    """
    if not isinstance(loader, DataLoader):
        return None
    if isinstance(loader.sampler, HasGlobalBatches) and loader.batch_size is None:
        return [len(batch) for batch in loader.sampler.global_batches()]
    if type(loader.batch_sampler) is not BatchSampler or not hasattr(loader.sampler, "__len__"):
        return None
    if num_replicas > 1 and not isinstance(loader.sampler, DistributedSampler):
        return None
    total, size = (
        len(cast(Sized, loader.sampler)),
        loader.batch_sampler.batch_size,
    )  # of this process; the others have equally many
    full, rest = divmod(total, size)
    sizes = [size] * full + [rest] * (rest > 0 and not loader.batch_sampler.drop_last)
    return [count * num_replicas for count in sizes]


class Windows:
    """The batches of one epoch, and the optimizer steps that they belong to.

    Args:
        trainer: the Trainer of this process.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        self.epoch = trainer.current_epoch
        self.length = trainer.accumulate_grad_batches
        self.num_batches = trainer.num_training_batches
        self.sizes: list[int] | None = None
        """Samples of each batch over all processes; None if unknown. One process needs them only where it accumulates
        gradients."""
        if self.length > 1 or trainer.world_size > 1:
            sizes, limit = batch_sizes(trainer.train_dataloader, trainer.world_size), self.num_batches
            self.sizes = sizes[: int(limit)] if sizes is not None and limit != float("inf") else sizes

    def batch_size(self, batch_idx: int) -> int | None:
        """Number of samples of a batch, over all processes; None if unknown."""
        known = self.sizes is not None and batch_idx < len(self.sizes)
        return self.sizes[batch_idx] if self.sizes is not None and known else None

    def share(self, batch_idx: int, batch_size: int) -> float:
        """The weight of a batch's mean loss in its optimizer step: the number of its samples divided by that of the
        window. Unknown sizes of other batches are assumed to be equal.

        Args:
            batch_idx: index of the batch in the epoch.
            batch_size: number of its samples, over all processes.
        """
        if self.length == 1:
            return 1.0
        start = batch_idx // self.length * self.length
        if self.sizes is not None and batch_idx < len(self.sizes):
            return batch_size / sum(self.sizes[start : start + self.length])
        return 1 / self.batches(batch_idx)

    def batches(self, batch_idx: int) -> float:
        """Number of batches in the optimizer step that a batch belongs to."""
        return min(self.length, self.num_batches - batch_idx // self.length * self.length)
