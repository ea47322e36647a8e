"""Rows of table files: CSV, TSV, JSON, JSON Lines and Parquet. A mistake is reported with its line.

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
from datamodules.storage.dialects import Dialect, delimiter_of, encoding_of
from datamodules.storage.limits import JSON_FACTOR, Budget, longest_line
from datamodules.storage.lines import numbered_lines, require_file, suffix_of
from datamodules.storage.parquet_trial import check_parquet

Row = tuple[int, list[Any]]
"""The line number where a row begins (in a Parquet file, the number of the row), from 1, and the values of the
columns."""
Reader = Callable[[Path, list[str] | None, Dialect], Iterator[Row]]
"""Yields the rows of a file, each with the named columns in that order. Without names, it yields the names of all
columns first, and then the rows with all columns. The dialect is for delimited tables."""
FOUND = Dialect()

UNPACKED_FACTOR = 20  # allowed bytes of values for each byte of a Parquet file
BATCH_ROWS = 1000
MOST_NAMES = 20  # maximum number of columns that a message lists
LIMIT = "set LIT_MODELS_MAX_GB to a larger number if it is right"
ROW_BYTES = 8  # counted for each row of a Parquet file, in addition to its text


def read_rows(path: Path, columns: list[str], dialect: Dialect = FOUND) -> Iterator[Row]:
    """The rows of a file, in order. The file is read row by row. Blank lines are skipped.

    Args:
        path: a file with one of the suffixes in `READERS`, in lower or upper case.
        columns: names of the columns to read; each row has its values in this order.
        dialect: separator and encoding of a delimited table.

    Raises:
        MissingFileError: no such file.
        UserError: another suffix, a missing column, no rows, or a mistake in a line.
    """
    return _at_least_one(path, _reader(path)(path, columns, dialect), columns)


def read_table(path: Path, dialect: Dialect = FOUND) -> tuple[list[str], Iterator[Row]]:
    """The names of all columns of a file, and its rows. The file is read row by row. Blank lines are skipped.

    Raises:
        MissingFileError: no such file.
        UserError: as `read_rows`.
    """
    rows = _reader(path)(path, None, dialect)
    _, names = next(rows)
    return names, _at_least_one(path, rows, names[:MOST_NAMES])


def _reader(path: Path) -> Reader:
    reader = READERS.get(suffix_of(path))
    if path.is_dir():
        raise UserError(f"{path} is a folder, expected a file {suffixes()}")
    if reader is None:
        raise UserError(f"{path}: expected a file {suffixes()}")
    require_file(path)
    return reader


def suffixes() -> str:
    """The supported suffixes for a message: ".a, .b or .c"."""
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
    """The first names of a header, shortened, for a message."""
    cut = [f"{name[:80]}…" if len(name) > 80 else name for name in names[:MOST_NAMES]]
    return ", ".join(map(shown, cut)) + (f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else "")


def _read_delimited(
    path: Path, columns: list[str] | None, dialect: Dialect, *, delimiter: str | None = None
) -> Iterator[Row]:
    """`delimiter` is that of the format; it is found in the header if None."""
    csv.field_size_limit(longest_line())  # so that an unclosed quote does not read the whole file
    dialect = Dialect(dialect.delimiter or delimiter, dialect.encoding or encoding_of(path))
    if dialect.delimiter is None:
        header_line = next((text for _, text in numbered_lines(path, encoding=dialect.encoding) if text.strip()), "")
        dialect = dialect._replace(delimiter=delimiter_of(path, header_line, columns))
    delimiter = dialect.delimiter or ","
    rows = _csv_rows(path, delimiter, dialect.encoding)
    first = next(rows, None)
    if first is None:
        raise UserError(f"{path}: the file is empty, expected a header{_with(columns)}")
    line, header = first[0], [name.strip() for name in first[1]]
    doubled, times = Counter(header).most_common(1)[0]
    if times > 1:
        raise UserError(f"{path}:{line}: there are {times} columns {doubled!r}, expected one")
    if columns is None:
        yield line, list(header)
    positions = range(len(header)) if columns is None else _find(path, line, columns, header)
    for line, row in rows:
        if len(row) != len(header):
            expected = f"expected {len(header)} ({_listed(header, str)})"
            hint = "; a text with a comma in it needs quotes" if delimiter == "," and len(row) > len(header) else ""
            raise UserError(f"{path}:{line}: {len(row)} fields, {expected}{hint}")
        yield line, [row[i] for i in positions]


def _with(columns: list[str] | None) -> str:
    return "" if columns is None else f" with {' and '.join(map(repr, columns))}"


def _csv_rows(path: Path, delimiter: str, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yields the line where each row begins and its fields. Blank lines are skipped."""
    length, longest = 0, 2 * longest_line()

    def lines() -> Iterator[str]:
        nonlocal length
        for number, text in numbered_lines(path, encoding=encoding):
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
    """Explains an error message of the csv library, and says what to do."""
    if "unexpected end" in message or "field larger" in message:
        return f"a quote is opened here and not closed up to line {last_line}"
    if "expected after" in message:
        hint = "double each quote inside a quoted text, and close each quoted text"
        return f"{message} in the row that ends at line {last_line}; {hint}"
    return message


