"""What every dataset here shares: batches gathered whole, their order, and what the data tells the model.

A *table* is a split held in memory or in a memory-mapped file: `table[indices]` is one whole batch `(inputs, target)`.
Gathering a batch with one indexing call costs about a tenth of collating single samples.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

Batch = tuple[Tensor, Tensor]


class Table(Protocol):
    """One split. `indices`: int64 `(B,)`; a batch is `(inputs, target)`, target int64 `(B,)`, -1 where unknown."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Tensor, /) -> Batch: ...


class TensorTable:
    """A split whose inputs and targets are whole tensors.

    Args:
        inputs: `(N, ...)`.
        target: int64 `(N,)`; -1 everywhere when not given.
    """

    def __init__(self, inputs: Tensor, target: Tensor | None = None) -> None:
        self.inputs = inputs
        self.target = torch.full((len(inputs),), -1) if target is None else target

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, indices: Tensor, /) -> Batch:
        return self.inputs[indices], self.target[indices]


class GlobalBatchSampler(DistributedSampler[Tensor]):
    """Yields the sample indices of whole batches; the order is a function of seed and epoch alone.

    Every process sees its slice of the same global batch, so the number of processes changes neither the batches nor
    how often a sample is counted: nothing is padded, repeated or dropped. The last batch may be short. In training
    each process takes part in every step, with an empty slice where a short batch has fewer samples than processes;
    in evaluation empty slices are left out.

    It is a `DistributedSampler` so that Lightning keeps it as it is and calls `set_epoch`.

    Args:
        num_samples: samples in the split.
        batch_size: samples in a global batch, over all processes.
        train: keep empty slices, so that every process takes part in every step.
        shuffle: a new order each epoch; otherwise the order of the table (by length where `lengths` is given).
        seed: of the order.
        rank: of this process.
        num_replicas: number of processes.
        lengths: int64 `(N,)`, tokens of each sample; samples of like length then share a batch.
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
    ) -> None:
        super().__init__(range(num_samples), num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)  # type: ignore[arg-type]
        self.total = num_samples
        self.train = train
        self.batch_size = batch_size
        self.lengths = lengths

    def global_batches(self) -> Sequence[Tensor]:
        """The indices of every global batch of the current epoch, in order, each int64 `(<= batch_size,)`."""
        generator = torch.Generator().manual_seed(seed_from(self.seed, self.epoch))
        order = torch.randperm(self.total, generator=generator) if self.shuffle else torch.arange(self.total)
        if self.lengths is None:
            return torch.split(order, self.batch_size)
        if not self.shuffle:
            return torch.split(order[self.lengths.argsort(stable=True, descending=True)], self.batch_size)
        # Sort by length inside pools of 50 batches only, so that batches still differ from epoch to epoch.
        pools = torch.split(order, 50 * self.batch_size)
        in_order = [pool[self.lengths[pool].argsort(stable=True)] for pool in pools]
        batches = [batch for pool in in_order for batch in torch.split(pool, self.batch_size)]
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def batches_of(self, rank: int) -> Iterator[Tensor]:
        """The slices that process `rank` sees, in order."""
        for batch in self.global_batches():
            part = batch[rank :: self.num_replicas]
            if self.train or len(part):
                yield part

    def __iter__(self) -> Iterator[Tensor]:
        return self.batches_of(self.rank)

    def __len__(self) -> int:
        full, rest = divmod(self.total, self.batch_size)
        if self.train:
            return full + (rest > 0)
        return full * (self.rank < self.batch_size) + (self.rank < rest)  # a slice is empty beyond a batch's samples


class DataModule(L.LightningDataModule):
    """Splits, loaders and order. A dataset family fills `train_table`, `val_table`, `test_table`, `predict_table`.

    To add data: subclass, set `kind`, fill the tables in `setup`, answer `model_args`.

    Args:
        batch_size: samples in a step, over all processes.
        seed: of the order, of the validation part and of augmentation; the command line passes `--seed_everything`.
        num_workers: processes that prepare batches beside the training process; 0 prepares them in it.

    Raises:
        ValueError: `batch_size` below 1 or `num_workers` below 0.
    """

    kind: ClassVar[str]
    """What one sample is: "features", "images" or "tokens". A model says which kinds it accepts."""
    shuffle: ClassVar[bool] = True
    """Whether the training order is new in each epoch."""

    def __init__(self, *, batch_size: int, seed: int = 0, num_workers: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if num_workers < 0:
            raise ValueError(f"num_workers must be at least 0, got {num_workers}")
        self.batch_size = batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.train_table: Table | None = None
        self.val_table: Table | None = None
        self.test_table: Table | None = None
        self.predict_table: Table | None = None

    def model_args(self) -> dict[str, Any]:
        """Arguments of the model that the data decides, by name: `num_classes`, `vocab_size`, … A model takes those
        that its constructor names. May read the user's file, and so is asked once, after the pair was checked."""
        return {}

    @property
    def has_validation(self) -> bool:
        """Whether there will be a validation part; known before any file is read."""
        return True

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file (or built-in array) that the splits come from, for `results.json`."""
        return {}

    def predict_names(self) -> Sequence[str]:
        """One name a sample of `predict_table`: the text, the file name, or the place in the test split."""
        return [f"test[{i}]" for i in range(len(self.predict_table or ()))]

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_table, train=True, shuffle=self.shuffle)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self._loader(self.val_table) if self.val_table is not None else []

    def test_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self._loader(self.test_table) if self.test_table is not None else []

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.predict_table)

    def _loader(self, table: Table | None, *, train: bool = False, shuffle: bool = False) -> DataLoader[Batch]:
        if table is None:
            raise ValueError(f"{type(self).__name__} has nothing for this command: its setup fills no table for it")
        sampler = GlobalBatchSampler(
            len(table),
            batch_size=self.batch_size,
            train=train,
            shuffle=shuffle,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            num_replicas=self.trainer.world_size if self.trainer else 1,
            lengths=getattr(table, "lengths", None),
        )
        return DataLoader(
            table,  # type: ignore[arg-type]
            sampler=sampler,
            batch_size=None,  # the sampler's item is a whole batch
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed),  # of its own: a loader draws nothing from the model's
        )


def seed_from(*numbers: int) -> int:
    """One seed of several numbers. Torch's CPU generator reads the lowest 32 bits of a seed, and no others."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:4], "big")


def array_checksum(*arrays: Tensor) -> str:
    """SHA-256 over the bytes of arrays that come from no file."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.numpy().tobytes())
    return digest.hexdigest()


def split_validation(num_samples: int, *, num_val: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and the validation part, each in rising order, drawn once by `seed`.

    Raises:
        ValueError: `num_val` leaves no training sample.
    """
    if not 0 <= num_val < num_samples:
        raise ValueError(
            f"the validation part must leave a training sample: {num_val} of {num_samples} samples asked for"
        )
    order = torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed))
    return order[num_val:].sort().values, order[:num_val].sort().values
