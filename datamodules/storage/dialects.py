"""The separator and the encoding of delimited tables: as the user says, or as they are found in the file.

A file is UTF-8 if it has no byte that contradicts this. UTF-16 is found by its byte order mark. A file in which no
letter is UTF-8, as spreadsheets for Windows write them, is read as Windows-1252. A note says what was found.
"""

import codecs
import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import UserError
from datamodules.storage.checksums import note
from datamodules.storage.lines import opened

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
NAMES = {"tab": "\t", "\\t": "\t"}
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
WINDOWS = "cp1252"
LOOKED_AT = 2**26
"""Bytes at the beginning of a file in which its encoding is looked for."""


class Dialect(NamedTuple):
    """How a delimited table is written.

    Args:
        delimiter: character between two cells; found in the header if None.
        encoding: Python's name of the encoding; found in the file if None.
    """

    delimiter: str | None = None
    encoding: str | None = None


def make_dialect(delimiter: str | None, encoding: str | None) -> Dialect:
    """The dialect of the user's settings.

    Raises:
        UserError: not one character, or an unknown encoding.
    """
    delimiter = NAMES.get(delimiter or "", delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
        raise UserError(f"delimiter must be one character, such as ';', or tab, got {delimiter!r}")
    if encoding is not None:
        try:
            "a".encode(encoding)
        except LookupError as error:
            raise UserError(f"unknown encoding {encoding!r}: give one such as utf-8, utf-16 or cp1252") from error
    return Dialect(delimiter, encoding)


def encoding_of(path: Path) -> str | None:
    """The encoding of a file that is not UTF-8; None for UTF-8, and for a damaged file, which its reader refuses."""
    status = path.stat()
    encoding = _found_encoding(path, status.st_size, status.st_mtime_ns)
    if encoding:
        _say(path, f"is read as {encoding}, not UTF-8; --data.encoding decides")
    return encoding


@cache
def _found_encoding(path: Path, size: int, mtime_ns: int) -> str | None:
    """Reads the file. Size and time of the last change are given so that a changed file is read again."""
    found, num_bytes = None, 0
    with opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(2**20), b""), start=1):
            if number == 1 and line.startswith(UTF16):
                return "utf-16"
            num_bytes += len(line)
            if num_bytes > LOOKED_AT:
                break
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                if len(line) == 2**20 or not _is_windows(line):
                    return None
                found = WINDOWS
            else:
                return None
    return found


def _is_windows(line: bytes) -> bool:
    """Whether a line can be Windows-1252: each byte has a character, and none controls a device."""
    try:
        return not any(letter < " " and letter not in "\t\r\n" for letter in line.decode(WINDOWS))
    except UnicodeDecodeError:
        return False


def delimiter_of(path: Path, header: str, columns: list[str] | None) -> str:
    """The delimiter of a table: the comma if the header then has the columns, otherwise the one that gives the most
    names.

    Args:
        path: the file, for the note.
        header: the first line.
        columns: names that the header must have, if known.
    """
    names = {mark: _names(header, mark) for mark in DELIMITERS}
    wanted = set(columns or ())
    best = max(DELIMITERS, key=lambda mark: (wanted <= set(names[mark]), len(names[mark])))
    if columns and wanted <= set(names[","]):
        best = ","
    if best != ",":
        _say(path, f"has {DELIMITERS[best]} between its cells; --data.delimiter decides")
    return best


def _names(header: str, delimiter: str) -> list[str]:
    """The names in a header; none if it cannot be read, which its reader reports."""
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return []


@cache
def _say(path: Path, text: str) -> None:
    """Prints a note once."""
    note(f"{path} {text}")
