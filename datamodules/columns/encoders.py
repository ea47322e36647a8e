"""Turns the cells of a column into numbers: standardised numbers, or one number for each category.

An encoder is learned from the training part. Its values are plain, so that a checkpoint contains them.
"""

import math
import re
import statistics
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from datamodules.columns.cells import Column, is_missing, number_in
from datamodules.errors import UserError

Fill = Literal["mean", "median", "zero"]
MOST_CATEGORIES = 1000
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


@dataclass(frozen=True, kw_only=True)
class NumberColumn:
    """Numbers, less the mean of the training part and divided by its standard deviation.

    Args:
        name: name of the column.
        mean: mean of the training part.
        std: standard deviation of the training part (divided by N), above 0.
        fill: number in place of a missing value; None if missing values are refused.
    """

    name: str
    mean: float
    std: float
    fill: float | None = None

    width = 1

    def encode(self, column: Column) -> Tensor:
        """float64 `(N, 1)`.

        Raises:
            UserError: a cell is not a number, or is missing and `fill` is None. The message names its line.
        """
        numbers = [self.fill if is_missing(cell) else number_in(cell) for cell in column.cells]
        for i, (cell, number) in enumerate(zip(column.cells, numbers, strict=True)):
            if number is None:
                raise _not_a_number(column, i, cell)
        return (torch.tensor(numbers, dtype=torch.float64)[:, None] - self.mean) / self.std


@dataclass(frozen=True, kw_only=True)
class CategoryColumn:
    """Categories: one number for each category of the training part, 1 for that of the cell and otherwise 0.

    Args:
        name: name of the column.
        values: the categories, sorted.
        fill: whether missing values are allowed; all numbers are then 0.
    """

    name: str
    values: list[str]
    fill: bool = False

    @property
    def width(self) -> int:
        """Number of categories."""
        return len(self.values)

    def encode(self, column: Column) -> Tensor:
        """float64 `(N, K)`. A category that is not in the training part has only zeros.

        Raises:
            UserError: a cell is missing, and `fill` is False. The message names its line.
        """
        positions = {value: i for i, value in enumerate(self.values)}
        rows = torch.zeros(len(column.cells), len(self.values), dtype=torch.float64)
        for i, cell in enumerate(column.cells):
            if is_empty(cell):
                if not self.fill:
                    raise _missing(column, i)
            elif (position := positions.get(category_in(cell))) is not None:
                rows[i, position] = 1
        return rows

    def unknown(self, column: Column) -> list[str]:
        """The categories of the cells that are not in the training part, sorted."""
        return sorted({category_in(cell) for cell in column.cells if not is_empty(cell)} - set(self.values))


Encoder = NumberColumn | CategoryColumn


def is_empty(cell: Any) -> bool:
    """Whether a cell of a category is missing. A text such as "NA" may be a category."""
    return cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())


def category_in(cell: Any) -> str:
    """The name of a category."""
    return str(cell).strip()


def learn(column: Column, *, as_category: bool, fill: Fill | None) -> Encoder | None:
    """The encoder of a column of the training part; None if the column has only one value.

    A column is numeric if each of its values is a number, apart from missing ones.

    Args:
        column: the column.
        as_category: whether numbers are categories, too.
        fill: what replaces missing numbers; None if missing values are refused.

    Raises:
        UserError: missing values without `fill`, a few texts among numbers, or a different text in each row.
    """
    if as_category:
        return _learn_categories(column, fill)
    present = [(i, cell) for i, cell in enumerate(column.cells) if not is_missing(cell)]
    if not present and fill is not None:
        return None
    texts = [(i, cell) for i, cell in present if number_in(cell) is None]
    if texts and len(texts) > len(present) / 2 and all(DECIMAL_COMMA.fullmatch(str(cell)) for _, cell in texts):
        raise UserError(
            f"{column.places[texts[0][0]]}: the column {column.name!r} has {texts[0][1]!r}, a number with a decimal "
            "comma: write a point"
        )
    if len(present) > len(texts) and len(texts) <= len(present) / 10:
        if texts:
            raise _not_a_number(column, *texts[0])
        return _learn_numbers(column, fill)
    return _learn_categories(column, fill)


