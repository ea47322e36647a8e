"""A module that logs metrics of torchmetrics itself, and names the one that decides which epoch is the best."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
import torchmetrics
from torch import Tensor, nn
from torchmetrics import MetricCollection


class Measured(L.LightningModule):
    """Logs metric objects: one of its own, and a collection."""

    def __init__(self, monitor: str = "val_f1") -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.monitor: tuple[str, str] = (monitor, "max")
        self.val_f1 = torchmetrics.F1Score(task="binary")
        both = {"auroc": torchmetrics.AUROC(task="binary"), "recall": torchmetrics.Recall(task="binary")}
        self.tested = MetricCollection(both, prefix="test_")  # type: ignore[arg-type]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def scores(self, batch: list[Tensor]) -> Tensor:
        scores: Tensor = self.layer(batch[0]).softmax(dim=1)[:, 1]
        return scores

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.val_f1.update(self.scores(batch), batch[1])
        self.log("val_f1", self.val_f1)

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.tested.update(self.scores(batch), batch[1])
        self.log_dict(self.tested)

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        return self.scores(batch), batch[0]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)
