"""LitClassifier: the training, evaluation and prediction steps that every network here shares.

It is the only training logic in the project. A network has no loss in it: it maps inputs to logits, `(B, C)` for C
classes or `(B, 1)` for two classes with one sigmoid output.
"""

import math
from typing import Any, ClassVar, Literal, cast

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric

from lit_models.optim import DECAYING, build_optimizer, build_schedule

Batch = tuple[Tensor, Tensor]
OptimizerName = Literal["keras_adam", "keras_rmsprop", "sgd", "adam", "adamw", "rmsprop"]
LossName = Literal["cross_entropy", "half_squared_error"]


def num_logits(num_classes: int) -> int:
    """Outputs that a network needs for `num_classes`: one sigmoid output tells two classes apart."""
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    return 1 if num_classes == 2 else num_classes


class LitClassifier(L.LightningModule):
    """Trains a network to classify. A subclass sets `self.network` and what its network `accepts`.

    The loss follows the width of the logits: one column is a sigmoid output (binary cross-entropy), more are a softmax
    (cross-entropy). Accuracy is the fraction of samples; an epoch's loss weighs batches by their size.

    Args:
        num_classes: number of classes; the data decides it.
        class_names: one name a class, for predictions; the data decides it.
        loss: "cross_entropy" is the batch's mean; "half_squared_error" is half the squared error between sigmoid
            outputs and the one-hot target, *summed* over the batch.
        optimizer: rule by plain name (`lit_models.optim`).
        lr: learning rate, above 0.
        weight_decay: fraction of each weight taken off a step (times `lr`), 0 or more; only for "adamw" and "sgd".
        schedule: "constant", or "linear" or "cosine" decay of the learning rate to 0 at the last step.
        warmup: fraction of all steps in which the learning rate rises from 0, 0 to below 1.

    Raises:
        ValueError: a number out of its range.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"features", "images", "tokens"})
    """Kinds of data that the network can read."""
    network: nn.Module

    @property
    def untrained(self) -> str | None:
        """What would make predictions chance if no checkpoint is loaded; None where nothing does."""
        return f"no weight of {type(self).__name__}"

    def __init__(
        self,
        *,
        num_classes: int,
        class_names: list[str] | None = None,
        loss: LossName = "cross_entropy",
        optimizer: OptimizerName = "keras_adam",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        schedule: Literal["constant", "linear", "cosine"] = "constant",
        warmup: float = 0.0,
    ) -> None:
        super().__init__()
        if not (lr > 0 and math.isfinite(lr)):
            raise ValueError(f"lr must be a positive number, got {lr}")
        if not 0 <= weight_decay < math.inf:
            raise ValueError(f"weight_decay must be 0 or a positive number, got {weight_decay}")
        if weight_decay and optimizer not in DECAYING:
            raise ValueError(f"weight_decay works with the optimizers {' and '.join(DECAYING)}, not with {optimizer}")
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup is a fraction of all steps, from 0 to below 1, got {warmup}")
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(f"{len(class_names)} class_names for {num_classes} classes")
        num_logits(num_classes)
        self.save_hyperparameters()
        self.train_metrics = SplitMetrics()
        self.val_metrics = SplitMetrics()
        self.test_metrics = SplitMetrics()

    def __setattr__(self, name: str, value: Any) -> None:
        """Takes a short way for the name of the running hook, which Lightning sets some 40 times a step."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(B, C)` or `(B, 1)`."""
        return cast(Tensor, self.network(inputs))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Scores of the classes, float `(B, num_classes)`. They sum to 1 but for "half_squared_error" with more than
        one output, whose sigmoid outputs are independent."""
        if logits.shape[1] == 1:
            positive = logits.sigmoid()
            return torch.cat([1 - positive, positive], dim=1)
        return logits.sigmoid() if self.hparams["loss"] == "half_squared_error" else logits.softmax(dim=1)

    def sample_losses(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of each sample, `(B,)`; `target` is int64 `(B,)`."""
        columns = logits.shape[1]
        if self.hparams["loss"] == "half_squared_error":
            wanted = target[:, None] if columns == 1 else F.one_hot(target, columns)
            return (logits.sigmoid() - wanted).square().sum(dim=1) / 2
        if columns == 1:
            return F.binary_cross_entropy_with_logits(logits[:, 0], target.to(logits.dtype), reduction="none")
        return F.cross_entropy(logits, target, reduction="none")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        target = batch[1]
        divisor = 1 if self.hparams["loss"] == "half_squared_error" else self._global_batch_size(target)
        if not len(target):  # this process has no part in a short last batch: it adds nothing, and stays in step
            return cast(Tensor, sum(p.sum() * 0 for p in self.parameters() if p.requires_grad))
        # Processes average their gradients; times their number, that is the sum over the global batch.
        return self._measure("train", batch).sum() * (self.trainer.world_size / divisor)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Scores of the classes, `(B, num_classes)`."""
        return self.probabilities(self(batch[0]))

    def on_train_epoch_end(self) -> None:
        """Logs the epoch.

        Raises:
            ValueError: the epoch's loss is no finite number, so that a broken run does not end as a success.
        """
        if not self.train_metrics.count:  # no batch was trained, as with --trainer.limit_train_batches 0
            return
        loss = self._log_epoch("train")
        if not math.isfinite(loss):
            lr = self.hparams["lr"]
            raise ValueError(f"train/loss is {loss} in epoch {self.current_epoch + 1}: try a lower lr than {lr}")

    def on_validation_epoch_end(self) -> None:
        self._log_epoch("val")

    def on_test_epoch_end(self) -> None:
        self._log_epoch("test")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the precision of the checkpoint's weights, such as XOR's float64, so that the outputs are the same. A
        Trainer has a precision of its own."""
        if not self._in_trainer():
            self.to(next(w.dtype for w in checkpoint["state_dict"].values() if w.is_floating_point()))

    def _in_trainer(self) -> bool:
        try:
            return self.trainer is not None
        except RuntimeError:  # Lightning's answer outside of one
            return False

    def configure_optimizers(self) -> OptimizerLRScheduler:
        p = self.hparams
        optimizer = build_optimizer(
            p["optimizer"],
            [w for w in self.parameters() if w.requires_grad],
            lr=p["lr"],
            weight_decay=p["weight_decay"],
        )
        if p["schedule"] == "constant" and not p["warmup"]:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise ValueError("schedule and warmup need a last step: set trainer.max_epochs or trainer.max_steps")
        schedule = build_schedule(p["schedule"], optimizer, steps=int(steps), warmup=p["warmup"])
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]  # type: ignore[return-value]

    def _measure(self, split: str, batch: Batch) -> Tensor:
        """Loss of each sample, `(B,)`, after the split's metrics have counted the batch."""
        inputs, target = batch
        logits = self(inputs)
        losses = self.sample_losses(logits, target)
        cast(SplitMetrics, getattr(self, f"{split}_metrics")).update(losses.detach(), logits.detach(), target)
        return losses

    def _log_epoch(self, split: str) -> float:
        metrics = cast(SplitMetrics, getattr(self, f"{split}_metrics"))
        values = metrics.compute()
        metrics.reset()
        # The values are equal in all processes; Lightning asks to say so, also of one process with the strategy ddp.
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.log_dict({f"{split}/{name}": value for name, value in values.items()}, sync_dist=several)
        return float(values["loss"])

    def _global_batch_size(self, target: Tensor) -> int:
        """Samples of this step over all processes."""
        if self.trainer.world_size == 1:
            return len(target)
        count = torch.tensor(len(target), device=self.device)
        return int(self.trainer.strategy.reduce(count, reduce_op="sum"))


class SplitMetrics(Metric):
    """Loss and accuracy of one split, exact over batches of different sizes and over processes: sums and counts."""

    loss_sum: Tensor
    correct: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__(compute_on_cpu=False)
        self.add_state("loss_sum", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("correct", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, losses: Tensor, logits: Tensor, target: Tensor) -> None:
        """Counts a batch: `losses` `(B,)`, `logits` `(B, C)` or `(B, 1)`, `target` int64 `(B,)`."""
        predicted = (logits[:, 0] > 0) if logits.shape[1] == 1 else logits.argmax(dim=1)
        self.loss_sum = self.loss_sum + losses.sum()  # takes the losses' precision, such as XOR's float64
        self.correct.add_((predicted == target).sum())
        self.count.add_(len(target))

    def compute(self) -> dict[str, Tensor]:
        """Mean loss and fraction of right answers over all samples since the last reset."""
        return {"loss": self.loss_sum / self.count, "acc": self.correct / self.count}
