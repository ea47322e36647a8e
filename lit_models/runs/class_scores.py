"""Precision, recall, F1 and number of samples of each class or label, for the table at the end of a command."""

import math
from typing import cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torchmetrics.functional.classification import multiclass_stat_scores, multilabel_stat_scores

from lit_models.tasks.metrics import SplitMetrics
from lit_models.tasks.targets import Classification, Regression
from lit_models.tasks.task import LitTask

MOST_CLASSES = 20
"""With more classes or labels, the screen shows no table of them; the report does."""


class ClassScores(Callback):
    """Counts right and wrong predictions of each class in the evaluation of a LitTask.

    Args:
        split: the split that is evaluated: "test" or "val".
    """

    def __init__(self, split: str) -> None:
        self.split = split
        self.values: dict[str, float] = {}
        """The scores by name, such as `test/recall/cat`. Empty before the evaluation, with more classes than
        `MOST_CLASSES`, and for numbers."""
        self.counts: Tensor | None = None
        """Right and wrong predictions of each class, missed samples and all samples, `(C, 4)`."""

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start("test", pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start("val", pl_module)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._finish(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._finish(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _start(self, split: str, module: L.LightningModule) -> None:
        if split != self.split or not isinstance(module, LitTask) or isinstance(module.target, Regression):
            return
        if len(module.target.names) <= MOST_CLASSES:
            self.module = module
            self.counts = torch.zeros(len(module.target.names), 4, dtype=torch.int64, device=module.device)
            self._metrics().listeners.append(self._add)

    def _metrics(self) -> SplitMetrics:
        return cast(SplitMetrics, getattr(self.module, f"{self.split}_metrics"))

    def _add(self, outputs: Tensor, target: Tensor) -> None:
        assert self.counts is not None, "it listens between start and end"
        size = len(self.counts)
        try:
            predictions = self.module.predictions(outputs)
        except Exception:  # of the user's own method, which the evaluation itself does not need
            return
        if not len(target) or predictions.shape != (len(target), size):  # a module may predict something else
            return
        if isinstance(self.module.target, Classification):
            scores = multiclass_stat_scores(predictions, target, size, average="none", ignore_index=-1)
        else:
            scores = multilabel_stat_scores(predictions, target.long(), size, average="none")
        self.counts += scores[:, [0, 1, 3, 4]]  # without the true negatives

    def _finish(self, trainer: L.Trainer) -> None:
        """Adds the counts of all processes. Each of them calls this."""
        if self.counts is None:
            return
        counts = cast(Tensor, trainer.strategy.reduce(self.counts, reduce_op="sum")).tolist()
        self._stop()
        rows = {name: scores_of(*row) for name, row in zip(self.module.target.names, counts, strict=True)}
        if any(row["count"] for row in rows.values()):
            self.values = {f"{self.split}/{k}/{name}": v for name, row in rows.items() for k, v in row.items()}

    def _stop(self) -> None:
        if self.counts is not None:
            self._metrics().listeners.remove(self._add)
            self.counts = None


def scores_of(right: int, wrong: int, missed: int, samples: int) -> dict[str, float]:
    """The scores of a class; NaN if they are undefined."""
    return {
        "precision": _ratio(right, right + wrong),
        "recall": _ratio(right, right + missed),
        "f1": _ratio(2 * right, 2 * right + wrong + missed),
        "count": samples,
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
