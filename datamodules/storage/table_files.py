"""Rows of table files: CSV, TSV, JSON Lines and Parquet. A mistake is reported with its line.

To add a format, write a reader and enter its suffix in `READERS`, at the end of this file.
"""

import csv
import difflib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.errors import UserError
from datamodules.storage.limits import Budget, longest_line
from datamodules.storage.lines import numbered_lines, require_file
from datamodules.storage.parquet_trial import check_parquet

Row = tuple[int, list[Any]]
"""The number of a row's first line (in a Parquet file, of the row), from 1, and the values of the chosen columns."""
Reader = Callable[[Path, list[str]], Iterator[Row]]
"""Yields the rows of a file with the columns that are named, in that order."""

UNPACKED_FACTOR = 20  # bytes of the values in a Parquet file for each byte of it
BATCH_ROWS = 1000
MOST_NAMES = 20  # columns that a message lists
LIMIT = "set LIT_MODELS_MAX_GB to a larger number if it is right"
ROW_BYTES = 8  # that a row of a Parquet file counts for, beside its text


def read_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    """The rows of a file, in order. No more of the file is in memory than necessary. Blank lines are skipped.

    Args:
        path: a file with one of the suffixes in `READERS`, in lower or upper case.
        columns: names of the columns to read, in the order in which each row has them.

    Raises:
        MissingFileError: no such file.
        UserError: another suffix, a missing column, no rows, or a mistake in a line.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: expected a file {suffixes()}")
    require_file(path)
    return _at_least_one(path, reader(path, columns), columns)


def suffixes() -> str:
    """The suffixes that can be read, for a message: ".a, .b or .c"."""
    *first, last = READERS
    return f"{', '.join(first)} or {last}"


def _at_least_one(path: Path, rows: Iterator[Row], columns: list[str]) -> Iterator[Row]:
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path}: no rows, expected at least one with {' and '.join(columns)}")
    yield first
    yield from rows


def _find(path: Path, line: int | None, columns: list[str], names: list[str]) -> list[int]:
    """The positions of `columns` among the `names` of a header."""
    place = f"{path}:{line}" if line else str(path)
    for name in columns:
        if names.count(name) > 1:
            raise UserError(f"{place}: there are {names.count(name)} columns {name!r}, expected one")
        if name not in names:
            close = difflib.get_close_matches(name, names[:MOST_NAMES], n=1, cutoff=0.5)
            hint = f", did you mean {close[0]!r}?" if close else ""
            raise UserError(f"{place}: no column {name!r} among {_listed(names)}{hint}")
    return [names.index(name) for name in columns]


def _listed(names: list[str], shown: Callable[[str], str] = repr) -> str:
    """The first names of a header, each of them cut, for a message."""
    cut = [f"{name[:80]}…" if len(name) > 80 else name for name in names[:MOST_NAMES]]
    return ", ".join(map(shown, cut)) + (f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else "")


def _read_delimited(path: Path, columns: list[str], *, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(longest_line())  # an unclosed quote soon reaches it
    rows = _csv_rows(path, delimiter)
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path}: the file is empty, expected a header with {' and '.join(map(repr, columns))}")
    line, header = first[0], [name.strip() for name in first[1]]
    doubled, times = Counter(header).most_common(1)[0]
    if times > 1:
        raise UserError(f"{path}:{line}: there are {times} columns {doubled!r}, expected one")
    positions = _find(path, line, columns, header)
    for line, row in rows:
        if len(row) != len(header):
            expected = f"expected {len(header)} ({_listed(header, str)})"
            hint = "; a text with a comma in it needs quotes" if delimiter == "," and len(row) > len(header) else ""
            raise UserError(f"{path}:{line}: {len(row)} fields, {expected}{hint}")
        yield line, [row[i] for i in positions]


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line where each row begins, and its fields; blank lines are skipped."""
    length, longest = 0, 2 * longest_line()

    def lines() -> Iterator[str]:
        nonlocal length
        for number, text in numbered_lines(path):
            length += len(text)
            if length > longest:
                raise UserError(f"{path}:{number}: a row of more than {longest:,} characters, {LIMIT}")
            yield text

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        line, length = reader.line_num + 1, 0
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UserError(f"{path}:{line}: {_csv_problem(str(error), reader.line_num)}") from error
        if row is None:
            return
        if row:
            yield line, row


