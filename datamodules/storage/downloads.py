"""Files that arrive complete or not at all, and their checksums."""

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from datamodules.errors import MissingFileError, UserError

DOWNLOAD_TIMEOUT = 30  # seconds without an answer


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read: {error.strerror}") from error


def fetch(url: str, target: Path, *, md5: str) -> None:
    """Downloads `url` to `target`, completely or not at all. A file that is already there is accepted unchecked.

    Raises:
        MissingFileError: the file cannot be downloaded.
        UserError: the downloaded file is not the published one.
    """
    if target.is_file():
        return
    from torchvision.datasets.utils import download_url

    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        download_url(url, str(part.parent), filename=part.name, md5=md5)
        os.replace(part, target)
    except (OSError, HTTPException) as error:
        raise MissingFileError(f"cannot download {url} (no network?): put the file at {target}") from error
    except RuntimeError as error:  # torchvision raises it for a wrong checksum
        raise UserError(f"{url} arrived with a wrong checksum: try again, or put the file at {target}") from error
    finally:
        socket.setdefaulttimeout(timeout)
        part.unlink(missing_ok=True)


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """Provides a temporary path beside `target`, to be renamed when the file is complete; otherwise it is deleted."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
