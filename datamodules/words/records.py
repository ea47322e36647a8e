"""Reads texts and their labels, row by row, from table files and text files."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import UserError
from datamodules.storage.dialects import Dialect
from datamodules.storage.inputs import STANDARD_INPUT, Reads, Skipped, Text, input_lines, items, note_blank
from datamodules.storage.lines import numbered_lines, require_utf8
from datamodules.storage.spool import TextSpool
from datamodules.storage.table_files import FOUND, READERS, read_rows
from datamodules.words.labels import read_labels

SHOWN_COLUMNS = 10
READS = Reads("text file", frozenset({".txt", *READERS}), texts=True)
NO_TEXT = f"inputs contain no text: give {READS.expected}"
"""The message if there is nothing to predict."""


class Columns(NamedTuple):
    """The columns of a table that are read.

    Args:
        text: name of the column with the text.
        label: name of the column with the label; None if no label is read.
        separator: text between the labels of a row; None if each row has one class.
        dialect: separator and encoding of a delimited table.
    """

    text: str
    label: str | None = None
    separator: str | None = None
    dialect: Dialect = FOUND


class Record(NamedTuple):
    """One row. `place` is `file:line` (in a Parquet file, the number of the row, from 1); `labels` has the label
    names."""

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
    rows = read_rows(path, names, columns.dialect)
    return (as_record(f"{path}:{line}", text, cell, columns) for line, (text, *cell) in rows)


def as_record(place: str, text: Any, label: list[Any], columns: Columns) -> Record:
    """The record of a row. The row has a text and, if labels are read, one cell with the label.

    Raises:
        UserError: the text is not a string, or the label is wrong; the message begins with `place`.
    """
    if not isinstance(text, str):
        problem = "empty" if text is None else f"of type {type(text).__name__}"
        raise UserError(f"{place}: the column {columns.text!r} is {problem}, expected text")
    labels = read_labels(label[0], place, separator=columns.separator) if label else ()
    return Record(place, require_utf8(text, place), labels)


def read_texts(
    inputs: Sequence[str | Path], text_column: str, skipped: Skipped, *, dialect: Dialect = FOUND
) -> TextSpool:
    """The texts to predict, in order.

    Blank lines of a `.txt` file are left out, and a note on standard error names them. A file that contains a mistake
    is skipped as a whole; of standard input, a line is.

    Args:
        inputs: sentences; `.txt` files with one text per line, or table files; folders or patterns of them; or "-" for
            standard input (see `input_texts`).
        text_column: name of the column with the text in table files.
        skipped: collects the inputs that cannot be read.
        dialect: separator and encoding of delimited tables.
    """
    texts, columns = TextSpool(), Columns(text_column, dialect=dialect)
    for item in items(inputs, READS, skipped):
        before = len(texts)
        try:
            for text in _texts_of(item, columns, skipped):
                texts.append(text)
        except UserError as problem:
            texts.truncate(before)
            skipped.add(problem)
    return texts


def _texts_of(item: Any, columns: Columns, skipped: Skipped) -> Iterator[str]:
    if not isinstance(item, str | Path):
        raise UserError(f"an input is of type {type(item).__name__}, expected a text or the path of a file")
    if item == STANDARD_INPUT and not isinstance(item, Text):
        yield from input_texts(columns.text, skipped)
    elif not isinstance(item, Path):
        yield require_utf8(item, ascii(item[:40]))
    elif item.suffix.lower() == ".txt":
        blank: list[int] = []
        found = False
        for text in _text_lines(item, blank):
            found = True
            yield text
        if found and blank:
            note_blank(str(item), blank)
    else:
        yield from (record.text for record in read_records(item, columns))


def input_texts(text_column: str, skipped: Skipped) -> Iterator[str]:
    """The texts of standard input: one a line, or one a JSON object if the first line is a JSON object."""
    json_lines = None
    for place, line in input_lines(skipped):
        if json_lines is None:
            json_lines = isinstance(_object_in(line), dict)
        if not json_lines and isinstance(_object_in(line), dict):
            skipped.add(UserError(f"{place}: a JSON object, and the first line is plain text"))
            continue
        if not json_lines:
            yield line
            continue
        row = _object_in(line)
        try:
            if not isinstance(row, dict):
                raise UserError(f"{place}: not a JSON object, as the first line is")
            if text_column not in row:
                names = ", ".join(map(repr, list(row)[:SHOWN_COLUMNS]))
                raise UserError(f"{place}: no {text_column!r} among {names}; --data.text_column names another one")
            yield as_record(place, row[text_column], [], Columns(text_column)).text
        except UserError as problem:
            skipped.add(problem)


def _object_in(line: str) -> Any:
    """The JSON object in a line; None if there is none."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _text_lines(path: Path, blank: list[int]) -> Iterator[str]:
    """The texts of a file. The numbers of its blank lines are added to `blank`."""
    for number, line in numbered_lines(path):
        if line.strip():
            yield line.rstrip("\r\n")
        else:
            blank.append(number)
