"""The commands to type after a training. Each can be copied, and fits 80 columns."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.model_helpers import is_overridden

from datamodules import TextDataModule
from lit_models.report.facts import PROGRAM
from lit_models.tasks.task import LitTask

WIDTH = 80


def command_line(*words: str, program: str = PROGRAM) -> str:
    """A command, as it is typed."""
    return f"{program} {shlex.join(words)}"


def next_steps(
    trainer: L.Trainer, folder: Path, *, program: str, tested: bool, patience: tuple[str, ...] | None
) -> list[str]:
    """The commands that can follow a training, in lines.

    Args:
        trainer: that has trained.
        folder: the run folder.
        program: how the commands of the Trainer are called.
        tested: whether the model was tested after the training.
        patience: the flags with which a run that has stopped early goes on; None if it has not stopped early.
    """
    longer = _longer(trainer) if patience is None else patience
    commands = _commands(trainer, folder, tested=tested, longer=longer)
    lines = [line for words in commands for line in wrapped(command_line(*words, program=program))]
    lines += wrapped(command_line("report", str(folder)))
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        lines += wrapped(shlex.join(["tensorboard", "--logdir", str(folder.parent)]))
    return ["next", *(f"  {line}" for line in lines)]


def _commands(trainer: L.Trainer, folder: Path, *, tested: bool, longer: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    best, last = (folder / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    checkpoint = next((path for path in (best, last) if path.is_file()), None)
    if checkpoint is not None and tested:
        yield ("test", "--ckpt_path", str(checkpoint))
    if checkpoint is not None and _can_predict(trainer, tested=tested):
        yield ("predict", "--ckpt_path", str(checkpoint))
    elif checkpoint is not None and isinstance(trainer.datamodule, TextDataModule):  # type: ignore[attr-defined]
        yield ("predict", "--ckpt_path", str(checkpoint), "--inputs", "a text of your own")
    if last.is_file() and longer:
        yield ("fit", "--resume", str(folder), *longer)


def _can_predict(trainer: L.Trainer, *, tested: bool) -> bool:
    """Whether `predict` needs no further flags: a LitTask predicts the test split."""
    module = trainer.lightning_module
    if isinstance(module, LitTask):
        return tested
    data = trainer.datamodule  # type: ignore[attr-defined]
    return is_overridden("predict_dataloader", module if data is None else data)


def _longer(trainer: L.Trainer) -> tuple[str, ...]:
    """The flags with which a training goes on for as long again; empty if it has no limit."""
    limits = {"max_epochs": trainer.max_epochs, "max_steps": trainer.max_steps}
    flags = [(f"--trainer.{name}", str(2 * limit)) for name, limit in limits.items() if limit is not None and limit > 0]
    return tuple(word for flag in flags for word in flag)


def wrapped(command: str) -> list[str]:
    r"""A command in lines of at most 78 characters, joined by `\` at their ends. A word is never broken, and a flag is
    on the line of its value if both fit."""
    parts: list[str] = []
    for word in map(shlex.quote, shlex.split(command)):
        flag = parts[-1] if parts and parts[-1].startswith("--") else ""
        if flag and " " not in flag and len(flag) + len(word) < WIDTH - 8:
            parts[-1] = f"{flag} {word}"
        else:
            parts.append(word)
    lines = [""]
    for word in parts:
        if lines[-1] and len(lines[-1]) + len(word) + 3 > WIDTH - 2:
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines
