"""What all data modules share: tables that return whole batches, the order of the batches, and the loaders.

A *table* holds a split in memory or in a memory-mapped file: `table[indices]` is one whole batch `(inputs, target)`.
Gathering a batch with one indexing call takes about a tenth of the time of collating single samples.
"""

import copy
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from datamodules.contents.batches import inspected, read_batches
from datamodules.contents.counting import counted, targets_of
from datamodules.contents.facts import Contents
from datamodules.errors import UserError, require_at_least
from datamodules.seeds import seed_from
from datamodules.spec import UNITS, DataSpec, Kind

Batch = tuple[Any, Tensor]
"""`(inputs, target)`. The inputs are a tensor `(B, ...)` or a mapping of such tensors; they go to the network as they
are. The target is int64 `(B,)` for classes, -1 where unknown; float `(B, L)` of 0 and 1 for sets of labels, or float
`(B, D)` for numbers, NaN where unknown."""


POOL = 50
"""Batches among which the samples are sorted by length."""


class Table(Protocol):
    """One split."""

    def __len__(self) -> int:
        """The number of samples."""
        ...

    def __getitem__(self, indices: Tensor, /) -> Batch:
        """The batch of the samples `indices`, int64 `(B,)`."""
        ...


@runtime_checkable
class HasLengths(Protocol):
    """A table whose samples of similar length should share a batch."""

    @property
    def lengths(self) -> Tensor | None:
        """Length of each sample, int64 `(N,)`; None if the order does not depend on it."""
        ...


@runtime_checkable
class HasShare(Protocol):
    """A table in which one sample's row depends on the whole batch, such as its width or its augmentation."""

    def __len__(self) -> int: ...

    def share(self, indices: Tensor, rank: int, num_replicas: int) -> Batch:
        """The rows `rank`, `rank + num_replicas`, and so on, of the batch of the samples `indices`."""
        ...


@runtime_checkable
class HasChanges(Protocol):
    """A table that changes its samples, as by augmentation or noise."""

    def unchanged(self) -> Table:
        """The table with the samples as they are."""
        ...


class SharedTable:
    """A table for one of several processes: it takes the indices of a whole batch, and returns the rows of this
    process.

    Args:
        table: the table.
        rank: number of this process, from 0.
        num_replicas: number of processes.
    """

    def __init__(self, table: HasShare, rank: int, num_replicas: int) -> None:
        self.table, self.rank, self.num_replicas = table, rank, num_replicas

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, indices: Tensor, /) -> Batch:
        return self.table.share(indices, self.rank, self.num_replicas)


class TensorTable:
    """A split whose inputs and targets are whole tensors.

    Args:
        inputs: a tensor `(N, ...)`, or a mapping of such tensors.
        target: for classes, int64 `(N,)`, -1 where unknown; for sets of labels, float `(N, L)` of 0 and 1, or for
            numbers, float `(N, D)`, NaN where unknown. Classes that are all unknown if not given.

    Raises:
        UserError: a target of another type or shape, or another number of targets than of inputs.
    """

    def __init__(self, inputs: Tensor | Mapping[str, Tensor], target: Tensor | None = None) -> None:
        self.inputs: Any = inputs
        sizes = {len(part) for part in (inputs.values() if isinstance(inputs, Mapping) else [inputs])}
        if len(sizes) != 1:
            raise UserError(f"the inputs must have the same number of samples, got {sorted(sizes)}")
        self._len = sizes.pop()
        self.target = torch.full((self._len,), -1) if target is None else target
        _check_target(self.target, num_samples=self._len)

    def __len__(self) -> int:
        return self._len

    def __getitem__(self, indices: Tensor, /) -> Batch:
        if isinstance(self.inputs, Mapping):
            return {name: part[indices] for name, part in self.inputs.items()}, self.target[indices]
        return self.inputs[indices], self.target[indices]

    def targets_of(self, indices: Tensor) -> Tensor:
        """The targets of some samples, without their inputs."""
        return self.target[indices]


def _check_target(target: Tensor, *, num_samples: int) -> None:
    classes = target.dtype == torch.int64 and target.ndim == 1
    if not classes and not (target.is_floating_point() and target.ndim == 2):
        expected = "expected classes, int64 (N,), or labels or numbers, float (N, L)"
        raise UserError(f"the target is {str(target.dtype).removeprefix('torch.')} {tuple(target.shape)}, {expected}")
    if len(target) != num_samples:
        raise UserError(f"there are {len(target)} targets for {num_samples} samples, expected one for each")


