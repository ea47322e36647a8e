"""The run folder: `runs/<experiment>/<version>/`, one a run, made by the run that owns it."""

import contextlib
import os
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.writing import release, try_lock
from lit_models.runs.checkpoint_files import verify
from lit_models.runs.progress import say

RESUMED = ("last.ckpt", "previous.ckpt")
"""Checkpoints from which a fit goes on in the folder of its run. From any other, it starts a run of its own."""


class Claim:
    """The right of one process to train in a run folder. The system takes it back when the process ends, whatever ends
    it.

    Args:
        folder: the run folder.

    Raises:
        UserError: another process trains in this folder.
    """

    def __init__(self, folder: Path) -> None:
        self.lock = None
        if not getattr(rank_zero_only, "rank", 0):
            self.lock = try_lock(folder / ".lock")
            if self.lock is None:
                raise UserError(f"{folder} is in use: another process trains there; wait for its end")

    def release(self) -> None:
        """Gives the folder free."""
        if self.lock is not None and self.lock.is_locked:
            release(self.lock)


def checkpoint_to_resume(run: str) -> Path | None:
    """The newest good checkpoint of a run; None where it was stopped before the first one.

    Args:
        run: the run folder, or a checkpoint in it.

    Raises:
        MissingFileError: no such folder, or not one of a run.
        UserError: every checkpoint is damaged.
    """
    path = Path(run).expanduser()
    if path.is_file():
        return path
    if not (path / "config.yaml").is_file():
        raise MissingFileError(
            f"{run} is not a run folder: expected a folder with config.yaml, such as runs/x/version_0"
        )
    files = [f for name in RESUMED if (f := path / "checkpoints" / name).is_file()]
    for file in files[:-1]:
        try:
            verify(file)
        except UserError as error:
            say(f"warning: {error}; going on from {files[-1].name}, the one before")
        else:
            return file
    return files[-1] if files else None


STARTED_IN = "# Started in "


def reserve(runs_dir: Path, experiment: str) -> Path:
    """A new folder `version_N` that no other run uses, also when several runs start at once. Only the first process
    creates it; the others get a name that nothing is written to, and take the first one's later.

    Raises:
        UserError: the place cannot be written to.
    """
    parent = runs_dir / experiment
    if getattr(rank_zero_only, "rank", 0):
        return parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {error.filename}: {error.strerror}; set --runs_dir") from error
    number = 1 + max((int(p.name[8:]) for p in parent.glob("version_*") if p.name[8:].isdigit()), default=-1)
    while True:
        folder = parent / f"version_{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def of_checkpoint(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in, if it lies in one."""
    folder = checkpoint.parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file() else None


def newest_config(run: Path) -> Path:
    """The config of a run; `config_N.yaml` with the highest number where it was resumed with other settings."""
    numbers = [int(n) for path in run.glob("config_*.yaml") if (n := path.stem.removeprefix("config_")).isdigit()]
    return run / (f"config_{max(numbers)}.yaml" if numbers else "config.yaml")


def config_text(text: str) -> str:
    """The content of `config.yaml`: a first line with the folder in which the run was started, and the settings."""
    return f"{STARTED_IN}{os.getcwd()}\n{text}"


def start_folder(config: Path) -> Path | None:
    """The folder in which the run of a `config.yaml` was started, if the file says it and the folder is there."""
    with contextlib.suppress(OSError, UnicodeDecodeError, ValueError), config.open(encoding="utf-8") as file:
        first = file.readline()
        folder = Path(first.removeprefix(STARTED_IN).rstrip("\n"))
        return folder if first.startswith(STARTED_IN) and folder.is_absolute() and folder.is_dir() else None
    return None


def new_file(folder: Path, name: str) -> Path:
    """`folder/name`, or `name` with the next free number before its suffix: nothing is overwritten."""
    wanted = folder / name
    number = 1
    while wanted.exists():
        number += 1
        wanted = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
    return wanted


def remove_empty(folder: Path) -> None:
    """Removes a run folder in which nothing was written, and the folders above it that are empty too."""
    if getattr(rank_zero_only, "rank", 0):
        return
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
