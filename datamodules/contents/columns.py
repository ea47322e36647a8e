"""Columns of a table: missing values, ranges, columns with one value, and rows that occur twice."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from datamodules.columns.cells import Column, Columns, is_missing, number_in
from datamodules.columns.encoders import CategoryColumn, Encoder, Fill, NumberColumn, is_empty, learn
from datamodules.contents.counting import range_of
from datamodules.contents.facts import ColumnFacts
from datamodules.contents.repeats import Keys, repeat_notes
from datamodules.errors import UserError, listed
from datamodules.spec import UNITS

MOST_LETTERS = 30


class Used(NamedTuple):
    """How the columns of a table are used.

    Args:
        features: names of the columns of the inputs.
        targets: names of the columns that are predicted.
        categories: names of columns whose numbers are categories.
        fill: what replaces a missing number; None if missing values are refused.
    """

    features: Sequence[str]
    targets: Sequence[str]
    categories: Sequence[str]
    fill: Fill | None


class TableFacts(NamedTuple):
    """What is in the columns: see `Contents`."""

    columns: list[ColumnFacts]
    notes: list[str]
    mistakes: list[str]


def facts_of(parts: Mapping[str, Columns], used: Used) -> TableFacts:
    """What is in the columns of each part.

    Args:
        parts: the rows of each part; the training part decides what a column is.
        used: how the columns are used.
    """
    facts = TableFacts([], [], [])
    for name in parts["train"].cells:
        column, encoder, role = parts["train"].column(name), None, "left out"
        if name in used.targets:
            role = "target"
        elif name in used.features:
            encoder, role = _encoder(column, used, facts)
        _look_for_missing(name, parts, encoder, used, facts)
        missing = sum(map(_missing_in(encoder), column.cells))
        facts.columns.append(ColumnFacts(name, role, missing, _values(column)))
    facts.notes.extend(repeat_notes({name: _keys(rows, used) for name, rows in parts.items()}, unit=UNITS["features"]))
    return facts


def _encoder(column: Column, used: Used, facts: TableFacts) -> tuple[Encoder | None, str]:
    """The encoder of a column, and its role in words."""
    try:
        encoder = learn(column, as_category=column.name in used.categories, fill="zero")
    except UserError as error:
        facts.mistakes.append(str(error))
        return None, "cannot be used"
    if encoder is None:
        return None, "one value"
    return encoder, "number" if isinstance(encoder, NumberColumn) else "category"


def _missing_in(encoder: Encoder | None) -> Callable[[Any], bool]:
    """Whether a cell is missing, in a column with this encoder."""
    return is_missing if isinstance(encoder, NumberColumn) else is_empty


def _look_for_missing(
    name: str, parts: Mapping[str, Columns], encoder: Encoder | None, used: Used, facts: TableFacts
) -> None:
    """Notes cells of an input without a value, which are a mistake if nothing replaces them."""
    if encoder is None:
        return
    missing, places, total = _missing_in(encoder), [], 0
    for part, rows in parts.items():
        if name not in rows.cells:
            facts.mistakes.append(f"the {part} part has no column {name!r}")
            continue
        places += [place for cell, place in zip(rows.cells[name], rows.places, strict=True) if missing(cell)]
        total += len(rows.places)
        if isinstance(encoder, CategoryColumn) and (unknown := encoder.unknown(rows.column(name))):
            facts.notes.append(f"the column {name!r} has categories that no training row has: {listed(unknown)}")
    if places:
        text = f"the column {name!r} has no value in {len(places):,} of {total:,} rows ({listed(places)})"
        advice = ": set --data.fill_missing to mean, median or zero"
        (facts.notes if used.fill else facts.mistakes).append(text + ("" if used.fill else advice))


def _values(column: Column) -> str:
    """The range of numbers, or the most frequent values."""
    present = [cell for cell in column.cells if not is_missing(cell)]
    numbers = [number for cell in present if (number := number_in(cell)) is not None]
    if numbers and len(numbers) == len(present) and len(set(numbers)) > 2:
        return range_of(np.array(numbers))
    counts = Counter(str(cell).strip() for cell in present)
    shown = [f"{_short(value)} ({times:,})" for value, times in counts.most_common()]
    return f"{len(counts):,} value{'s' * (len(counts) != 1)}: {listed(shown)}"


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _keys(rows: Columns, used: Used) -> Keys:
    """The hashes of the rows, without their targets."""
    keys = Keys(rows.places.__getitem__)
    for inputs, target in zip(_tuples(rows, used.features), _tuples(rows, used.targets), strict=True):
        keys.add(repr(inputs).encode(errors="surrogatepass"), target)
    return keys


def _tuples(rows: Columns, names: Iterable[str]) -> Iterable[tuple[str, ...]]:
    """Some columns, row by row."""
    columns = [rows.cells[name] for name in names if name in rows.cells]
    return ((*(str(cell).strip() for cell in cells),) for cells in zip(*columns, strict=True))
