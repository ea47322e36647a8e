"""Downloads over https: a file arrives completely or not at all, and its checksum is verified.

If several processes need a file, one of them downloads it.
"""

import hashlib
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.locations import offline
from datamodules.storage.writing import disk_problem, locked, make_folder, part_path, publish, sweep

STALLED = 30.0  # seconds without enough data before a connection is closed
LEAST_RATE = 1024  # bytes a second; a slower connection counts as stalled
ATTEMPTS = 3  # per address; an attempt continues where the last one ended
BLOCK = 2**16


class Published(NamedTuple):
    """A file as it is published.

    Args:
        urls: addresses of the file, tried in this order.
        most_bytes: maximum size in bytes; the download of a larger file is stopped.
        sha256: SHA-256 of the file, in hexadecimal.
    """

    urls: tuple[str, ...]
    most_bytes: int
    sha256: str


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


def fetch(published: Published, target: Path, *, remedy: str | None = None, stalled: float = STALLED) -> None:
    """Downloads a file to `target`, completely or not at all. A file that is already there is accepted unchecked.

    One process downloads, and others that need the same file wait for it. A download that was interrupted is continued,
    also after its process was killed.

    Args:
        published: the file.
        target: path of the downloaded file.
        remedy: what a user can do without a network; "put the file at `target`" if not given.
        stalled: seconds without enough data before a connection is closed.

    Raises:
        MissingFileError: the file cannot be downloaded, or LIT_MODELS_OFFLINE forbids it.
        UserError: the downloaded file is not the published one, or cannot be written.
    """
    if target.is_file():
        sweep(target.parent, of=target.name)
        return
    remedy = remedy or f"put the file at {target}"
    if offline():
        raise MissingFileError(f"{target} is missing, and LIT_MODELS_OFFLINE forbids to download it: {remedy}")
    try:
        make_folder(target.parent)
        with locked(target):
            if not target.is_file():  # another process may have downloaded it
                _download(published, target, remedy=remedy, stalled=stalled)
    except UserError:
        raise
    except OSError as error:
        move = "set LIT_MODELS_DATA or LIT_MODELS_CACHE to another folder"
        raise disk_problem(error, target.parent, place="the data folder", remedy=move) or error from error


class _Failed(Exception):
    """A download failed; the message gives the reason."""


class _Interrupted(_Failed):
    """A download ended too early; it can be continued."""


class _HttpsOnly(HTTPRedirectHandler):
    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https":
            raise _Failed(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """Opens https addresses only, through the proxy that the environment variables set."""
    opener = OpenerDirector()
    handlers = (ProxyHandler(), UnknownHandler(), HTTPSHandler(context=ssl.create_default_context()))
    for handler in (*handlers, HTTPDefaultErrorHandler(), _HttpsOnly(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    return opener


def _download(published: Published, target: Path, *, remedy: str, stalled: float) -> None:
    """Tries the addresses in turn until the whole file is at `target`."""
    part, wrong, reasons = part_path(target), False, []
    for url in published.urls:
        resumed = part.is_file()
        try:
            _download_from(url, part, most_bytes=published.most_bytes, stalled=stalled)
            if resumed and sha256(part) != published.sha256:  # the part may come from another file
                part.unlink()
                _download_from(url, part, most_bytes=published.most_bytes, stalled=stalled)
        except _Failed as error:
            reasons.append(f"cannot download {url} ({error})")
            continue
        if sha256(part) == published.sha256:
            publish(part, target)
            return
        part.unlink()
        wrong = True
        reasons.append(f"{url} arrived with a wrong checksum")
    kind = UserError if wrong else MissingFileError
    raise kind(f"{'; '.join(reasons)}: {'try again, or ' if wrong else ''}{remedy}")


def _download_from(url: str, part: Path, *, most_bytes: int, stalled: float) -> None:
    """Downloads to `part`, or continues it. If an attempt fails, the data that arrived stay there.

    Raises:
        _Failed: says why.
    """
    for attempt in range(ATTEMPTS):
        try:
            _attempt(url, part, most_bytes=most_bytes, stalled=stalled)
            return
        except _Interrupted:
            if attempt == ATTEMPTS - 1:
                raise


def _attempt(url: str, part: Path, *, most_bytes: int, stalled: float) -> None:
    have = part.stat().st_size if part.is_file() else 0
    request = Request(url, headers={"User-Agent": "lit-models", **({"Range": f"bytes={have}-"} if have else {})})  # noqa: S310
    try:
        response = _opener().open(request, timeout=stalled)
    except HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:  # the part is longer than the file
            part.unlink()
            raise _Interrupted("the server has no such part") from error
        raise _Failed(" ".join(f"{error.code} {error.reason}".split())) from error
    except (OSError, HTTPException) as error:
        raise _Failed(_reason(error, stalled)) from error
    with closing(response):
        if not str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
            have = 0  # the server sends the whole file
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        too_long = f"it has more than {most_bytes:,} bytes"
        if (total or 0) > most_bytes:
            raise _Failed(too_long)
        with part.open("r+b" if have else "wb") as file, _bar(part, have, total) as bar:
            file.seek(have)
            for block in _blocks(response, stalled=stalled):
                have += len(block)
                if have > most_bytes:
                    file.truncate(0)
                    raise _Failed(too_long)
                file.write(block)
                bar.update(len(block))
    if total is not None and have < total:
        raise _Interrupted(f"the connection ended after {have:,} of {total:,} bytes")


def _blocks(response: Any, *, stalled: float) -> Iterator[bytes]:
    """Yields the blocks of a response as they arrive.

    Raises:
        _Interrupted: the connection broke, or too little arrived in `stalled` seconds.
    """
    start, arrived = time.monotonic(), 0
    while True:
        try:
            block = response.read1(BLOCK)
        except (OSError, HTTPException) as error:
            raise _Interrupted(_reason(error, stalled)) from error
        if not block:
            return
        yield block
        arrived += len(block)
        if (passed := time.monotonic() - start) > stalled:
            if arrived < LEAST_RATE * passed:
                raise _Interrupted(f"only {arrived:,} bytes in {passed:.0f} s")
            start, arrived = time.monotonic(), 0


def _bar(part: Path, have: int, total: int | None) -> Any:
    from tqdm import tqdm

    name = part.name.removeprefix(".").removesuffix(".part")
    return tqdm(desc=name, initial=have, total=total, unit="B", unit_scale=True, disable=None, leave=False)


def _reason(error: Exception, stalled: float) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer for {stalled:g} s"
    return f"no network? {' '.join(str(cause).split())}" if str(cause) else type(cause).__name__
