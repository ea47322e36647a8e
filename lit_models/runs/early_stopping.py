"""The setting `--early_stopping METRIC:EPOCHS`: Lightning's EarlyStopping with the direction of the metric."""

from dataclasses import dataclass

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from datamodules.errors import UserError
from lit_models.runs.logged import Mode, direction_of
from lit_models.runs.progress import say


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

    def callback(self, mode: Mode | None, others: list[Callback]) -> EarlyStopping:
        """The callback.

        Args:
            mode: whether lower or higher values are better; if None, it follows from the name of the metric.
            others: callbacks of the user.

        Raises:
            UserError: the direction is unknown, or one of the others does the same.
        """
        callback = EarlyStopping(self.monitor, patience=self.patience, mode=mode or self.direction())
        if any(other.state_key == callback.state_key for other in others):
            raise UserError(f"early_stopping and a callback EarlyStopping both watch {self.monitor}: leave one out")
        return callback


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
