"""Texts and their labels, row by row, out of table files and text files."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_only

from datamodules.errors import UserError
from datamodules.storage.lines import numbered_lines, require_utf8
from datamodules.storage.table_files import READERS, read_rows, suffixes
from datamodules.words.labels import read_labels

SHOWN_LINES = 5  # line numbers that a note lists


class Columns(NamedTuple):
    """Which columns of a table are read.

    Args:
        text: name of the column with the text.
        label: name of the column with the label; None if no label is read.
        separator: what stands between the labels of a row; None if each row has one class.
    """

    text: str
    label: str | None = None
    separator: str | None = None


class Record(NamedTuple):
    """A row: `place` is its `file:line` (in a Parquet file, its row from 1), `labels` has the names of its labels."""

    place: str
    text: str
    labels: tuple[str, ...]


def read_records(path: Path, columns: Columns) -> Iterator[Record]:
    """The rows of a table file, in order (see `read_rows`).

    Raises:
        MissingFileError: no such file.
        UserError: a format that cannot be read, or a mistake in the file, with its line.
    """
    names = [columns.text] if columns.label is None else [columns.text, columns.label]
    rows = read_rows(path, names)
    return (as_record(f"{path}:{line}", text, cell, columns) for line, (text, *cell) in rows)


def as_record(place: str, text: Any, label: list[Any], columns: Columns) -> Record:
    """The record of a row with a text and, unless labels are not read, the one cell with its label.

    Raises:
        UserError: the text is not a string, or the label is wrong; the message begins with `place`.
    """
    if not isinstance(text, str):
        problem = "empty" if text is None else f"of type {type(text).__name__}"
        raise UserError(f"{place}: the column {columns.text!r} is {problem}, expected text")
    labels = read_labels(label[0], place, separator=columns.separator) if label else ()
    return Record(place, require_utf8(text, place), labels)


def read_texts(inputs: Sequence[str], *, text_column: str) -> list[str]:
    """The texts that a user wants predictions for.

    Blank lines of a `.txt` file are left out, and a note on standard error names them.

    Args:
        inputs: sentences, `.txt` files with one text per line, or table files.
        text_column: name of the column with the text in table files.

    Raises:
        MissingFileError: a file does not exist.
        UserError: not a single text, or a mistake in a file.
    """
    texts: list[str] = []
    blank_lines: dict[str, list[int]] = {}
    for item in inputs:
        suffix = Path(item).suffix.lower() if item.strip() else ""
        if suffix not in (".txt", *READERS) or (re.search(r"\s", item) and not os.path.isfile(item)):
            texts.append(require_utf8(item, "inputs"))
        elif suffix == ".txt":
            lines, blank_lines[item] = _text_lines(Path(item).expanduser())
            texts += lines
        else:
            texts += [record.text for record in read_records(Path(item).expanduser(), Columns(text_column))]
    if not any(text.strip() for text in texts):
        raise UserError(f"inputs contain no text: give sentences, or files .txt, {suffixes()}")
    for name, blank in blank_lines.items():
        if blank:
            _note_blank(name, blank)
    return texts


def _text_lines(path: Path) -> tuple[list[str], list[int]]:
    """The texts of a file, and the numbers of its blank lines."""
    texts: list[str] = []
    blank: list[int] = []
    for number, line in numbered_lines(path):
        if line.strip():
            texts.append(line.rstrip("\r\n"))
        else:
            blank.append(number)
    return texts, blank


@rank_zero_only
def _note_blank(file: str, lines: list[int]) -> None:
    """Prints on standard error which lines of a file are blank; in the first process only."""
    shown = ", ".join(map(str, lines[:SHOWN_LINES]))
    more = f" and {len(lines) - SHOWN_LINES:,} more" if len(lines) > SHOWN_LINES else ""
    s = "s" if len(lines) > 1 else ""
    print(f"note: {file}: {len(lines):,} blank line{s} left out (line{s} {shown}{more})", file=sys.stderr, flush=True)
