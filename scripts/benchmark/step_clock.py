"""A callback for our command line: when the first step or batch has ended, and the losses of the steps."""

import json
import os
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from scripts.benchmark.clock import STEP_CLOCK, since_start
from scripts.rounding import nudge


class StepClock(Callback):
    """Writes "first_step" (seconds since the process was started), "losses" (of all steps) and "batches" (seconds of
    all batches of a prediction).

    Args:
        nudge: relative size of a random change of each initial weight, 0 for none.
    """

    def __init__(self, *, nudge: float = 0.0) -> None:
        self.nudge = nudge
        self.numbers: dict[str, Any] = {}
        self.losses: list[Tensor] = []
        self.began = 0.0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        nudge(pl_module, self.nudge)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if "first_step" not in self.numbers:
            float(outputs["loss"])  # waits for a GPU
            self.numbers["first_step"] = since_start()
        self.losses.append(outputs["loss"])

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write({"losses": [round(float(loss), 8) for loss in self.losses]})

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.began = time.perf_counter()

    def on_predict_batch_end(self, *arguments: Any, **named: Any) -> None:
        self.numbers.setdefault("first_step", since_start())

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write({"batches": time.perf_counter() - self.began})

    def _write(self, more: dict[str, Any]) -> None:
        Path(os.environ[STEP_CLOCK]).write_text(json.dumps(self.numbers | more), encoding="utf-8")
