"""The setting `--early_stopping METRIC:EPOCHS`: Lightning's EarlyStopping with the direction of the metric."""

from dataclasses import dataclass
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from datamodules.errors import UserError
from lit_models.runs.logged import Mode, direction_of
from lit_models.runs.progress import say


class Patience(EarlyStopping):
    """Lightning's EarlyStopping, which takes its patience from the settings, also in a resumed run."""

    goes_on = False
    """Whether the checkpoint's run had stopped, and the patience of now is larger."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})
        stopped = self.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED
        self.goes_on = stopped and self.wait_count < self.patience
        if self.goes_on:
            self.stopping_reason, self.stopping_reason_message = EarlyStoppingReason.NOT_STOPPED, None


@dataclass(frozen=True)
class EarlyStop:
    """When a training stops early.

    Args:
        monitor: name of the metric.
        patience: validations in a row without a better value, at least 1.
    """

    monitor: str
    patience: int

    @classmethod
    def parse(cls, text: str | None) -> "EarlyStop | None":
        """Reads `METRIC:EPOCHS`, such as `val/loss:3`; None stays None.

        Raises:
            UserError: the text has another form.
        """
        if text is None:
            return None
        monitor, _, patience = text.rpartition(":")
        if not monitor or not patience.isdecimal() or int(patience) < 1:
            raise UserError(f"early_stopping must be METRIC:EPOCHS, such as val/loss:3, got {text!r}")
        return cls(monitor, int(patience))

    def direction(self) -> Mode:
        """Whether lower or higher values are better, according to the name of the metric.

        Raises:
            UserError: the name does not tell.
        """
        return direction_of(self.monitor, setting="early_stopping")

    def callback(self, mode: Mode | None, others: list[Callback]) -> Patience:
        """The callback.

        Args:
            mode: whether lower or higher values are better; if None, it follows from the name of the metric.
            others: callbacks of the user.

        Raises:
            UserError: the direction is unknown, or one of the others does the same.
        """
        callback = Patience(self.monitor, patience=self.patience, mode=mode or self.direction())
        if any(isinstance(o, EarlyStopping) and (o.monitor, o.mode) == (self.monitor, callback.mode) for o in others):
            raise UserError(f"early_stopping and a callback EarlyStopping both watch {self.monitor}: leave one out")
        return callback


def goes_on(trainer: L.Trainer) -> bool:
    """Whether a run that had stopped early is resumed with more patience."""
    return any(isinstance(callback, Patience) and callback.goes_on for callback in trainer.early_stopping_callbacks)


def more_patience(trainer: L.Trainer) -> tuple[str, ...] | None:
    """The flags with which a run that has stopped early goes on; None if it has not stopped early, and empty if there
    are no such flags."""
    stopped = [c for c in trainer.early_stopping_callbacks if c.stopping_reason != EarlyStoppingReason.NOT_STOPPED]
    if not stopped:
        return None
    first = stopped[0]
    exhausted = isinstance(first, Patience) and first.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED
    return ("--early_stopping", f"{first.monitor}:{2 * first.patience}") if exhausted and len(stopped) == 1 else ()


def say_stopped(trainer: L.Trainer) -> None:
    """Prints why an EarlyStopping has ended the training, if one has."""
    for callback in trainer.early_stopping_callbacks:
        reason = callback.stopping_reason
        if reason == EarlyStoppingReason.PATIENCE_EXHAUSTED:
            best = float(callback.best_score)
            waited = f"{callback.wait_count} epoch{'s' if callback.wait_count != 1 else ''}"
            say(f"stopped early: {callback.monitor} has not improved for {waited}; the best was {best:.4f}")
        elif reason != EarlyStoppingReason.NOT_STOPPED:
            say(f"stopped early: {str(callback.stopping_reason_message).removesuffix(' Signaling Trainer to stop.')}")
