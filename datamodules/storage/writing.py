"""Writes files completely or not at all, by one process at a time, readable for other users."""

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
"""Mode of a lock file, which is empty. Other users who share the folder may wait for the lock, too."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.EIO}


def part_path(target: Path) -> Path:
    """The temporary path of an incomplete file. Only the process that holds the lock of `target` writes to it."""
    return target.with_name(f".{target.name}.part")


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Locks `target` for this process until the block ends, and waits while another process holds the lock. The system
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
    """Locks a file without waiting. Returns the lock for `release`, or None if another process holds it. The system
    releases the lock of a process that dies."""
    return _take(path, wait=False)


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """Locks `target` and gives its temporary path, for `publish`. A temporary file that is left is deleted."""
    part = part_path(target)
    with locked(target):
        part.unlink(missing_ok=True)
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


def publish(part: Path, target: Path) -> None:
    """Renames a complete file to its final name. After a power failure, either the whole file is there or none."""
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
    """Creates a folder and its parents. Users who may write to the parent may write to the new folder, too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        shared = folder.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not folder.parent.stat().st_mode & stat.S_ISVTX:  # a folder like /tmp is writable for everyone
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | shared)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def sweep(folder: Path, *, of: str | None = None) -> None:
    """Deletes the temporary files and locks that killed processes left in a folder. A file whose lock a process holds
    is kept.

    Args:
        folder: the folder.
        of: name of the file that they belong to. If not given, all are deleted; use this only for folders without files
            of the user.
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


def disk_problem(error: OSError, folder: Path, *, place: str, remedy: str) -> UserError | None:
    """The UserError for a full disk or missing permissions; None if the error has another cause.

    Args:
        error: the error of the system.
        folder: the folder that was written to.
        place: name of the folder in the message, such as "the data cache".
        remedy: advice for the message.
    """
    number = error.errno or next((n for n in FULL | REFUSED if os.strerror(n) in str(error)), None)
    if number in FULL:
        return UserError(f"{place} {folder} is full: free some space, or {remedy}")
    if number in REFUSED:
        return UserError(f"cannot write to {place} {folder} ({os.strerror(number).lower()}): {remedy}")
    return None


def _lock_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _take(path: Path, *, wait: bool) -> FileLock | None:
    """Takes a lock without waiting. Returns None if another process holds it."""
    lock = FileLock(path, mode=LOCK_MODE)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        return None
    return lock


def release(lock: FileLock) -> None:
    """Releases a lock. Its file is deleted first; processes that wait for the lock notice that and create a new
    file."""
    with suppress(OSError):  # Windows cannot delete an open file
        Path(lock.lock_file).unlink()
    lock.release()