def _read_json_lines(path: Path, columns: list[str] | None, dialect: Dialect) -> Iterator[Row]:
    empty, same_keys = True, False
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
            example = f"{{{columns[0] if columns else 'label'!r}: …}}"
            raise UserError(f"{path}:{line}: expected a JSON object such as {example}, got {got}")
        if columns is None:
            columns, same_keys = list(row), True
            yield line, list(columns)
        if not all(name in row for name in columns):
            _find(path, line, columns, list(row))
        _require_keys(f"{path}:{line}", row, columns, same_keys=same_keys)
        yield line, [row[name] for name in columns]
    if empty:
        raise UserError(f"{path}: the file is empty, expected JSON objects{_with(columns)}")


def _require_keys(place: str, row: dict[str, Any], columns: list[str], *, same_keys: bool) -> None:
    """If all keys are read, refuses one that the first object does not have."""
    if same_keys and (more := [name for name in row if name not in columns]):
        raise UserError(f"{place}: the key {more[0]!r} is not in the first object: give all objects the same keys")


def _read_json(path: Path, columns: list[str] | None, dialect: Dialect) -> Iterator[Row]:
    """One array of objects, or, if one column is read, of texts. The line is the number of the item, from 1."""
    Budget(path).spend(path.stat().st_size * JSON_FACTOR)
    text = "".join(line for _, line in numbered_lines(path))
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({str(error).splitlines()[0]}), expected an array of objects") from error
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a JSON array of objects, got {type(rows).__name__}")
    same_keys = columns is None
    if columns is None:
        columns = list(rows[0]) if rows and isinstance(rows[0], dict) else ["label"]
        yield 0, list(columns)
    for number, row in enumerate(rows, start=1):
        if isinstance(row, str) and len(columns) == 1:
            yield number, [row]
            continue
        if not isinstance(row, dict):
            got = type(row).__name__
            raise UserError(f"{path}:{number}: expected a JSON object such as {{{columns[0]!r}: …}}, got {got}")
        if not all(name in row for name in columns):
            _find(path, number, columns, list(row))
        _require_keys(f"{path}:{number}", row, columns, same_keys=same_keys)
        yield number, [row[name] for name in columns]


def _read_parquet(path: Path, columns: list[str] | None, dialect: Dialect) -> Iterator[Row]:
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
    if columns is None:
        columns = checked(lambda: list(metadata.schema.to_arrow_schema().names))
        yield 0, list(columns)
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
    """The number of rows of a Parquet file, and the unpacked bytes of each row group. Sizes of single columns are not
    read, because damaged ones make pyarrow crash."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return metadata.num_rows, [max(0, group.total_byte_size) for group in groups]


def _check_parquet(path: Path, sizes: tuple[int, list[int]]) -> None:
    """Checks the sizes that a Parquet file states, before a page is unpacked."""
    num_rows, groups = sizes
    Budget(path, streamed=True).spend(num_rows * ROW_BYTES)
    for num_bytes in groups:
        Budget(path, factor=UNPACKED_FACTOR, streamed=True).spend(num_bytes)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


READERS: dict[str, Reader] = {
    ".csv": _read_delimited,
    ".csv.gz": _read_delimited,
    ".tsv": partial(_read_delimited, delimiter="\t"),
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
"""The readers by suffix, in lower case."""
