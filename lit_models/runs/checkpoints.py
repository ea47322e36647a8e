"""Checkpoint files: `last.ckpt` after every epoch, `best.ckpt` by validation accuracy; each has its run's config."""

from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint


class SaveConfig(Callback):
    """Writes `config.yaml` when training begins, that is, after the data was found to be readable; and the same text
    into each checkpoint, so that the file alone is enough to test and predict.

    Args:
        folder: the run folder.
        config: the complete config, YAML.
    """

    def __init__(self, folder: Path, config: str) -> None:
        self.folder, self.config = folder, config

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            (self.folder / "config.yaml").write_text(self.config, encoding="utf-8")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt`: the weights after the newest epoch, its validation included.

    Lightning's `ModelCheckpoint` would do the same, and look after each step whether to.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.ckpt"

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`: the weights of the epoch with the highest `val/acc`, the earliest of equal ones.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            filename="best",
            monitor="val/acc",
            mode="max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; nothing in the file is executed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or no checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader fails in many ways on a file that is none of its own
        raise ValueError(f"{path} is damaged, or no checkpoint that can be read safely") from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ValueError(f"{path} is no Lightning checkpoint: it holds no state_dict")
    if not isinstance(content.get("config", ""), str):
        raise ValueError(f"{path} is a checkpoint of another program: its config is no text")
    return cast(dict[str, Any], content)


def check_weights(path: Path, content: dict[str, Any], module: L.LightningModule) -> None:
    """Checks that a checkpoint's weights are those of `module`.

    Raises:
        ValueError: a weight is missing, is left over or has another shape; names the first.
    """
    theirs, ours = content["state_dict"], module.state_dict()
    kind = type(module).__name__
    for name in [*ours, *theirs]:
        if name not in theirs or name not in ours:
            raise ValueError(f"{path} is a checkpoint of another model: {kind} and it differ in {name!r}")
        if theirs[name].shape != ours[name].shape:
            shapes = f"{tuple(theirs[name].shape)} in the file, {tuple(ours[name].shape)} in the model"
            raise ValueError(f"{path} is a checkpoint of another {kind}: {name!r} is {shapes}")
