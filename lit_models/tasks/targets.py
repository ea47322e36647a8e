"""The kinds of targets: a class, a set of labels, or numbers. Each kind has its losses, its score and its predictions.

A network contains no loss. It maps inputs to outputs `(B, num_outputs)`, and one of the classes below defines what
these outputs mean. Letters: B batch, C classes, L labels, D numbers in a target.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import UserError
from datamodules.spec import TaskName

LossName = Literal["cross_entropy", "half_squared_error", "squared_error", "absolute_error", "huber"]
Direction = Literal["min", "max"]


def num_logits(num_classes: int) -> int:
    """Number of outputs that a network needs for `num_classes` classes: one sigmoid output for two classes."""
    if num_classes < 2:
        raise UserError(f"num_classes must be at least 2, got {num_classes}")
    return 1 if num_classes == 2 else num_classes


class Target(ABC):
    """A kind of target.

    Args:
        names: one name per class, label or number; "0", "1", … if None.
        size: number of classes, labels or numbers.
        loss: name of the loss, one of `losses`; the first one if None.

    Raises:
        UserError: the loss belongs to another kind of target, or the number of names is not `size`.
    """

    losses: ClassVar[tuple[LossName, ...]]
    score: ClassVar[str]
    """Name of the metric that is always measured in addition to the loss."""
    score_dtype: ClassVar[torch.dtype]
    monitor: ClassVar[tuple[str, Direction]]
    """The metric that determines the best epoch, and whether lower or higher is better."""
    num_outputs: int

    def __init__(self, size: int, names: list[str] | None = None, *, loss: LossName | None = None) -> None:
        kind = type(self).__name__.lower()
        if loss is not None and loss not in self.losses:
            raise UserError(f"loss {loss} does not fit {kind}: use {' or '.join(self.losses)}")
        if names is not None and len(names) != size:
            raise UserError(f"{len(names)} names for {size} outputs of {kind}: {names}")
        self.loss = loss or self.losses[0]
        self.names = list(names) if names is not None else [str(i) for i in range(size)]
        self.num_outputs = size

    @property
    def sums_over_batch(self) -> bool:
        """Whether a step's loss is the sum over its samples; otherwise it is their mean."""
        return False

    @abstractmethod
    def sample_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of each sample, `(B,)`."""

    @abstractmethod
    def scores(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The score of each sample, `(B,)`."""

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """Predictions from the network's outputs, `(B, columns)`."""

    @abstractmethod
    def mismatch(self, target: Tensor) -> str | None:
        """Why a batch's target does not fit, with the flag that corrects it; None if it fits."""

    @abstractmethod
    def row(self, prediction: list[float]) -> dict[str, Any]:
        """One prediction by column name, plain values."""

    @abstractmethod
    def line(self, prediction: list[float]) -> str:
        """One prediction as a short text for the screen."""


