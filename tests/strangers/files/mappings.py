"""Batches that are mappings, a lazy layer, and predictions that are words. The module has dataloaders of its own."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class Fruit(Dataset[dict[str, Any]]):
    """Weight and width of fruit, by name."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        heavy = index % 2
        return {"numbers": torch.tensor([heavy + 0.1 * (index % 3), float(heavy)]), "label": heavy}


class Lazy(L.LightningModule):
    """A network that finds its input's width itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(2))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        loss = F.cross_entropy(self.layers(batch["numbers"]), batch["label"])
        self.log("loss", loss, on_step=True, on_epoch=True)
        return {"loss": loss}

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("val/loss", F.cross_entropy(self.layers(batch["numbers"]), batch["label"]))

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        right = self.layers(batch["numbers"]).argmax(dim=1) == batch["label"]
        self.log("accuracy", right.float().mean())

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> list[str]:
        return [("cherry", "melon")[i] for i in self.layers(batch["numbers"]).argmax(dim=1)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        return DataLoader(Fruit(64), batch_size=8)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        return DataLoader(Fruit(9), batch_size=4)

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        return DataLoader(Fruit(9), batch_size=4)

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        return DataLoader(Fruit(9), batch_size=4)
