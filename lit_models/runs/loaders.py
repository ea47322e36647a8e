"""Prepares the user's DataLoaders for Lightning's loops: positional arguments work, a LitTask evaluates each sample
once, and errors are on one line.

Lightning replaces the sampler of a user's DataLoader to predict, to overfit, and to share the samples among processes.
It then calls the constructor with the recorded positional arguments and its own keyword arguments, so one argument may
be set twice. To share the samples, it repeats some, so that all processes have equally many.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, cast

import lightning as L
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler

from datamodules.base import DataModule
from datamodules.errors import UserError
from lit_models.tasks.task import LitTask

COPIED = (
    "dataset",
    "num_workers",
    "pin_memory",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
    "persistent_workers",
    "pin_memory_device",
)
"""Attributes of a DataLoader that are also settings of it."""


def prepare_loaders(trainer: L.Trainer) -> None:
    """Makes `trainer` handle DataLoaders as described above."""
    loops = cast(Any, trainer)
    evaluation = (loops.fit_loop.epoch_loop.val_loop, loops.validate_loop, loops.test_loop, loops.predict_loop)
    for loop in (loops.fit_loop, *evaluation):
        loop._data_source.dataloader = partial(_with_named_arguments, loop._data_source.dataloader)
    for loop in evaluation:
        loop._verify_dataloader_idx_requirement = partial(_verify, loop._verify_dataloader_idx_requirement)
    connector = loops._data_connector
    connector._prepare_dataloader = partial(_prepare, trainer, connector._prepare_dataloader)


def _with_named_arguments(dataloader: Callable[[], Any]) -> Any:
    """The dataloaders of a module, with positional arguments recorded by name."""
    loaders = dataloader()
    for loader in loaders.flattened if isinstance(loaders, CombinedLoader) else tree_leaves(loaders):
        recorded = vars(loader) if hasattr(loader, "__pl_saved_args") else {}
        names, values = recorded.get("__pl_saved_arg_names", ()), recorded.get("__pl_saved_args", ())
        if recorded and len(names) == len(values):  # `*args` of a class of the user have no names
            recorded["__pl_saved_kwargs"] |= dict(zip(names, values, strict=True))
            recorded |= {"__pl_saved_args": (), "__pl_saved_arg_names": ()}
    return loaders


def _verify(verify: Callable[[], None]) -> None:
    try:
        verify()
    except RuntimeError as error:  # several dataloaders, and a step without `dataloader_idx`
        raise UserError(str(error)) from error


def _prepare(trainer: L.Trainer, prepare: Any, dataloader: object, shuffle: bool, mode: RunningStage) -> object:
    if isinstance(dataloader, DataLoader) and cast(Any, trainer)._data_connector._requires_distributed_sampler(
        dataloader
    ):
        size, several = len(cast(Any, dataloader.sampler)), trainer.world_size
        if mode == RunningStage.PREDICTING and size < several:
            text = f"the data to predict have {size} samples for {several} processes"
            raise UserError(f"{text}: use at most --trainer.devices {max(size, 1)}")
        evaluates = mode in (RunningStage.VALIDATING, RunningStage.SANITY_CHECKING, RunningStage.TESTING)
        if evaluates and isinstance(trainer.lightning_module, LitTask) and can_be_shared(dataloader):
            return shared(dataloader, rank=trainer.global_rank, num_processes=several)
    return prepare(dataloader, shuffle, mode)


def can_be_shared(dataloader: "DataLoader[Any]") -> bool:
    """Whether a DataLoader can be built again from its attributes: it is one of torch's own classes, and reads all
    samples."""
    usual = type(dataloader) is DataLoader and type(dataloader.batch_sampler) is BatchSampler
    return usual and dataloader.batch_size is not None and not dataloader.drop_last


def shared(dataloader: "DataLoader[Any]", *, rank: int, num_processes: int) -> "DataLoader[Any]":
    """A DataLoader with the samples of one process; each sample is in one process. All processes have equally many
    batches, because modules with buffers wait for each other in each batch. The last batches may be smaller, or
    empty."""
    sampler = dataloader.sampler
    if isinstance(sampler, RandomSampler | SequentialSampler):
        sampler = SequentialSampler(cast(Any, dataloader.dataset))
    assert dataloader.batch_size is not None, "a BatchSampler has a batch size"
    batches = EvenBatches(sampler, dataloader.batch_size, rank=rank, num_processes=num_processes)
    collate = Collate(dataloader.collate_fn, dataloader.dataset, next(iter(sampler), 0))
    settings = {name: getattr(dataloader, name) for name in COPIED}
    return DataLoader(**settings, batch_sampler=batches, collate_fn=collate)


class EvenBatches(Sampler[list[int]]):
    """Yields batches of every `num_processes`-th sample, equally many in each process.

    Args:
        sampler: the samples of all processes, in the same order in each.
        batch_size: samples in a batch of one process.
        rank: number of this process.
        num_processes: number of processes that share the samples.
    """

    def __init__(self, sampler: Any, batch_size: int, *, rank: int, num_processes: int) -> None:
        self.sampler, self.batch_size = sampler, batch_size
        self.rank, self.num_processes = rank, num_processes

    def __len__(self) -> int:
        return -(-len(self.sampler) // (self.num_processes * self.batch_size))

    def __iter__(self) -> Iterator[list[int]]:
        samples = islice(self.sampler, self.rank, None, self.num_processes)
        for _ in range(len(self)):
            yield list(islice(samples, self.batch_size))


class Collate:
    """Makes a batch of samples, also an empty one.

    Args:
        collate: the user's function.
        dataset: the samples.
        index: index of any sample, to see the form of a batch.
    """

    def __init__(self, collate: Any, dataset: Any, index: Any) -> None:
        self.collate, self.dataset, self.index = collate, dataset, index

    def __call__(self, samples: Any) -> Any:
        if len(samples):
            return self.collate(samples)
        return tree_map_only(Tensor, lambda tensor: tensor[:0], self.collate([self.dataset[self.index]]))


def has_test_loader(model: L.LightningModule, data: L.LightningDataModule | None) -> bool:
    """Whether there may be a test split; Lightning refuses data that never define one."""
    return is_overridden("test_dataloader", data if data is not None else model)


def missing_part(trainer: L.Trainer, command: str, owner: object) -> str | None:
    """Why a `validate` or `test` had no batch; None if it had one.

    Args:
        trainer: after the command.
        command: "validate" or "test".
        owner: the data module, or the module that has the loaders.
    """
    if any(trainer.num_test_batches if command == "test" else trainer.num_val_batches):
        return None
    if command == "test":
        return f"{type(owner).__name__} has no test split here"
    setting = " (see its num_val or val_fraction)" if isinstance(owner, DataModule) else ""
    return f"{type(owner).__name__} has no validation part here{setting}"
