"""Two clouds of points in a plain LightningDataModule; the last batch of each split is smaller."""

from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset


class Points(L.LightningDataModule):
    """96 + 21 + 21 points. Class 1 lies to the right of class 0."""

    def __init__(self, batch_size: int = 8, num_classes: int = 2) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.num_classes = num_classes

    def split(self, size: int, seed: int) -> TensorDataset:
        generator = torch.Generator().manual_seed(seed)
        target = torch.arange(size) % 2
        points = torch.randn(size, 2, generator=generator)
        points[:, 0] += 4.0 * target - 2.0
        return TensorDataset(points, target)

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(self.split(96, 0), batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(self.split(21, 1), batch_size=self.batch_size)

    def test_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(self.split(21, 2), batch_size=self.batch_size)

    def predict_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(self.split(21, 2), batch_size=self.batch_size)


class Loaders(Points):
    """Two dataloaders for each split but the training one."""

    def val_dataloader(self) -> Any:
        return [super().val_dataloader(), super().test_dataloader()]

    def test_dataloader(self) -> Any:
        return self.val_dataloader()

    def predict_dataloader(self) -> Any:
        numbers = [torch.arange(10.0).reshape(5, 2), torch.arange(100.0, 106.0).reshape(3, 2)]
        return [DataLoader(TensorDataset(part), batch_size=2) for part in numbers]


class Positional(Points):
    """Loaders whose arguments are given by position."""

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        return DataLoader(self.split(96, 0), 16, True)


class Ordered(Points):
    """Shuffled by a random generator of the loader's own."""

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        generator = torch.Generator().manual_seed(7)
        return DataLoader(self.split(96, 0), batch_size=self.batch_size, shuffle=True, generator=generator)


class Stream(IterableDataset[Any]):
    """The samples of a data set in a random order, one after the other."""

    def __init__(self, samples: TensorDataset) -> None:
        self.samples = samples

    def __iter__(self) -> Any:
        return (self.samples[i] for i in torch.randperm(len(self.samples)).tolist())


class Streamed(Points):
    """Data without a length, in an order that the global random generator draws."""

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Stream(self.split(96, 0)), batch_size=self.batch_size)


class Remembered(Points):
    """Saves its settings."""

    def __init__(self, batch_size: int = 8, num_classes: int = 2) -> None:
        super().__init__(batch_size, num_classes)
        self.save_hyperparameters()


class Precise(Points):
    """Points in double precision."""

    def split(self, size: int, seed: int) -> TensorDataset:
        points, target = super().split(size, seed).tensors
        return TensorDataset(points.double(), target)
