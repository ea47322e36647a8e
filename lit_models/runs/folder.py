"""The run folder, `runs/<experiment>/<version>/`. Each run creates its own."""

import contextlib
import os
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.writing import release, try_lock
from lit_models.runs.checkpoint_files import verify
from lit_models.runs.progress import warn

RESUMED = ("last.ckpt", "previous.ckpt")
"""Checkpoints from which a fit continues in the same run folder. From other files, it starts a new run."""


class Claim:
    """A lock on a run folder, so that only one process trains there. The system releases it when the process ends.

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
        """Releases the folder."""
        if self.lock is not None and self.lock.is_locked:
            release(self.lock)


def checkpoint_to_resume(run: str) -> Path | None:
    """The newest undamaged checkpoint of a run; None if the run was stopped before its first one.

    Args:
        run: the run folder, or a checkpoint in it.

    Raises:
        MissingFileError: the folder does not exist, or is not a run folder.
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
            warn(f"{error}; going on from {files[-1].name}, the one before")
        else:
            return file
    return files[-1] if files else None


STARTED_IN = "# Started in "


def reserve(runs_dir: Path, experiment: str) -> Path:
    """Creates a new folder `version_N`, also if several runs start at once. Only the first process of a run creates it;
    the others get a preliminary name, and take over the folder of the first process later.

    Raises:
        UserError: the folder cannot be created.
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
    """The run folder of a checkpoint; None if it is not in a run folder."""
    folder = checkpoint.parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file() else None


def newest_config(run: Path) -> Path:
    """The config of a run; after a resume with other settings, the newest `config_N.yaml`."""
    numbers = [int(n) for path in run.glob("config_*.yaml") if (n := path.stem.removeprefix("config_")).isdigit()]
    return run / (f"config_{max(numbers)}.yaml" if numbers else "config.yaml")


def config_text(text: str) -> str:
    """The content of `config.yaml`: a first line with the folder in which the run was started, and then the
    settings."""
    return f"{STARTED_IN}{os.getcwd()}\n{text}"


def start_folder(config: Path) -> Path | None:
    """The folder in which the run of a `config.yaml` was started, if the file names it and it exists."""
    with contextlib.suppress(OSError, UnicodeDecodeError, ValueError), config.open(encoding="utf-8") as file:
        first = file.readline()
        folder = Path(first.removeprefix(STARTED_IN).rstrip("\n"))
        return folder if first.startswith(STARTED_IN) and folder.is_absolute() and folder.is_dir() else None
    return None


def remove_empty(folder: Path) -> None:
    """Removes an empty run folder, and its parents that are then empty."""
    if getattr(rank_zero_only, "rank", 0):
        return
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
