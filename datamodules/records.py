"""Texts with labels out of CSV, TSV, JSON Lines and Parquet files, row by row, with `file:line` for what is wrong."""

import csv
import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_only

FIELD_LIMIT = 2**24  # characters in a field of a CSV; a quote that is not closed soon reaches it
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
TEXT_SUFFIXES = (".txt", *TABLE_SUFFIXES)
SHOWN_LINES = 5  # whose numbers a note lists


class Record(NamedTuple):
    """A row: `place` is its `file:line` (in a Parquet file, its row from 1), `label` its class as text, "" where none
    is read."""

    place: str
    text: str
    label: str


def read_records(path: Path, *, text_column: str, label_column: str | None) -> Iterator[Record]:
    """The rows of a file, in order, reading no more of it at once than it must. Blank lines are skipped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a kind of file that is not read here, or a mistake in it, with its line.
    """
    reader = {
        ".csv": lambda *a: _delimited(*a, delimiter=","),
        ".tsv": lambda *a: _delimited(*a, delimiter="\t"),
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".parquet": _parquet,
    }.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: expected a file {', '.join(TABLE_SUFFIXES[:-1])} or {TABLE_SUFFIXES[-1]}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    columns = [text_column] if label_column is None else [text_column, label_column]
    return _records(path, reader(path, columns), columns)


def read_texts(inputs: Sequence[str], *, text_column: str) -> list[str]:
    """The texts that a user names: sentences as they are; files `.txt` a text a line, and tables their text column.
    Blank lines of a `.txt` are left out, with a note on standard error that says which.

    Raises:
        FileNotFoundError: a file that does not exist.
        ValueError: no text at all, or a mistake in a file.
    """
    texts: list[str] = []
    blank_lines: dict[str, list[int]] = {}
    for given in inputs:
        suffix = Path(given).suffix.lower() if given.strip() else ""
        if suffix not in TEXT_SUFFIXES or (re.search(r"\s", given) and not os.path.isfile(given)):
            texts.append(_sound(given, "inputs"))
        elif suffix == ".txt":
            lines, blank_lines[given] = _text_lines(Path(given).expanduser())
            texts += lines
        else:
            file = Path(given).expanduser()
            texts += [record.text for record in read_records(file, text_column=text_column, label_column=None)]
    if not any(text.strip() for text in texts):
        raise ValueError("inputs hold no text: give sentences, or files .txt, .csv, .tsv, .jsonl or .parquet")
    for name, blank in blank_lines.items():
        if blank:
            _note_blank(name, blank)
    return texts


def as_label(value: Any, place: str) -> str:
    """A label's name: text without the space around it, whole numbers without point.

    Raises:
        ValueError: empty, below zero, a fraction, or no single value.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"{place}: the label is empty, expected a class name or a whole number")
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"{place}: the label is a {type(value).__name__}, expected a class name or a whole number")
    text = str(value).strip()
    if not (number := re.fullmatch(r"([+-]?)(0|[1-9]\d*)(\.\d*)?(e[+-]?\d+)?", text, re.IGNORECASE)):
        return _sound(text, place)
    sign, whole, fraction, exponent = number.groups()
    if exponent or (fraction or "").strip(".0"):
        raise ValueError(f"{place}: the label {text} is a fraction, expected a class name or a whole number")
    if sign == "-" and whole != "0":
        raise ValueError(f"{place}: the label is {text}; integer labels count from 0; leave rows without a class out")
    return whole


def open_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1, and lines with their ends, of a UTF-8 file; a byte order mark is taken off.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8, or a NUL byte; with `file:line`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = f"byte 0x{raw[error.start]:02x} at place {error.start + 1} of the line"
                raise ValueError(f"{path}:{number}: not UTF-8 ({byte}); save the file as UTF-8") from error
            if "\0" in text:
                raise ValueError(f"{path}:{number}: a NUL byte, expected UTF-8 text")
            yield number, text


def _records(path: Path, rows: Iterator[tuple[int, list[Any]]], columns: list[str]) -> Iterator[Record]:
    empty = True
    for line, (text, *label) in rows:
        empty, place = False, f"{path}:{line}"
        if not isinstance(text, str):
            kind = "empty" if text is None else f"a {type(text).__name__}"
            raise ValueError(f"{place}: the column {columns[0]!r} is {kind}, expected text")
        yield Record(place, _sound(text, place), as_label(label[0], place) if label else "")
    if empty:
        raise ValueError(f"{path}: no rows, expected at least one with {' and '.join(columns)}")


def _sound(text: str, place: str) -> str:
    """The text, unless it holds half of a surrogate pair, which no tokenizer can read."""
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"{place}: the text is not UTF-8 (U+{ord(text[error.start]):04X} alone)") from error
    return text


def _text_lines(path: Path) -> tuple[list[str], list[int]]:
    """The texts of a file, and the numbers of its blank lines."""
    texts: list[str] = []
    blank: list[int] = []
    for number, line in open_lines(path):
        if line.strip():
            texts.append(line.rstrip("\r\n"))
        else:
            blank.append(number)
    return texts, blank


@rank_zero_only
def _note_blank(file: str, lines: list[int]) -> None:
    """Says once, on standard error, which lines of a file are blank."""
    shown = ", ".join(map(str, lines[:SHOWN_LINES]))
    more = f" and {len(lines) - SHOWN_LINES:,} more" if len(lines) > SHOWN_LINES else ""
    s = "s" if len(lines) > 1 else ""
    print(f"note: {file}: {len(lines):,} blank line{s} left out (line{s} {shown}{more})", file=sys.stderr, flush=True)


def _find(path: Path, line: int | None, columns: list[str], names: list[str]) -> list[int]:
    """Places of `columns` among a header's `names`."""
    place = f"{path}:{line}" if line else str(path)
    for name in columns:
        if names.count(name) > 1:
            raise ValueError(f"{place}: the column {name!r} stands {names.count(name)} times, expected once")
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f", did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{place}: no column {name!r} among {', '.join(map(repr, names))}{hint}")
    return [names.index(name) for name in columns]


