"""Columns of table files, and what their cells contain."""

import csv
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import UserError
from datamodules.storage.dialects import Dialect
from datamodules.storage.inputs import STANDARD_INPUT, Reads, Skipped, input_lines, items
from datamodules.storage.limits import Budget, longest_line
from datamodules.storage.table_files import FOUND, READERS, read_rows, read_table

READS = Reads("table", frozenset(READERS), texts=True)
NO_ROW = "inputs contain no rows: give table files, or rows of values with commas"
"""The message if there is nothing to predict."""
MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}
"""Texts that mean that a number is missing, in lower case."""
CELL_BYTES = 64  # counted for each cell, in addition to its text


class Column(NamedTuple):
    """A column of a table.

    Args:
        name: its name.
        cells: its values.
        places: file and line of each value, for messages.
    """

    name: str
    cells: list[Any]
    places: Sequence[str]

    def part(self, rows: Sequence[int]) -> "Column":
        """Some rows of the column."""
        return Column(self.name, [self.cells[i] for i in rows], [self.places[i] for i in rows])


class Columns(NamedTuple):
    """Columns of one length, by name.

    Args:
        cells: the values of each column.
        places: file and line of each row.
    """

    cells: dict[str, list[Any]]
    places: list[str]

    def column(self, name: str) -> Column:
        """One column."""
        return Column(name, self.cells[name], self.places)

    def part(self, rows: Sequence[int]) -> "Columns":
        """Some rows of all columns."""
        cells = {name: [values[i] for i in rows] for name, values in self.cells.items()}
        return Columns(cells, [self.places[i] for i in rows])


def read_columns(path: Path, names: list[str] | None = None, dialect: Dialect = FOUND) -> Columns:
    """The columns of a table file, in memory.

    Args:
        path: a file that `read_rows` reads.
        names: the columns to read; all if None.
        dialect: separator and encoding of a delimited table.

    Raises:
        MissingFileError: no such file.
        UserError: a mistake in the file, with its line, or it takes too much memory.
    """
    header, rows = read_table(path, dialect) if names is None else (names, read_rows(path, names, dialect))
    columns: list[list[Any]] = [[] for _ in header]
    places = []
    budget = Budget(path)
    for line, cells in rows:
        budget.spend(sum(CELL_BYTES + (len(cell) if isinstance(cell, str) else 0) for cell in cells))
        places.append(f"{path}:{line}")
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    return Columns(dict(zip(header, columns, strict=True)), places)


def read_inputs(
    inputs: Sequence[Any], names: list[str], skipped: Skipped, dialect: Dialect = FOUND
) -> Iterator[Columns]:
    """The rows to predict: a table for each file and for each row. A file with a mistake is skipped as a whole.

    Args:
        inputs: table files with the columns, folders or patterns of them, or rows of values with commas between them,
            in the order of `names`; "-" for such rows on standard input. From Python, also lists and arrays of values.
        names: names of the columns.
        skipped: collects the inputs that cannot be read.
        dialect: separator and encoding of a delimited table.
    """
    for place, item in _each(inputs, skipped):
        try:
            yield read_columns(item, names, dialect) if isinstance(item, Path) else _row(item, names, place)
        except UserError as problem:
            skipped.add(problem)


def joined(tables: Sequence[Columns], names: list[str]) -> Columns:
    """The rows of tables that have the same columns."""
    cells = {name: list(chain.from_iterable(table.cells[name] for table in tables)) for name in names}
    return Columns(cells, list(chain.from_iterable(table.places for table in tables)))


def _each(inputs: Sequence[Any], skipped: Skipped) -> Iterator[tuple[str, Any]]:
    """The files and the rows of the inputs, with a place for messages."""
    for item in items(inputs, READS, skipped):
        if isinstance(item, str) and item == STANDARD_INPUT:
            yield from input_lines(skipped)
        else:
            values = item.tolist() if hasattr(item, "tolist") else item  # an array or a tensor
            yield str(values), values


def _row(given: Any, names: list[str], place: str) -> Columns:
    if isinstance(given, list | tuple):
        values = list(given)
    else:
        csv.field_size_limit(longest_line())
        try:
            values = next(csv.reader([str(given)])) if str(given).strip() else []
        except csv.Error as error:
            raise UserError(f"{shortened(place)}: not a row of values with commas ({error})") from error
    if len(values) != len(names):
        expected = f"expected {len(names)} with commas: {', '.join(names)}; or a table file"
        raise UserError(f"{shortened(place)} has {len(values)} values, {expected}")
    return Columns({name: [value] for name, value in zip(names, values, strict=True)}, [place])


def shortened(place: str) -> str:
    """The place of a row in quotes, at most 80 characters of it."""
    return repr(place if len(place) <= 80 else f"{place[:79]}…")


def is_missing(cell: Any) -> bool:
    """Whether a cell of a numeric column has no value."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def number_in(cell: Any) -> float | None:
    """The number in a cell; None if it has none, or one that is not finite."""
    if isinstance(cell, str) and "_" in cell:  # Python reads 1_000 as a number
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