class GlobalBatchSampler(DistributedSampler[Tensor]):
    """Yields the sample indices of whole batches, in an order that depends on seed and epoch alone.

    The number of processes changes neither the batches nor how often a sample is counted: no sample is padded, repeated
    or dropped. The last batch may be smaller.

    In training, the processes share each batch: of n processes, process r has the samples r, r + n, and so on. Each
    process takes part in every step; its slice is empty if the batch has fewer samples than there are processes.

    In evaluation, process r has the whole batches r, r + n, and so on. The outputs for a sample then do not depend on
    the number of processes. A batch of another size would be rounded in another way. A process without a batch gets one
    empty batch, because Lightning expects one in each process.

    It is a `DistributedSampler` so that Lightning does not replace it and calls `set_epoch`.

    Args:
        num_samples: samples in the split.
        batch_size: samples in a global batch.
        train: share each batch.
        shuffle: use a new order in each epoch; otherwise the order of the table (by length if `lengths` is given).
        seed: seed of the order.
        rank: number of this process, from 0.
        num_replicas: number of processes.
        lengths: int64 `(N,)`, length of each sample; samples of similar length then share a batch.
        whole: in training, yield the indices of the whole batch, for a `SharedTable`.
        pooled: without `shuffle`, sort by length only inside pools of `POOL` batches, so that results can be put in the
            order of the table after each pool.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        batch_size: int,
        train: bool = False,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
        lengths: Tensor | None = None,
        whole: bool = False,
        pooled: bool = False,
    ) -> None:
        super().__init__(range(num_samples), num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)  # type: ignore[arg-type]
        self.total = num_samples
        self.train = train
        self.batch_size = batch_size
        self.lengths = lengths
        self.whole, self.pooled = whole, pooled
        self.skip = 0
        """Number of batches that the next iteration skips, because a resumed run has trained on them already."""

    def global_batches(self) -> Sequence[Tensor]:
        """The indices of every global batch of the current epoch, in order, each int64 `(batch_size,)` or shorter."""
        generator = torch.Generator().manual_seed(seed_from(self.seed, self.epoch))
        order = torch.randperm(self.total, generator=generator) if self.shuffle else torch.arange(self.total)
        if self.lengths is None:
            return torch.split(order, self.batch_size)
        if not self.shuffle and not self.pooled:
            return torch.split(order[self.lengths.argsort(stable=True, descending=True)], self.batch_size)
        # Sort by length inside pools of batches only, so that batches still differ from epoch to epoch.
        pools = torch.split(order, POOL * self.batch_size)
        in_order = [pool[self.lengths[pool].argsort(stable=True)] for pool in pools]
        batches = [batch for pool in in_order for batch in torch.split(pool, self.batch_size)]
        if not self.shuffle:
            return batches
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def batches_of(self, rank: int) -> Iterator[Tensor]:
        """The samples of process `rank` in each of its batches, in order."""
        batches = self.global_batches()
        if self.train:
            return (batch[rank :: self.num_replicas] for batch in batches)
        return iter((batches[rank :: self.num_replicas] or [batches[0][:0]]) if self.total else [])

    def __iter__(self) -> Iterator[Tensor]:
        """The batches of this process. The order is drawn when the first batch is read, because `set_epoch` comes
        before."""
        skip, self.skip = self.skip, 0
        batches = iter(self.global_batches()) if self.train and self.whole else self.batches_of(self.rank)
        yield from itertools.islice(batches, skip, None)

    def __len__(self) -> int:
        batches = -(-self.total // self.batch_size)
        own = len(range(self.rank, batches, self.num_replicas))
        return batches if self.train else max(own, min(self.total, 1))


class DataModule(L.LightningDataModule):
    """Splits, their loaders and their order.

    To add a dataset, write a subclass that sets `kind`, fills `train_table`, `val_table`, `test_table` and
    `predict_table` in `setup`, and returns its sizes from `spec`.

    Args:
        batch_size: samples in a step, at least 1. In training, the processes share them.
        seed: seed of the order, the validation part and augmentation; the command line passes `--seed_everything`.
        num_workers: worker processes that prepare batches; with 0, the training process prepares them itself.
        inputs: the inputs to predict, as one value or a list; the test split if not given.

    Raises:
        UserError: `batch_size` or `num_workers` is out of its range.
    """

    kind: ClassVar[Kind]
    """The type of one sample: "features", "images" or "tokens". A model states which kinds it accepts."""
    shuffle: ClassVar[bool] = True
    """Whether each epoch has a new training order."""
    init_args: dict[str, Any]
    """The arguments of the constructor, by name."""

    def __init__(
        self, *, batch_size: int, seed: int = 0, num_workers: int = 0, inputs: str | list[str] | None = None
    ) -> None:
        super().__init__()
        require_at_least(1, batch_size=batch_size)
        require_at_least(0, num_workers=num_workers)
        self.batch_size = batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.inputs: list[Any] | None = [inputs] if isinstance(inputs, str) else inputs
        self.train_table: Table | None = None
        self.val_table: Table | None = None
        self.test_table: Table | None = None
        self.predict_table: Table | None = None
        self.input_names: Sequence[str] | None = None
        """The name of each input, once they are read."""
        self.strict_inputs = False
        """Whether an input that cannot be read raises an error. Otherwise it is skipped."""
        self.num_skipped = 0
        """Number of inputs that are not predicted, because they cannot be read."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Records the arguments of the constructor."""
        self = super().__new__(cls)
        with suppress(TypeError):  # the constructor reports wrong arguments
            self.init_args = dict(inspect.signature(cls).bind(*args, **kwargs).arguments)
        return self

    def with_inputs(self, inputs: Sequence[Any]) -> Self:
        """A copy that predicts these inputs. An input that cannot be read raises an error."""
        other = copy.copy(self)
        other.inputs, other.strict_inputs = list(inputs), True
        other.input_names = other.predict_table = None
        return other

    def spec(self) -> DataSpec:
        """The sizes of the data. A model receives those that its constructor names. The method may read the user's
        file, so it is called only once, after the check that model and data fit."""
        return DataSpec()

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation part. No file is read to answer this."""
        return True

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file (or built-in array) that the splits come from, for `results.json`."""
        return {}

    def tables(self) -> dict[str, Table]:
        """The parts that are set up, without augmentation."""
        tables = {"train": self.train_table, "val": self.val_table, "test": self.test_table}
        return {
            name: table.unchanged() if isinstance(table, HasChanges) else table
            for name, table in tables.items()
            if table is not None
        }

    def contents(self, spec: DataSpec) -> Contents:
        """What is in the parts that are set up. No file is read."""
        targets = {name: targets_of(table, spec) for name, table in self.tables().items()}
        return counted(spec, targets, unit=UNITS[self.kind])

    def inspect(self) -> Contents:
        """Sets up all parts, reads all samples, and says what is in them.

        Raises:
            UserError: a mistake in the data.
        """
        self.set_up_all()
        batches = {name: read_batches(table) for name, table in self.tables().items()}
        return inspected(batches, self.spec(), kind=self.kind, unit=UNITS[self.kind])

    def set_up_all(self) -> None:
        """Prepares the files, and sets up the parts for training, validation and testing."""
        self.prepare_data()
        self.setup("fit")
        self.setup("test")

    def predict_names(self) -> Sequence[str]:
        """One name for each sample of `predict_table`: its text, its file, or its position in the test split."""
        return [f"test[{i}]" for i in range(len(self.predict_table or ()))]

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_table, train=True, shuffle=self.shuffle)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self._loader(self.val_table) if self.val_table is not None else []

    def test_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self._loader(self.test_table) if self.test_table is not None else []

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.predict_table, pooled=True)

    def _loader(
        self, table: Table | None, *, train: bool = False, shuffle: bool = False, pooled: bool = False
    ) -> DataLoader[Batch]:
        if table is None:
            raise UserError(f"{type(self).__name__} has no data for this command: its setup fills no table for it")
        rank, num_replicas = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = GlobalBatchSampler(
            len(table),
            batch_size=self.batch_size,
            train=train,
            shuffle=shuffle,
            seed=self.seed,
            rank=rank,
            num_replicas=num_replicas,
            lengths=table.lengths if isinstance(table, HasLengths) else None,
            whole=isinstance(table, HasShare),
            pooled=pooled,
        )
        shared = train and num_replicas > 1 and isinstance(table, HasShare)
        return DataLoader(
            SharedTable(table, rank, num_replicas) if shared else table,  # type: ignore[arg-type]
            sampler=sampler,
            batch_size=None,  # each item of the sampler is a whole batch
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),  # so that a loader does not use the model's generator
        )


def split_validation(num_samples: int, *, num_val: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draws a validation part. Returns the indices of the training and of the validation part, each in increasing
    order.

    Args:
        num_samples: samples to split.
        num_val: samples of the validation part, 0 or more.
        seed: seed of the draw.

    Raises:
        UserError: no sample is left for training.
    """
    assert num_val >= 0
    if num_val >= num_samples:
        raise UserError(
            f"a validation part of {num_val} samples leaves none of {num_samples} for training: make it smaller"
        )
    order = torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed))
    return order[num_val:].sort().values, order[:num_val].sort().values
