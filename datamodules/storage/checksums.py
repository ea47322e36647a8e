"""Checksums of data files, computed again only when a file has changed, and notes about data."""

import json
import os
import sys
import time
from contextlib import suppress
from hashlib import sha256 as digest
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.storage.downloads import sha256
from datamodules.storage.locations import data_cache
from datamodules.storage.progress import are_hidden
from datamodules.storage.writing import make_folder, part_of, publish, sweep

if TYPE_CHECKING:
    from torch import Tensor

SETTLED_NS = 2_000_000_000  # a file that changed less than this before it was read could change again at the same time


def recorded_sha256(path: Path) -> str:
    """SHA-256 of a file. The file is read only if its size, times or inode have changed since the data cache recorded
    the checksum. Callers compare the checksum with the expected one each time; the record does not contain the result.

    Raises:
        UserError: the file cannot be read.
    """
    record = _record_path(path)
    before = _state(path)
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(record.read_bytes())
        if before is not None and content["state"] == before and len(content["sha256"]) == 64:
            return str(content["sha256"])
    started = time.time_ns()
    checksum = sha256(path)
    if (
        before is not None
        and before == _state(path)
        and started - max(before["mtime_ns"], before["ctime_ns"]) > SETTLED_NS
    ):
        with suppress(OSError):  # a cache that cannot be written costs time only
            make_folder(record.parent)
            sweep(record.parent)
            with part_of(record) as part:
                part.write_text(json.dumps({"path": str(path), "state": before, "sha256": checksum}), encoding="utf-8")
                publish(part, record)
    return checksum


def array_checksum(*arrays: "Tensor") -> str:
    """SHA-256 over the bytes of arrays that do not come from a file."""
    joined = digest()
    for array in arrays:
        joined.update(array.numpy().tobytes())
    return joined.hexdigest()


def note(text: str) -> None:
    """Prints a note about data on standard error, in the first process only, unless notes are hidden."""
    from lightning.pytorch.utilities import rank_zero_only

    if not are_hidden():
        rank_zero_only(print)(f"note: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """A text of the data for a terminal: characters that could control it are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _record_path(path: Path) -> Path:
    name = digest(os.fsencode(path.absolute())).hexdigest()[:32]
    return data_cache() / "checksums" / f"{name}.json"


def _state(path: Path) -> dict[str, int] | None:
    try:
        s = path.stat()
    except OSError:
        return None
    return {
        "device": s.st_dev,
        "inode": s.st_ino,
        "size": s.st_size,
        "mtime_ns": s.st_mtime_ns,
        "ctime_ns": s.st_ctime_ns,
    }
