"""Files that are replaced as a whole: written beside their place, flushed to the disk, and renamed."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from datamodules.errors import UserError
from datamodules.storage.writing import publish

FULL = {
    errno.ENOSPC: "no space is left",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is too large",
}


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Provides a temporary path beside `path`. At the end, its file takes the place of `path`, all at once: a crash, a
    kill or a full disk leaves the old file as it was.

    Raises:
        UserError: the file cannot be written; names the file and why.
    """
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        os.fchmod(handle, 0o666 & ~_umask())
        os.close(handle)
        yield part
        publish(part, path)
    except OSError as error:
        reason = FULL.get(error.errno or 0) or error.strerror or str(error)
        raise UserError(f"{path} cannot be written: {reason}; the file that was there is unchanged") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def save(content: Any, part: Path) -> None:
    """Writes what torch can save.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        with part.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch hides that the disk is full
            raise error.__context__ from error
        raise


def link(path: Path, name: Path) -> None:
    """Gives a file a second name, which then stays with its present content. The name is replaced all at once."""
    part = name.with_name(f".{name.name}.link.part")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(path, part)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, part)
        publish(part, name)
    except OSError as error:
        raise UserError(f"{name} cannot be written: {FULL.get(error.errno or 0) or error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Waits until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove_parts(folder: Path) -> None:
    """Removes what a killed process has left of files that it was writing in `folder`. Only for the owner of it."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def _umask() -> int:
    """The process's mask of file modes, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
