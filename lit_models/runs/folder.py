"""The run folder: `runs/<experiment>/<version>/`, one a run, made by the run that owns it."""

import contextlib
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only


def reserve(runs_dir: Path, experiment: str) -> Path:
    """A new folder `version_N` that no other run has, however many start at once. Only the first process makes it;
    the others get a name that nothing is written to, and follow the first one's."""
    parent = runs_dir / experiment
    if getattr(rank_zero_only, "rank", 0):
        return parent
    parent.mkdir(parents=True, exist_ok=True)
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


def new_file(folder: Path, name: str) -> Path:
    """`folder/name`, or `name` with the next free number before its suffix: nothing is overwritten."""
    wanted = folder / name
    number = 1
    while wanted.exists():
        number += 1
        wanted = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
    return wanted


def remove_empty(folder: Path) -> None:
    """Takes a run folder away in which nothing was written, and those above it that are empty too."""
    if getattr(rank_zero_only, "rank", 0):
        return
    with contextlib.suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
