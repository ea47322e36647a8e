"""Replaces files atomically: writes a temporary file, flushes it to the disk, and renames it."""

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
    """Gives a temporary path beside `path`. At the end, the temporary file replaces `path`. After a crash, a kill or a
    full disk, the old file is unchanged.

    Raises:
        UserError: the file cannot be written; the message has the file and the reason.
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
        kept = "; the file that was there is unchanged" if path.is_file() else ""
        raise UserError(f"{path} cannot be written: {reason}{kept}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def save(content: Any, part: Path) -> None:
    """Writes an object with `torch.save`.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        with part.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch hides the error of a full disk
            raise error.__context__ from error
        raise


def link(path: Path, name: Path) -> None:
    """Gives the present content of a file a second name. An existing file of that name is replaced atomically."""
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
    """Waits until a file is written to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove_parts(folder: Path) -> None:
    """Removes temporary files that a killed process left in `folder`. Only the owner of the folder may call this."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def _umask() -> int:
    """The umask of this process, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
