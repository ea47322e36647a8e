"""Regression on a CSV of numbers: a LightningDataModule that reads the file and says what its targets are."""

import csv
from pathlib import Path
from typing import ClassVar

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from datamodules import DataSpec
from datamodules.spec import Kind


class Houses(L.LightningDataModule):
    """Columns of numbers; the last one is the target. The last fifth of the rows is the test split, the fifth before it
    the validation part.

    Args:
        file: the CSV, with a header.
        batch_size: rows in a step.
    """

    kind: ClassVar[Kind] = "features"

    def __init__(self, file: str, batch_size: int = 16) -> None:
        super().__init__()
        self.file, self.batch_size = Path(file), batch_size
        self.columns: list[str] = []
        self.numbers = torch.empty(0)

    def read(self) -> None:
        with self.file.open(newline="", encoding="utf-8") as file:
            self.columns, *rows = csv.reader(file)
        self.numbers = torch.tensor([[float(cell) for cell in row] for row in rows])

    def spec(self) -> DataSpec:
        self.read()
        names = self.columns[-1:]
        return DataSpec(task="regression", num_features=len(self.columns) - 1, num_targets=1, target_names=names)

    def setup(self, stage: str) -> None:
        self.read()

    def loader(self, start: float, stop: float, *, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
        rows = self.numbers[int(start * len(self.numbers)) : int(stop * len(self.numbers))]
        return DataLoader(TensorDataset(rows[:, :-1], rows[:, -1]), batch_size=self.batch_size, shuffle=shuffle)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(0, 0.6, shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(0.6, 0.8)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(0.8, 1)

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return self.loader(0.8, 1)
