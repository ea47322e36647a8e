"""Files that are written completely or not at all, by one process at a time, and that other users can read."""

import errno
import glob
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from datamodules.errors import UserError

LOCK_MODE = 0o666
"""Other users who share the folder may wait for a lock, too. Its file is empty."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.EIO}


def part_path(target: Path) -> Path:
    """The temporary name of a file that is not complete. Only the process that holds the lock of `target` writes it."""
    return target.with_name(f".{target.name}.part")


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Keeps other processes from writing `target` until the block ends; waits for one that is writing it. The system
    releases the lock of a process that dies."""
    path = _lock_path(target)
    lock = _take(path, wait=False)
    if lock is None:
        print(f"waiting for another process that writes {target} …", file=sys.stderr, flush=True)
        lock = _take(path, wait=True)
    assert lock is not None
    try:
        yield
    finally:
        release(lock)


def try_lock(path: Path) -> FileLock | None:
    """The lock in a file, for `release`; None if another process holds it. The system releases the lock of a process
    that dies."""
    return _take(path, wait=False)


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """Locks `target` and provides its temporary path, for `publish`. What is left of the temporary file is deleted."""
    part = part_path(target)
    with locked(target):
        part.unlink(missing_ok=True)
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


def publish(part: Path, target: Path) -> None:
    """Gives a complete file its name. After a power failure there is the whole file, or none."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def make_folder(folder: Path) -> None:
    """Creates a folder and those above it. Who may write to the folder above may write to the new one too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        shared = folder.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not folder.parent.stat().st_mode & stat.S_ISVTX:  # everyone may write to a folder like /tmp
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | shared)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def sweep(folder: Path, *, of: str | None = None) -> None:
    """Deletes the temporary files and locks that killed processes left in a folder; never a file whose lock a living
    process holds.

    Args:
        folder: where they are.
        of: name of the file that they belong to; all of them if not given, for folders with no files of users.
    """
    name = "*" if of is None else glob.escape(of)
    for path in sorted([*folder.glob(f".{name}.part"), *folder.glob(f".{name}.lock")]):
        with suppress(OSError):
            lock = try_lock(path.with_suffix(".lock"))
            if lock is not None:
                try:
                    path.with_suffix(".part").unlink(missing_ok=True)
                finally:
                    release(lock)


def disk_problem(error: OSError, folder: Path, *, what: str, remedy: str) -> UserError | None:
    """The mistake behind an error while writing to a folder; None if the error has another cause.

    Args:
        error: what the system reported.
        folder: where the file was to be written.
        what: the folder's name in the message, such as "the data cache".
        remedy: what to do.
    """
    number = error.errno or next((n for n in FULL | REFUSED if os.strerror(n) in str(error)), None)
    if number in FULL:
        return UserError(f"{what} {folder} is full: free some space, or {remedy}")
    if number in REFUSED:
        return UserError(f"cannot write to {what} {folder} ({os.strerror(number).lower()}): {remedy}")
    return None


def _lock_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _take(path: Path, *, wait: bool) -> FileLock | None:
    """A lock that this process now holds, or None if another process holds it."""
    lock = FileLock(path, mode=LOCK_MODE)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        return None
    return lock


def release(lock: FileLock) -> None:
    """Gives a lock free. Its file is deleted before, so that none is left; who waits for it notices that."""
    with suppress(OSError):  # Windows deletes no open file
        Path(lock.lock_file).unlink()
    lock.release()
