"""Checkpoint files: `last.ckpt` after every epoch, and `best.ckpt` by one metric; each holds its run's config."""

from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.cli import SaveConfigCallback
from torch.nn.parameter import is_lazy

from datamodules.errors import MissingFileError, UserError
from lit_models.runs.folder import config_text
from lit_models.runs.logged import direction_of, monitor_of
from lit_models.runs.progress import say


class SaveConfig(SaveConfigCallback):
    """Writes `config.yaml` when training begins, that is, after the data were found to be readable, and the same text
    into each checkpoint, so that the file alone is enough to test and predict.

    Args:
        parser: the parser of the command.
        config: the whole configuration.
        folder: the run folder; without one, the config is saved as Lightning does.
        text: the config as the run keeps it, YAML.
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
        if self.folder is not None and trainer.is_global_zero:
            (self.folder / self.config_filename).write_text(config_text(self.text), encoding="utf-8")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.text:
            checkpoint["config"] = self.text


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt`: the state after the newest epoch, including its validation.

    Lightning's `ModelCheckpoint` would do the same, and check after each step whether to save.

    Args:
        folder: where the file is written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`: the state after the epoch with the best value of one metric; of equal ones, the earliest.

    Args:
        folder: where the file is written.
        monitor: name of the metric; when None, the module's own choice, or a usual one such as `val/loss`.
        mode: whether lower or higher values are better; when None, it follows from the metric's name.
    """

    def __init__(self, folder: Path, *, monitor: str | None = None, mode: Literal["min", "max"] | None = None) -> None:
        super().__init__(
            folder, filename="best", monitor=None, save_on_train_epoch_end=False, enable_version_counter=False
        )
        self.wanted, self.wanted_mode = monitor, mode
        self.said = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Chooses the metric after the first validation, when it is known what the module logs.

        Raises:
            UserError: the metric that was asked for is not logged, or its direction is unknown.
        """
        if trainer.sanity_checking:
            return
        if self.monitor is None:
            self._choose(trainer, pl_module)
        if self.monitor is not None:
            super().on_validation_end(trainer, pl_module)

    def _choose(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        logged = trainer.callback_metrics
        chosen = monitor_of(pl_module, logged, wanted=self.wanted)
        if chosen is None:
            if not self.said:
                say("note: no best.ckpt is kept; name the metric that decides it with --monitor")
            self.said = True
            return
        name, mode = chosen
        self.monitor, self.mode = name, self.wanted_mode or mode or direction_of(name)
        self.kth_value = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; nothing in the file is executed.

    Raises:
        MissingFileError: the file does not exist.
        UserError: the file is damaged, or not a Lightning checkpoint.
    """
    if not path.is_file():
        raise MissingFileError(f"no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader fails in many ways on a file of another program
        raise UserError(f"{path} is damaged, or not a checkpoint that can be read safely") from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise UserError(f"{path} is not a Lightning checkpoint: it holds no state_dict")
    if not isinstance(content.get("config", ""), str):
        raise UserError(f"{path} is a checkpoint of another program: its config is not a text")
    return cast(dict[str, Any], content)


def check_weights(path: Path, content: dict[str, Any], module: L.LightningModule) -> None:
    """Checks that a checkpoint's weights fit `module`. Lazy weights take any shape.

    Raises:
        UserError: a weight is missing, is left over or has another shape; names the first.
    """
    theirs, ours = content["state_dict"], module.state_dict()
    kind = type(module).__name__
    for name in [*ours, *theirs]:
        if name not in theirs or name not in ours:
            raise UserError(f"{path} is a checkpoint of another model: {kind} and it differ in {name!r}")
        if is_lazy(ours[name]):
            continue
        if theirs[name].shape != ours[name].shape:
            shapes = f"{tuple(theirs[name].shape)} in the file, {tuple(ours[name].shape)} in the model"
            raise UserError(f"{path} is a checkpoint of another {kind}: {name!r} is {shapes}")