def _delimited(path: Path, columns: list[str], *, delimiter: str) -> Iterator[tuple[int, list[Any]]]:
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
    rows = _csv_rows(path, delimiter)
    first = next(rows, None)
    if first is None:
        raise ValueError(f"{path}: the file is empty, expected a header with {' and '.join(map(repr, columns))}")
    line, header = first[0], [name.strip() for name in first[1]]
    if doubled := next((name for name in header if header.count(name) > 1), None):
        raise ValueError(f"{path}:{line}: the column {doubled!r} stands {header.count(doubled)} times, expected once")
    places = _find(path, line, columns, header)
    for line, row in rows:
        if len(row) != len(header):
            expected = f"expected {len(header)} ({', '.join(header)})"
            hint = "; a text with a comma in it needs quotes" if delimiter == "," and len(row) > len(header) else ""
            raise ValueError(f"{path}:{line}: {len(row)} fields, {expected}{hint}")
        yield line, [row[i] for i in places]


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line where a row begins, and its fields; blank lines are skipped."""
    reader = csv.reader((text for _, text in open_lines(path)), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"{path}:{line}: {_csv_problem(str(error), reader.line_num)}") from error
        if row is None:
            return
        if row:
            yield line, row


def _csv_problem(message: str, last_line: int) -> str:
    if "unexpected end" in message or "field larger" in message:
        return f"a quote that is opened here is not closed up to line {last_line}"
    if "expected after" in message:
        hint = "a quote inside a quoted text is doubled, and each quote is closed"
        return f"{message} in the row that ends at line {last_line}; {hint}"
    return message


def _json_lines(path: Path, columns: list[str]) -> Iterator[tuple[int, list[Any]]]:
    empty = True
    for line, text in open_lines(path):
        if not text.strip():
            continue
        empty = False
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{path}:{line}: no JSON ({reason}), expected one object a line") from error
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}:{line}: a JSON {type(row).__name__}, expected an object such as {{{columns[0]!r}: …}}"
            )
        if not all(name in row for name in columns):
            _find(path, line, columns, list(row))
        yield line, [row[name] for name in columns]
    if empty:
        raise ValueError(f"{path}: the file is empty, expected JSON objects with {' and '.join(map(repr, columns))}")


def _parquet(path: Path, columns: list[str]) -> Iterator[tuple[int, list[Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def damaged(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: no Parquet file that can be read: {str(error).splitlines()[0]}") from error

    file = damaged(lambda: pq.ParquetFile(path))
    with file:
        _find(path, None, columns, list(file.schema_arrow.names))
        line, batches = 0, file.iter_batches(batch_size=1000, columns=columns)
        while (batch := damaged(lambda: next(batches, None))) is not None:
            for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                line += 1
                yield line, list(row)
