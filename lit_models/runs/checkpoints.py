"""The checkpoints of a run: when they are saved, what they contain, and whether their weights fit a model."""

import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.trainer.states import TrainerFn
from torch.nn.parameter import is_lazy

from datamodules.errors import UserError
from lit_models.runs.durable import link, remove_parts, replaced
from lit_models.runs.environment import differences, environment
from lit_models.runs.folder import config_text, newest_config
from lit_models.runs.logged import direction_of, monitor_of, no_monitor_note
from lit_models.runs.metrics_file import MetricsFile
from lit_models.runs.new_files import new_file
from lit_models.runs.progress import say
from lit_models.runs.resume import KEY, BetweenSteps
from lit_models.runs.save_every import SaveEvery
from lit_models.runs.stopping import LONGEST_PACE, PATIENCE, Agreement, EvaluationStop, Stopped, StopRequest

Saved = Literal["both", "last", "best", "none"]
COST_FACTOR = 50
"""After a save, the next one at the end of an epoch waits this many times as long as a save takes."""


class SaveConfig(SaveConfigCallback):
    """Writes `config.yaml` when training begins, and the same text into each checkpoint, so that a checkpoint alone is
    enough to test and predict.

    Args:
        parser: the parser of the command.
        config: the whole configuration.
        folder: the run folder; without one, the config is saved as Lightning does.
        text: the YAML of the config, for the run folder.
        **settings: other arguments of Lightning's SaveConfigCallback.
    """

    def __init__(
        self, parser: Any, config: Any, *, folder: Path | None = None, text: str = "", **settings: Any
    ) -> None:
        super().__init__(parser, config, **settings)
        self.folder, self.text = folder, text

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self.folder is None:
            super().setup(trainer, pl_module, stage)
        elif trainer.is_global_zero and stage == "fit":
            self.save_config(trainer, pl_module, stage)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.ckpt_path:
            self._write(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """If a run is resumed with other settings, the new ones are written to `config_2.yaml`. This waits until the
        checkpoint was restored under them."""
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        if self.folder is None or not trainer.is_global_zero:
            return
        path = newest_config(self.folder)
        if not path.exists() or not path.read_text(encoding="utf-8").endswith(self.text):
            with replaced(new_file(self.folder, self.config_filename)) as part:
                part.write_text(config_text(self.text), encoding="utf-8")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.text:
            checkpoint["config"] = self.text


class Checkpoints(Checkpoint):
    """Saves the checkpoints from which a run can be resumed exactly, and stops training after a signal.

    `last.ckpt` is saved at the end of each epoch and, in long epochs, at regular intervals; `previous.ckpt` is the one
    before. With short epochs, some saves are skipped, so that they take at most 2 % of the time. `best.ckpt` is the
    state after the validation with the best value of one metric, and the earliest of equal ones.

    Args:
        folder: where the files are written.
        saved: files that are kept: "both", "last", "best" or "none".
        every: interval between saves in an epoch.
        continues: whether a run is resumed in its own folder, where its best.ckpt is.
        monitor: name of the metric; if None, the module's own choice, or a usual one such as `val/loss`.
        mode: whether lower or higher values are better; if None, it follows from the name of the metric.
    """

    def __init__(
        self,
        folder: Path,
        *,
        saved: Saved = "both",
        every: SaveEvery = SaveEvery(seconds=60),  # noqa: B008  (frozen)
        continues: bool = False,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
    ) -> None:
        self.folder, self.saved, self.every, self.continues = folder, saved, every, continues
        self.wanted, self.wanted_mode = monitor, mode
        self.monitor: str | None = None
        self.mode: Literal["min", "max"] = "min"
        self.best: float | None = None
        self.seconds_before = 0.0
        """Seconds of training before the run was resumed."""
        self.log_position: Any = None
        """Where `metrics.csv` ended when the checkpoint was saved."""
        self.request = StopRequest()
        self.said = self.best_pending = self.validated = False
        self.stage: Literal["", "val", "train"] = ""
        """When the monitored metric is logged."""
        self.moment: Literal["", "step", "epoch"] = ""
        self.start = self.saved_at = time.monotonic()
        self.saved_step, self.cost = 0, 0.0
        self.resources = ExitStack()

    # The Trainer's hooks

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit":
            if trainer.is_global_zero and self.folder.is_dir():
                remove_parts(self.folder)  # left by a process that was killed while saving
            self.trainer, self.between = trainer, BetweenSteps(trainer, self.act)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.resources.enter_context(self.request.listening())
        self.start = self.saved_at = time.monotonic()
        self.saved_step, self.agreement = trainer.global_step, Agreement(trainer)
        self._take_log_back(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._take_log_back(trainer)  # training does not start where all epochs are done

    def _take_log_back(self, trainer: L.Trainer) -> None:
        """Takes away what `metrics.csv` got after the checkpoint was saved."""
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile) and trainer.is_global_zero and logger.continues and self.log_position:
                logger.experiment.go_back(self.log_position)
        self.log_position = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        batches = trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches
        self.stop = EvaluationStop(self.request, trainer, batches, patience=PATIENCE)

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        self.stop.after_batch()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prepares the test after the fit. A signal stops it at once, because the training is saved."""
        self.resources.enter_context(self.request.listening())
        self.stop = EvaluationStop(self.request, trainer, trainer.num_test_batches, patience=0)

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        self.stop.after_batch()

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.resources.close()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compares the validation metric with the best value. The weights are saved after the step.

        Raises:
            UserError: the metric's direction is unknown.
        """
        if trainer.sanity_checking or self.saved not in ("both", "best"):
            return
        self.validated = True
        if self.monitor is None and (self.wanted is None or self.wanted in trainer.callback_metrics):
            self._choose(trainer, pl_module, stage="val")
        self._compare(trainer, stage="val")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compares a training metric with the best value.

        Raises:
            UserError: the metric that the user named is not logged, or its direction is unknown.
        """
        if self.saved not in ("both", "best"):
            return
        seen = self.wanted in trainer.callback_metrics or self.validated or not trainer.enable_validation
        if self.monitor is None and self.wanted is not None and seen:
            self._choose(trainer, pl_module, stage="train")
        self._compare(trainer, stage="train")

    def _compare(self, trainer: L.Trainer, *, stage: Literal["val", "train"]) -> None:
        """Compares the metric with the best value so far. The first process decides, because its value is in
        `metrics.csv`. Other processes may have another value, or none, if the module does not gather it."""
        value = trainer.callback_metrics.get(self.monitor or "") if self.stage == stage else None
        better = value is not None and math.isfinite(value)
        if value is not None and self.best is not None:
            better &= bool(value < self.best if self.mode == "min" else value > self.best)
        if value is not None and better:
            self.best = float(value)
        self.best_pending |= trainer.strategy.broadcast(better)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.wanted is not None and self.monitor is None and self.saved in ("both", "best"):
            say(f"note: {self.wanted!r} was never logged, so there is no best.ckpt")
        if self.saved_step != trainer.global_step:
            self._save("epoch", last=True)
        self.resources.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.resources.close()

    # Between two steps, and between two epochs

    def act(self, epoch_ended: bool) -> None:
        """Saves the checkpoints that are due, and stops the training after a signal.

        Raises:
            Stopped: a signal was received; the state is saved.
        """
        asked = self.agreement.is_due() or self.best_pending
        if not epoch_ended and (self.between.inside_window or not asked):
            return
        due = self.trainer.is_global_zero and self._is_due(epoch_ended)  # the clock of the first process decides
        pace = self.every.steps or LONGEST_PACE
        number, save = self.agreement.largest(self.request.number, int(due), longest_pace=pace)
        if save or number or self.best_pending:
            self._save("epoch" if epoch_ended else "step", last=bool(save or number))
        if number:
            raise Stopped(number, saved=self.saved in ("both", "last"))

    def _is_due(self, epoch_ended: bool) -> bool:
        elapsed = time.monotonic() - self.saved_at
        if epoch_ended and elapsed >= COST_FACTOR * self.cost:
            return True
        if self.every.steps is not None:
            return self.trainer.global_step - self.saved_step >= self.every.steps
        return self.every.seconds is not None and elapsed >= self.every.seconds

    def _save(self, moment: Literal["step", "epoch"], *, last: bool) -> None:
        """Writes the checkpoints that are due."""
        last = last and self.saved in ("both", "last")
        best, self.best_pending = self.best_pending, False
        if not last and not best:
            return
        start, self.moment = time.monotonic(), moment
        paths = {name: self.folder / f"{name}.ckpt" for name in ("last", "previous", "best")}
        if last:
            if self.trainer.is_global_zero and paths["last"].is_file():
                link(paths["last"], paths["previous"])
            self.trainer.save_checkpoint(paths["last"], weights_only=False)
        if best and not last:
            self.trainer.save_checkpoint(paths["best"], weights_only=False)
        elif best and self.trainer.is_global_zero:
            link(paths["last"], paths["best"])
        self.moment, self.saved_at = "", time.monotonic()
        self.cost = self.saved_at - start
        if last:
            self.saved_step = self.trainer.global_step

    @property
    def best_model_path(self) -> str:
        """Path of `best.ckpt`, for Lightning's `ckpt_path="best"`; empty if there is none."""
        path = self.folder / "best.ckpt"
        return str(path) if path.is_file() else ""

    @property
    def last_model_path(self) -> str:
        """Path of `last.ckpt`; empty if there is none."""
        path = self.folder / "last.ckpt"
        return str(path) if path.is_file() else ""

    # What a checkpoint holds of this

    @property
    def state_key(self) -> str:
        return "Checkpoints"

    def state_dict(self) -> dict[str, Any]:
        chosen = {"monitor": self.monitor, "mode": self.mode, "stage": self.stage, "best": self.best}
        return {**chosen, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self.continues:
            return
        self.monitor, self.mode, self.stage = (state_dict[name] for name in ("monitor", "mode", "stage"))
        self.best, self.seconds_before = state_dict["best"], state_dict["seconds"]
        if self.wanted not in (None, self.monitor):  # the metric was changed
            self.monitor, self.best, self.stage = None, None, ""

    @property
    def seconds(self) -> float:
        """Seconds of training, including those before the run was resumed."""
        return self.seconds_before + time.monotonic() - self.start

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the state for an exact resume, if the checkpoint is saved at a moment when this is possible."""
        if not self.moment:
            return
        if self.moment == "epoch":  # counts from 0, as in files that Lightning saves at the end of an epoch
            checkpoint["epoch"] = trainer.current_epoch - 1
        states: list[Any] = [self.between.state(between_epochs=self.moment == "epoch")]
        if trainer.world_size > 1:
            ours = states[0]
            states = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, ours)
        logs = [x.experiment.position() for x in trainer.loggers if isinstance(x, MetricsFile)]
        checkpoint[KEY] = {
            "processes": states,
            "log": logs[0] if logs and trainer.is_global_zero else None,
            "environment": environment(trainer.strategy.root_device),
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restores the state for an exact resume."""
        if trainer.state.fn != TrainerFn.FITTING:  # testing after the fit
            return
        state = checkpoint.get(KEY)
        if state is None:
            say("note: this checkpoint cannot be resumed exactly: it lacks the states of random numbers and metrics")
            return
        changes = differences(state["environment"], environment(trainer.strategy.root_device))
        if (was := len(state["processes"])) != trainer.world_size:
            changes.append(f"{was} processes, now {trainer.world_size}")
        if changes:
            say(f"note: the run does not go on exactly, as the checkpoint was saved with {'; '.join(changes)}")
        self.between.loaded = state["processes"][min(trainer.global_rank, len(state["processes"]) - 1)]
        if was == trainer.world_size:  # Lightning restores the callbacks from this next
            checkpoint["callbacks"] = self.between.loaded.get("callbacks", checkpoint["callbacks"])
        self.log_position = state["log"]

    def _choose(self, trainer: L.Trainer, pl_module: L.LightningModule, *, stage: Literal["val", "train"]) -> None:
        chosen = monitor_of(pl_module, trainer.callback_metrics, wanted=self.wanted)
        if chosen is None:
            if not self.said:
                say(no_monitor_note(trainer.callback_metrics))
            self.said = True
            return
        name, mode = chosen
        self.monitor, self.mode, self.stage = name, self.wanted_mode or mode or direction_of(name), stage


def check_weights(path: Path, content: dict[str, Any], module: L.LightningModule) -> None:
    """Checks that a checkpoint's weights fit `module`. Lazy weights may have any shape.

    Raises:
        UserError: a weight is missing, unexpected or has another shape; the message names the first.
    """
    theirs, ours = content["state_dict"], module.state_dict()
    kind = type(module).__name__
    for name in [*ours, *theirs]:
        if name not in theirs or name not in ours:
            raise UserError(f"{path} is a checkpoint of another model: {kind} and it differ in {name!r}")
        if is_lazy(ours[name]):
            continue
        shape = getattr(theirs[name], "shape", ())
        if shape != getattr(ours[name], "shape", ()):
            shapes = f"{tuple(shape)} in the file, {tuple(ours[name].shape)} in the model"
            raise UserError(f"{path} is a checkpoint of another {kind}: {name!r} is {shapes}")
