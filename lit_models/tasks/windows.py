"""How many samples share an optimizer step: a batch, or the batches of an accumulation window, over all processes."""

from collections.abc import Sized
from typing import Any, cast

import lightning as L
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler

from datamodules.spec import HasGlobalBatches


def batch_sizes(loader: Any, num_replicas: int) -> list[int] | None:
    """Samples of each batch of the current epoch, over all processes; None where the loader does not tell.

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
    )  # of this process; the others have as many
    full, rest = divmod(total, size)
    sizes = [size] * full + [rest] * (rest > 0 and not loader.batch_sampler.drop_last)
    return [count * num_replicas for count in sizes]


class Windows:
    """The batches of one epoch, and the optimizer steps that they belong to.

    Args:
        trainer: that trains.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        self.epoch = trainer.current_epoch
        self.length = trainer.accumulate_grad_batches
        limit = trainer.num_training_batches
        sizes = batch_sizes(trainer.train_dataloader, trainer.world_size)
        self.sizes = sizes[: int(limit)] if sizes is not None and limit != float("inf") else sizes
        self.num_batches = limit

    def batch_size(self, batch_idx: int) -> int | None:
        """Samples of a batch over all processes; None if unknown."""
        known = self.sizes is not None and batch_idx < len(self.sizes)
        return self.sizes[batch_idx] if self.sizes is not None and known else None

    def share(self, batch_idx: int, batch_size: int) -> float:
        """The weight of a batch's mean loss in its optimizer step: its samples by those of the window. Where the sizes
        of the other batches are unknown, they count as equal.

        Args:
            batch_idx: of the batch in the epoch.
            batch_size: its samples over all processes.
        """
        if self.length == 1:
            return 1.0
        start = batch_idx // self.length * self.length
        if self.sizes is not None and batch_idx < len(self.sizes):
            return batch_size / sum(self.sizes[start : start + self.length])
        return 1 / min(self.length, self.num_batches - start)
