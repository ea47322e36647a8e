"""Modules of a stranger's that are exported, and one that cannot be."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Words(L.LightningDataModule):
    def __init__(self, length: int = 6) -> None:
        super().__init__()
        tokens = torch.randint(0, 20, (24, length), generator=torch.Generator().manual_seed(0))
        self.samples = TensorDataset(tokens, (tokens.sum(dim=1) % 2).float())

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.samples, batch_size=8)

    test_dataloader = train_dataloader


class Tagger(L.LightningModule):
    """A module with an LSTM of both directions that returns a mapping."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.embedding = nn.Embedding(20, width)
        self.cells = nn.LSTM(width, width, bidirectional=True, batch_first=True)
        self.output = nn.Linear(2 * width, 1)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        states, _ = self.cells(self.embedding(tokens))
        return {"states": states, "score": self.output(states.mean(dim=1))[:, 0]}

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return nn.functional.mse_loss(self(batch[0])["score"], batch[1])

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("test_loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Branching(Tagger):
    """A module whose code depends on the numbers."""

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        outputs = super().forward(tokens)
        if outputs["score"].mean() > 0:
            outputs["score"] = -outputs["score"]
        return outputs


class Exotic(Tagger):
    """A module with an operation that ONNX does not have."""

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        outputs = super().forward(tokens)
        outputs["score"] = torch.special.bessel_j0(outputs["score"])
        return outputs
