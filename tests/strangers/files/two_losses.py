"""Two losses, each with an optimizer of its own, and metrics whose names have no slash."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TwoLosses(L.LightningModule):
    """A classifier that also rebuilds its input."""

    def __init__(self, width: int = 8, lr: float = 0.05) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.lr = lr
        self.body = nn.Linear(2, width)
        self.classes, self.rebuilt = nn.Linear(width, 2), nn.Linear(width, 2)

    def losses(self, batch: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        points, target = batch
        hidden = self.body(points).relu()
        outputs = self.classes(hidden)
        right = (outputs.argmax(dim=1) == target).float().mean()
        return F.cross_entropy(outputs, target), F.mse_loss(self.rebuilt(hidden), points), right

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        first, second = self.optimizers()  # type: ignore[attr-defined]
        of_classes, of_points, _ = self.losses(batch)
        first.zero_grad()
        second.zero_grad()
        self.manual_backward(of_classes + of_points)
        first.step()
        second.step()
        self.log("train_class_loss", of_classes)
        self.log("train_rebuilt_loss", of_points, on_step=False, on_epoch=True)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        of_classes, of_points, right = self.losses(batch)
        self.log_dict({"val_loss": of_classes, "val_rebuilt": of_points, "val_acc": right}, batch_size=len(batch[0]))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        _, of_points, right = self.losses(batch)
        self.log_dict({"test_acc": right, "test_rebuilt": of_points}, batch_size=len(batch[0]))

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        scores: Tensor = self.classes(self.body(batch[0]).relu()).softmax(dim=1)
        return scores

    def configure_optimizers(self) -> Any:
        parts = [*self.body.parameters(), *self.classes.parameters()]
        return torch.optim.Adam(parts, lr=self.lr), torch.optim.SGD(self.rebuilt.parameters(), lr=self.lr)
