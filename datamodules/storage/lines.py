"""Reads the lines of text files, packed or not, and reports a mistake with its line."""

import gzip
import io
import os
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.limits import Budget, longest_line

File = BinaryIO | gzip.GzipFile


def numbered_lines(path: Path, *, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """The lines of a file with their ends, each with its number from 1. A byte order mark is removed. A file `.gz` is
    unpacked.

    Args:
        path: the file.
        encoding: its encoding; UTF-8 if None.

    Raises:
        MissingFileError: no such file.
        UserError: the path is a folder, a pipe or a device, or the file cannot be read, has another encoding, contains
            a NUL byte, or has a line of more than 16 MiB (see `longest_line`), or unpacks to 100 times its size.
    """
    longest = longest_line()
    name = encoding or "UTF-8"
    decode = _utf8_lines if encoding is None else partial(_decoded_lines, encoding=encoding)
    with opened(path) as file, closing(decode(path, file, longest)) as lines:
        budget = Budget(path, streamed=True) if isinstance(file, gzip.GzipFile) else None
        for number, (length, text) in enumerate(lines, start=1):
            if budget is not None:
                budget.spend(length)
            if length > longest:
                advice = "set LIT_MODELS_MAX_GB to a larger number if it is right"
                raise UserError(f"{path}:{number}: a line of more than {longest:,} bytes; {advice}")
            if "\0" in text:
                raise UserError(f"{path}:{number}: a NUL byte, expected {name} text")
            yield number, text


def _utf8_lines(path: Path, file: File, longest: int) -> Generator[tuple[int, str], None, None]:
    """The length of each line in bytes, and its text; the text of a line that is too long is empty."""
    for number, line in enumerate(iter(lambda: file.readline(longest + 1), b""), start=1):
        raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        try:
            text = "" if len(line) > longest else raw.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte 0x{raw[error.start]:02x} at position {error.start + 1} of the line"
            raise UserError(f"{path}:{number}: not UTF-8 ({byte}); save the file as UTF-8") from error
        yield len(line), text


def _decoded_lines(path: Path, file: File, longest: int, encoding: str) -> Generator[tuple[int, str], None, None]:
    """The length of each line in characters, and its text."""
    lines = io.TextIOWrapper(cast(BinaryIO, file), encoding, newline="\n")
    number = 1
    try:
        while line := lines.readline(longest + 1):
            yield len(line), line.removeprefix("\ufeff") if number == 1 else line
            number += 1
    except UnicodeError as error:
        raise UserError(f"{path}:{number}: not {encoding}: set --data.encoding to its encoding") from error
    finally:
        lines.detach()  # the file is closed by its owner


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """A file, opened for reading bytes. A file `.gz` is unpacked.

    Raises:
        MissingFileError: no such file.
        UserError: the path is not a file, cannot be read, or is a damaged archive.
    """
    require_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read: {error.strerror}") from error
    with file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as archive:
                yield archive
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f"{path}: this gzip file is damaged: {error}") from error


def suffix_of(path: Path) -> str:
    """The suffix of a file in lower case; with the one before it if the file is packed, as in ".csv.gz"."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()


def home_path(text: str) -> Path:
    """A path; "~" at its beginning is the user's home. An unknown user's name after it is part of the path."""
    return Path(os.path.expanduser(text))


def file_paths(files: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """The paths in a setting that names no file, one, or several. From Python, they may be paths already.

    Raises:
        UserError: a file is named twice.
    """
    names = [files] if isinstance(files, str | Path) else list(files or [])
    paths = [home_path(str(name)) for name in names if name]
    if doubled := next((path for i, path in enumerate(paths) if path in paths[:i]), None):
        raise UserError(f"{doubled} is named twice: leave one out")
    return paths


def require_file(path: Path) -> None:
    """Checks that a path is a file. Pipes and devices are refused, because reading them might never end.

    Raises:
        MissingFileError: the path does not exist.
        UserError: the path is not a file.
    """
    if path.is_file():
        return
    if path.exists():
        raise UserError(f"{path} is a {'folder' if path.is_dir() else 'pipe or a device'}, expected a file")
    raise MissingFileError(f"{path}: no such file")


def require_utf8(text: str, place: str) -> str:
    """Returns the text. Refuses half of a surrogate pair, which tokenizers cannot read.

    Raises:
        UserError: the text contains half of a surrogate pair; the message begins with `place`.
    """
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            byte = 0xDC80 <= code <= 0xDCFF  # Python's mark of a byte that it could not decode
            fault = f"byte 0x{code - 0xDC00:02X}" if byte else f"lone surrogate U+{code:04X}"
            raise UserError(f"{place}: the text is not UTF-8 ({fault})") from error
    return text
