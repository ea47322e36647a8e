"""Splits whose sizes fit neither the batch nor two processes, and a module that returns what it reads."""

from typing import ClassVar

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from datamodules import DataModule, DataSpec, TensorTable
from datamodules.spec import Kind


class Ragged(DataModule):
    """Random numbers and classes; all splits are the same.

    Args:
        num_classes: number of classes.
        size: samples of each split.
        batch_size: samples in a step, over all processes.
        seed: of the order.
    """

    kind: ClassVar[Kind] = "features"

    def __init__(self, *, num_classes: int = 3, size: int = 23, batch_size: int = 7, seed: int = 0) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        self.num_classes, self.size = num_classes, size

    def spec(self) -> DataSpec:
        names = [f"c{i}" for i in range(self.num_classes)]
        return DataSpec(num_features=3, num_classes=self.num_classes, class_names=names)

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(1)
        points = torch.randn(self.size, 3, generator=generator)
        target = torch.randint(self.num_classes, (self.size,), generator=generator)
        self.train_table = self.val_table = self.test_table = self.predict_table = TensorTable(points, target)


class Echo(L.LightningModule):
    """Predicts its input and the name of each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor | list[str]]:
        return {"number": batch[0], "name": [f"sample {int(number)}" for number in batch[0][:, 0]]}


class Numbered(L.LightningDataModule):
    """Plain loader over 0, 1, 2, …"""

    def __init__(self, size: int = 23) -> None:
        super().__init__()
        self.size = size

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(torch.arange(float(self.size))[:, None]), batch_size=5)
