"""The run folder: `runs/<experiment>/<version>/`, one a run, made by the run that owns it."""

import contextlib
import os
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from datamodules.errors import UserError

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