class Classification(Target):
    """One class of several. Target: int64 `(B,)`.

    Two classes have one output, a sigmoid (binary cross-entropy). More classes have a softmax (cross-entropy).
    "half_squared_error" is half the squared error between sigmoid outputs and the one-hot target, *summed* over the
    batch.
    """

    losses = ("cross_entropy", "half_squared_error")
    score = "acc"
    score_dtype = torch.int64
    monitor = ("val/acc", "max")

    def __init__(self, size: int, names: list[str] | None = None, *, loss: LossName | None = None) -> None:
        outputs = num_logits(size)
        super().__init__(size, names, loss=loss)
        self.num_outputs = outputs

    @property
    def sums_over_batch(self) -> bool:
        return self.loss == "half_squared_error"

    def sample_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        columns = outputs.shape[1]
        if self.loss == "half_squared_error":
            wanted = target[:, None] if columns == 1 else F.one_hot(self._within(target, columns), columns)
            return (outputs.sigmoid() - wanted).square().sum(dim=1) / 2
        if columns == 1:
            return F.binary_cross_entropy_with_logits(outputs[:, 0], target.to(outputs.dtype), reduction="none")
        return F.cross_entropy(outputs, self._within(target, columns), reduction="none")

    @staticmethod
    def _within(target: Tensor, columns: int) -> Tensor:
        """The classes. On a GPU, classes that do not exist are limited to the valid range, because CUDA cannot compute
        anything more after an index out of range."""
        return target if target.device.type == "cpu" else target.clamp(0, columns - 1)

    def scores(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Whether the class is right, bool `(B,)`."""
        predicted = (outputs[:, 0] > 0) if outputs.shape[1] == 1 else outputs.argmax(dim=1)
        return predicted == target

    def predictions(self, outputs: Tensor) -> Tensor:
        """Probabilities `(B, C)`. They sum to 1, except for "half_squared_error" with more than one output, whose
        sigmoid outputs are independent."""
        if outputs.shape[1] == 1:
            positive = outputs.sigmoid()
            return torch.cat([1 - positive, positive], dim=1)
        return outputs.sigmoid() if self.loss == "half_squared_error" else outputs.softmax(dim=1)

    def mismatch(self, target: Tensor) -> str | None:
        classes = len(self.names)
        if target.is_floating_point() or target.ndim != 1:
            return f"{shape_of(target)}, and a class is int64 (B,): see --model.task"
        if target.dtype not in (torch.int64, torch.uint8) and self.num_outputs > 1:
            return f"{shape_of(target)}, and a class is int64 (B,)"
        if len(target) and not 0 <= int(target.min()) <= int(target.max()) < classes:
            worst = int(target.max()) if int(target.max()) >= classes else int(target.min())
            mend = f": set --model.num_classes {worst + 1} or more" if worst >= classes else ""
            return f"class {worst}, and the model has the classes 0 to {classes - 1}{mend}"
        return None

    def row(self, prediction: list[float]) -> dict[str, Any]:
        best = max(range(len(prediction)), key=prediction.__getitem__)
        columns = {f"p({name})": p for name, p in zip(self.names, prediction, strict=True)}
        return {"label": self.names[best], "probability": prediction[best], **columns}

    def line(self, prediction: list[float]) -> str:
        row, width = self.row(prediction), max(map(len, self.names))
        return f"{' '.join(row['label'].split()):<{width}}  {row['probability']:.4f}"


class MultiLabel(Target):
    """Any number of labels. Target: float `(B, L)` of 0 and 1. The loss is the mean binary cross-entropy of the labels;
    "acc" is the fraction of labels that are right."""

    losses = ("cross_entropy",)
    score = "acc"
    score_dtype = torch.float64
    monitor = ("val/loss", "min")

    def __init__(self, size: int, names: list[str] | None = None, *, loss: LossName | None = None) -> None:
        if size < 1:
            raise UserError(f"num_classes must be at least 1 label, got {size}")
        super().__init__(size, names, loss=loss)

    def sample_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, target.to(outputs.dtype), reduction="none").mean(dim=1)

    def scores(self, outputs: Tensor, target: Tensor) -> Tensor:
        return ((outputs > 0) == (target > 0.5)).double().mean(dim=1)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Probability of each label, `(B, L)`."""
        return outputs.sigmoid()

    def mismatch(self, target: Tensor) -> str | None:
        if target.ndim != 2:
            return f"{shape_of(target)}, and labels are float (B, L) of 0 and 1: see --model.task"
        if target.shape[1] != self.num_outputs:
            return f"{target.shape[1]} labels, and the model has {self.num_outputs}: set --model.num_classes"
        if not bool(((target == 0) | (target == 1)).all()):
            return "other numbers than 0 and 1"
        return None

    def row(self, prediction: list[float]) -> dict[str, Any]:
        chosen = [name for name, p in zip(self.names, prediction, strict=True) if p > 0.5]
        return {"labels": ";".join(chosen), **{f"p({n})": p for n, p in zip(self.names, prediction, strict=True)}}

    def line(self, prediction: list[float]) -> str:
        shown = [f"{name} {p:.4f}" for name, p in zip(self.names, prediction, strict=True) if p > 0.5]
        return ", ".join(shown) or "no label"


class Regression(Target):
    """One or more numbers. Target: float `(B, D)`, or `(B,)` for one number. The loss is the mean over the D numbers;
    "mae" is the mean absolute error."""

    losses = ("squared_error", "absolute_error", "huber")
    score = "mae"
    score_dtype = torch.float64
    monitor = ("val/loss", "min")

    def __init__(self, size: int, names: list[str] | None = None, *, loss: LossName | None = None) -> None:
        if size < 1:
            raise UserError(f"num_targets must be at least 1, got {size}")
        super().__init__(size, ["value"] if names is None and size == 1 else names, loss=loss)

    def sample_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        wanted = target.to(outputs.dtype).reshape(outputs.shape)  # (B,) -> (B, 1)
        functions: dict[str, Callable[..., Tensor]] = {
            "squared_error": F.mse_loss,
            "absolute_error": F.l1_loss,
            "huber": F.huber_loss,
        }
        losses = functions[self.loss](outputs, wanted, reduction="none")
        return losses.mean(dim=1)

    def scores(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target.reshape(outputs.shape)).double().abs().mean(dim=1)

    def predictions(self, outputs: Tensor) -> Tensor:
        """The numbers, `(B, D)`."""
        return outputs

    def mismatch(self, target: Tensor) -> str | None:
        numbers = 1 if target.ndim == 1 else target.shape[1] if target.ndim == 2 else 0
        if not target.is_floating_point() or not numbers:
            return f"{shape_of(target)}, and a target of regression is float (B, D): see --model.task"
        if numbers != self.num_outputs:
            return f"{numbers} numbers, and the model has {self.num_outputs}: set --model.num_targets {numbers}"
        return None

    def row(self, prediction: list[float]) -> dict[str, Any]:
        return dict(zip(self.names, prediction, strict=True))

    def line(self, prediction: list[float]) -> str:
        return "  ".join(f"{name} {value:.6g}" for name, value in self.row(prediction).items())


TARGETS: dict[TaskName, type[Target]] = {
    "classification": Classification,
    "multilabel": MultiLabel,
    "regression": Regression,
}


def shape_of(tensor: Tensor) -> str:
    """A tensor's type and shape in words, such as "float32 (B, 3, 32, 32)"."""
    sides = ", ".join(["B", *map(str, tensor.shape[1:])]) + ("," if tensor.ndim == 1 else "")
    return f"{str(tensor.dtype).removeprefix('torch.')} ({sides})"