def _csv_problem(message: str, last_line: int) -> str:
    """What a message of the library's means, and what to do."""
    if "unexpected end" in message or "field larger" in message:
        return f"a quote is opened here and not closed up to line {last_line}"
    if "expected after" in message:
        hint = "double each quote inside a quoted text, and close each quoted text"
        return f"{message} in the row that ends at line {last_line}; {hint}"
    return message


def _read_json_lines(path: Path, columns: list[str]) -> Iterator[Row]:
    empty = True
    for line, text in numbered_lines(path):
        if not text.strip():
            continue
        empty = False
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}:{line}: not JSON ({reason}), expected one object per line") from error
        if not isinstance(row, dict):
            got = type(row).__name__
            raise UserError(f"{path}:{line}: expected a JSON object such as {{{columns[0]!r}: …}}, got {got}")
        if not all(name in row for name in columns):
            _find(path, line, columns, list(row))
        yield line, [row[name] for name in columns]
    if empty:
        raise UserError(f"{path}: the file is empty, expected JSON objects with {' and '.join(map(repr, columns))}")


def _read_parquet(path: Path, columns: list[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    def checked(read: Callable[[], Any], place: str = str(path)) -> Any:
        try:
            return read()
        except UnicodeDecodeError as error:
            raise UserError(f"{place}: the text is not UTF-8") from error
        except Exception as error:  # a damaged file can fail in many ways
            raise UserError(f"{place}: this Parquet file cannot be read: {_first_line(error)}") from error

    metadata = checked(lambda: pq.read_metadata(path))
    _check_parquet(path, checked(lambda: _stated_sizes(metadata)))
    check_parquet(path, columns, factor=UNPACKED_FACTOR, batch_rows=BATCH_ROWS)
    file = checked(lambda: pq.ParquetFile(path, metadata=metadata, pre_buffer=False))
    with file:
        _find(path, None, columns, checked(lambda: list(file.schema_arrow.names)))
        longest, budget = longest_line(), Budget(path, factor=UNPACKED_FACTOR, streamed=True)
        line, batches = 0, file.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False)
        while (batch := checked(lambda: next(batches, None))) is not None:
            for cells in zip(*(batch.column(name) for name in columns), strict=True):
                line += 1
                row = [checked(cell.as_py, f"{path}:{line}") for cell in cells]
                length = max(len(value) if isinstance(value, (str, bytes)) else 0 for value in row)
                budget.spend(length)
                if length > longest:
                    raise UserError(f"{path}:{line}: a text of more than {longest:,} characters, {LIMIT}")
                yield line, row


def _stated_sizes(metadata: Any) -> tuple[int, list[int]]:
    """The number of rows of a Parquet file, and the unpacked bytes of each of its groups of rows. The sizes of single
    columns are not asked for: pyarrow ends the process where they are damaged."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return metadata.num_rows, [max(0, group.total_byte_size) for group in groups]


def _check_parquet(path: Path, sizes: tuple[int, list[int]]) -> None:
    """Checks the sizes that a Parquet file states, before any of its pages is unpacked."""
    num_rows, groups = sizes
    Budget(path, streamed=True).spend(num_rows * ROW_BYTES)
    for num_bytes in groups:
        Budget(path, factor=UNPACKED_FACTOR, streamed=True).spend(num_bytes)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


READERS: dict[str, Reader] = {
    ".csv": partial(_read_delimited, delimiter=","),
    ".tsv": partial(_read_delimited, delimiter="\t"),
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
"""The readers by suffix, in lower case."""
