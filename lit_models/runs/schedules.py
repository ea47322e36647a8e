"""Learning-rate schedules of a checkpoint that are too short for the training that goes on from it."""

from typing import cast

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import OneCycleLR

from datamodules.errors import UserError


class ScheduleLengths(Callback):
    """Looks at the schedules of a checkpoint before its run goes on."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.ckpt_path:
            check_schedules(trainer)


def check_schedules(trainer: L.Trainer) -> None:
    """Refuses a OneCycleLR that would end during the training: its step after the last one raises an error.

    A checkpoint brings its length back, whatever length the module has built it with. Its learning rates depend on
    that length, so the run would not be a longer one of the same kind.

    Raises:
        UserError: names both lengths.
    """
    try:
        steps = trainer.estimated_stepping_batches
    except MisconfigurationException:  # accumulation differs between epochs, so the number is unknown
        return
    for config in trainer.lr_scheduler_configs:
        if not isinstance(config.scheduler, OneCycleLR) or config.reduce_on_plateau:
            continue
        wanted = steps if config.interval == "step" else cast(float, trainer.max_epochs or 0)
        wanted //= config.frequency
        if config.scheduler.total_steps < wanted:
            unit = "steps" if config.interval == "step" else "epochs"
            length = f"the checkpoint's OneCycleLR has {config.scheduler.total_steps:,} {unit}"
            raise UserError(
                f"{length}, and this training has {wanted:,.0f}: a run with this schedule cannot be trained longer; "
                "leave trainer.max_epochs as it was"
            )
