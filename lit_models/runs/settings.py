"""What the command line asks of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datamodules.errors import UserError
from lit_models.runs import folder as folders
from lit_models.runs.checkpoints import Saved
from lit_models.runs.early_stopping import EarlyStop
from lit_models.runs.predictions import Output
from lit_models.runs.reporting import ReportKind
from lit_models.runs.save_every import SaveEvery


@dataclass(frozen=True)
class RunSettings:
    """What a run is asked for.

    Args:
        program: how the program is called, such as `python -m lit_models`.
        words: the rest of the command line.
        runs_dir: folder of all runs.
        experiment: name of the folder in it.
        seed: of all randomness.
        checkpoint: file to start from, if any.
        restarted: folder of a run that begins again, as it was stopped before its first checkpoint.
        resumed_step: optimizer steps of the checkpoint, if a fit can go on from it exactly.
        config: the configuration that the run keeps, YAML.
        test_weights: weights that are tested after training.
        monitor: metric that decides which epoch is the best; the module's own choice when None.
        monitor_mode: whether lower or higher values of it are better.
        early_stopping: when a fit stops early, if it does.
        saved: checkpoints that a fit keeps.
        save_every: how often a checkpoint is saved inside an epoch.
        output: where predictions are written.
        report: "html" for a report of a fit or a test, or "none".
        quiet: whether only warnings and the result are printed.
    """

    program: str
    words: list[str]
    runs_dir: Path
    experiment: str
    seed: int | bool
    checkpoint: Path | None
    restarted: Path | None
    resumed_step: int | None
    config: str
    test_weights: Literal["last", "best", "none"]
    monitor: str | None
    monitor_mode: Literal["min", "max"] | None
    early_stopping: EarlyStop | None
    saved: Saved
    save_every: SaveEvery
    output: Output
    report: ReportKind
    quiet: bool

    @property
    def resumes(self) -> bool:
        """Whether a fit goes on with the run that saved the checkpoint. From any other file, it starts a new run."""
        return self.resumed_step is not None and self.checkpoint is not None and self.checkpoint.name in folders.RESUMED

    def check_trainer(self, config: Mapping[str, Any], *, checkpointing: bool) -> None:
        """Checks the Trainer's settings.

        Args:
            config: the settings.
            checkpointing: whether checkpoints are saved.

        Raises:
            UserError: one of them leaves out what the run needs.
        """
        validates = config["limit_val_batches"] != 0
        if config["barebones"]:
            raise UserError("trainer.barebones allows no callbacks and loggers, and a run has some: leave it out")
        if self.monitor and not (checkpointing and validates):
            raise UserError("monitor needs checkpoints and validation, and one of them is turned off: leave it out")
        if self.early_stopping and self.early_stopping.monitor.startswith("val") and not validates:
            name = self.early_stopping.monitor
            raise UserError(f"early_stopping watches {name}, and trainer.limit_val_batches 0 turns validation off")
