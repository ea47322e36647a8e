"""A callback that kills its own process at the n-th call of one of the Trainer's hooks, and a module with dropout."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

ORDER = Path("kill.txt")
"""The file with the name of the hook, the number of its call, and the name of the signal."""
SECONDS = Path("seconds.txt")
"""The file with the seconds that a batch of the validation takes."""


class Killer(Callback):
    """Sends SIGKILL to this process where `kill.txt` says so. Without the file, it does nothing."""

    def __init__(self) -> None:
        self.calls = 0

    def called(self, trainer: L.Trainer, hook: str) -> None:
        if not ORDER.exists():
            return
        wanted, number, name = ORDER.read_text().split()
        if wanted != hook or trainer.global_rank != 0:
            return
        self.calls += 1
        if self.calls == int(number):
            os.kill(os.getpid(), getattr(signal, name))

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        self.called(trainer, "on_train_batch_start")

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.called(trainer, "on_train_batch_end")

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.called(trainer, "on_validation_batch_end")

    def on_validation_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.called(trainer, "on_validation_end")

    def on_train_epoch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.called(trainer, "on_train_epoch_end")

    def on_fit_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.called(trainer, "on_fit_end")

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.called(trainer, "on_test_batch_end")

    def on_test_end(self, trainer: L.Trainer, *args: Any) -> None:
        for logger in trainer.loggers:
            logger.save()  # the rows of the test are in the file
        self.called(trainer, "on_test_end")


class Everything(L.LightningModule):
    """Uses what a resume has to bring back: dropout, a schedule of steps, a metric, sums that are logged by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
        self.accuracy = MulticlassAccuracy(2, average="micro")

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        outputs = self.layers(batch[0] + 0.1 * torch.randn_like(batch[0]))
        loss = F.cross_entropy(outputs, batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log("train_largest", loss, on_step=False, on_epoch=True, reduce_fx="max")
        self.accuracy(outputs, batch[1])
        self.log("train_acc", self.accuracy, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        if SECONDS.exists():
            time.sleep(float(SECONDS.read_text()))
        self.log("val_loss", F.cross_entropy(self.layers(batch[0]), batch[1]))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("test_loss", F.cross_entropy(self.layers(batch[0]), batch[1]), sync_dist=True)

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        probabilities: Tensor = self.layers(batch[0]).softmax(dim=1)
        return probabilities

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]