def _learn_numbers(column: Column, fill: Fill | None) -> NumberColumn | None:
    cells = [cell for cell in column.cells if not is_missing(cell)]
    if len(cells) < len(column.cells) and fill is None:
        raise _missing(column, next(i for i, cell in enumerate(column.cells) if is_missing(cell)))
    numbers = [number for cell in cells if (number := number_in(cell)) is not None]
    mean, _ = mean_and_std(numbers)
    replacement = {"mean": mean, "median": statistics.median(numbers), "zero": 0.0, None: None}[fill]
    filled = numbers + [replacement] * (len(column.cells) - len(cells)) if replacement is not None else numbers
    if min(filled) == max(filled):
        return None
    mean, std = mean_and_std(filled)
    if not 0 < std < math.inf:
        leave_out = f'leave it out with --data.drop_columns "[{column.name}]"'
        raise UserError(f"the column {column.name!r} has numbers from {min(filled)} to {max(filled)}: {leave_out}")
    return NumberColumn(name=column.name, mean=mean, std=std, fill=replacement)


def mean_and_std(numbers: list[float]) -> tuple[float, float]:
    """The mean, and the standard deviation divided by N. The numbers are scaled by a power of two, which is exact, so
    that the squares of very large and very small ones stay in the range of float64."""
    _, exponent = math.frexp(max(map(abs, numbers)))
    scaled = [math.ldexp(number, -exponent) for number in numbers]
    mean = math.fsum(scaled) / len(scaled)
    std = math.sqrt(math.fsum((number - mean) ** 2 for number in scaled) / len(scaled))
    try:
        return math.ldexp(mean, exponent), math.ldexp(std, exponent)
    except OverflowError:
        return math.ldexp(mean, exponent), math.inf


def _learn_categories(column: Column, fill: Fill | None) -> CategoryColumn | None:
    cells = [category_in(cell) for cell in column.cells if not is_empty(cell)]
    if len(cells) < len(column.cells) and fill is None:
        raise _missing(column, next(i for i, cell in enumerate(column.cells) if is_empty(cell)))
    values = sorted(Counter(cells))
    leave_out = f'leave it out with --data.drop_columns "[{column.name}]"'
    if len(values) == len(column.cells) > 10:
        raise UserError(f"the column {column.name!r} has a different text in each row, like an id: {leave_out}")
    if len(values) > MOST_CATEGORIES:
        many = f"{len(values):,} categories, expected at most {MOST_CATEGORIES:,}"
        raise UserError(f"the column {column.name!r} has {many}: {leave_out}")
    if len(values) == 0 or (len(values) == 1 and len(cells) == len(column.cells)):
        return None
    return CategoryColumn(name=column.name, values=values, fill=fill is not None)


def _missing(column: Column, i: int) -> UserError:
    return UserError(
        f"{column.places[i]}: the column {column.name!r} has no value: set --data.fill_missing to mean, median or zero"
    )


def _not_a_number(column: Column, i: int, cell: Any) -> UserError:
    if is_missing(cell):
        return _missing(column, i)
    as_category = f'--data.category_columns "[{column.name}]" reads all values as categories'
    return UserError(f"{column.places[i]}: the column {column.name!r} has {cell!r}, expected a number; {as_category}")


def as_plain(encoder: Encoder) -> dict[str, Any]:
    """An encoder as plain values."""
    return asdict(encoder)


def from_plain(values: dict[str, Any]) -> Encoder:
    """The encoder that `as_plain` wrote.

    Raises:
        ValueError: the values are not those of an encoder.
    """
    if "values" in values:
        names = [str(value) for value in values["values"]]
        return CategoryColumn(name=str(values["name"]), values=names, fill=bool(values["fill"]))
    fill = None if values["fill"] is None else float(values["fill"])
    column = NumberColumn(name=str(values["name"]), mean=float(values["mean"]), std=float(values["std"]), fill=fill)
    if not (math.isfinite(column.mean) and 0 < column.std < math.inf and math.isfinite(fill or 0)):
        raise ValueError(f"the column {column.name!r} has mean {column.mean}, std {column.std} and fill {fill}")
    return column
