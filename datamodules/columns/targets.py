"""The columns that are predicted: a class, a set of labels, or numbers."""

import difflib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor

from datamodules.columns.cells import Columns, number_in
from datamodules.errors import UserError
from datamodules.spec import DataSpec
from datamodules.words.labels import MOST_LABELS, LabelNumbers, in_order, read_labels, require_different

MOST_NAMES = 20


def require_columns(rows: Columns, file: Path | str, names: Sequence[str], *, advice: str = "") -> None:
    """Checks that a table has some columns.

    Raises:
        UserError: one is missing; the message has the columns that there are.
    """
    for name in names:
        if name in rows.cells:
            continue
        close = difflib.get_close_matches(name, rows.cells, n=1, cutoff=0.5)
        hint = f", did you mean {close[0]!r}?" if close else ""
        shown = ", ".join(map(repr, list(rows.cells)[:MOST_NAMES])) + (" …" if len(rows.cells) > MOST_NAMES else "")
        raise UserError(f"{file}: no column {name!r} among {shown}{hint}{advice}")


class TargetColumns(ABC):
    """What is predicted.

    Args:
        columns: names of the columns that contain it.
    """

    names: list[str] | None = None
    """Names of the classes, labels or numbers; None before they are learned."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns

    def known_names(self) -> list[str]:
        """The names, after `learn` or from a checkpoint."""
        assert self.names is not None
        return list(self.names)

    def require(self, rows: Columns, file: Path) -> None:
        """Checks that the table has the columns.

        Raises:
            UserError: one is missing.
        """
        advice = "; set --data.label_column, or --data.target_columns to predict numbers"
        require_columns(rows, file, self.columns, advice=advice)

    @abstractmethod
    def groups(self, rows: Columns) -> list[int]:
        """The group of each row for the drawing of parts."""

    @abstractmethod
    def learn(self, rows: Columns) -> None:
        """Learns the names from the training part."""

    @abstractmethod
    def encode(self, rows: Columns) -> Tensor:
        """The targets, as `DataModule` documents them.

        Raises:
            UserError: a cell is wrong; the message has its line.
        """

    @abstractmethod
    def unknown(self, num_rows: int) -> Tensor:
        """Targets of rows without a known target."""

    @abstractmethod
    def spec(self, *, num_features: int) -> DataSpec:
        """The sizes of the data."""


class Labels(TargetColumns):
    """A class, or with a separator a set of labels.

    Args:
        column: name of the column.
        separator: text between the labels of a row; None if each row has one class.
    """

    def __init__(self, column: str, separator: str | None) -> None:
        super().__init__([column])
        self.separator = separator

    def cells(self, rows: Columns) -> list[tuple[str, ...]]:
        """The names of the labels of each row."""
        labels = []
        for cell, place in zip(rows.cells[self.columns[0]], rows.places, strict=True):
            try:
                labels.append(read_labels(cell, place, separator=self.separator))
            except UserError as error:
                if number_in(cell) is None:
                    raise
                numbers = f'to predict numbers, set --data.target_columns "[{self.columns[0]}]"'
                raise UserError(f"{error}; {numbers}") from error
        return labels

    def groups(self, rows: Columns) -> list[int]:
        if self.separator is not None:
            return [0] * len(rows.places)
        labels = [label for (label,) in self.cells(rows)]
        self._require_few(set(labels), rows)
        numbers = {label: i for i, label in enumerate(in_order(sorted(set(labels))))}
        return [numbers[label] for label in labels]

    def learn(self, rows: Columns) -> None:
        counts = Counter(label for labels in self.cells(rows) for label in labels)
        column = f"the column {self.columns[0]!r}"
        self._require_few(counts, rows)
        if len(counts) < 2:
            raise UserError(f"{column} has only {', '.join(map(repr, counts)) or 'empty cells'}, expected two labels")
        require_different(self._places(rows))
        self.names = in_order(list(counts))

    def _require_few(self, labels: Collection[str], rows: Columns) -> None:
        """Refuses a column in which each row has a label of its own."""
        if len(labels) > MOST_LABELS or len(labels) == len(rows.places) > 20:
            advice = "name the right one with --data.label_column, or set --data.target_columns to predict numbers"
            found = f"{len(labels):,} labels in {len(rows.places):,} rows"
            raise UserError(f"the column {self.columns[0]!r} has {found}: {advice}")

    def _places(self, rows: Columns) -> dict[str, str]:
        """The first place of each label."""
        places: dict[str, str] = {}
        for labels, place in zip(self.cells(rows), rows.places, strict=True):
            for label in labels:
                places.setdefault(label, place)
        return places

    def encode(self, rows: Columns) -> Tensor:
        names = self.known_names()
        numbers = LabelNumbers(names)
        pairs = zip(self.cells(rows), rows.places, strict=True)
        found = [[numbers.of(label, place) for label in labels] for labels, place in pairs]
        if self.separator is None:
            return torch.tensor([number for (number,) in found], dtype=torch.int64)
        target = torch.zeros(len(found), len(names), dtype=torch.get_default_dtype())
        for row, columns in zip(target, found, strict=True):
            row[columns] = 1
        return target

    def unknown(self, num_rows: int) -> Tensor:
        if self.separator is None:
            return torch.full((num_rows,), -1)
        return torch.full((num_rows, len(self.known_names())), torch.nan, dtype=torch.get_default_dtype())

    def spec(self, *, num_features: int) -> DataSpec:
        return DataSpec(
            task="classification" if self.separator is None else "multilabel",
            num_features=num_features,
            num_classes=len(self.known_names()),
            class_names=self.known_names(),
        )


class Numbers(TargetColumns):
    """One or more numbers, in the units of the table."""

    def groups(self, rows: Columns) -> list[int]:
        return [0] * len(rows.places)

    def learn(self, rows: Columns) -> None:
        self.names = list(self.columns)
        self.encode(rows)

    def encode(self, rows: Columns) -> Tensor:
        numbers = []
        for name in self.columns:
            found = [number_in(cell) for cell in rows.cells[name]]
            if None in found:
                i = found.index(None)
                cell = rows.cells[name][i]
                raise UserError(f"{rows.places[i]}: the target {name!r} is {cell!r}, expected a number")
            numbers.append(found)
        return torch.tensor(numbers, dtype=torch.float64).T.to(torch.get_default_dtype())  # (D, N) -> (N, D)

    def unknown(self, num_rows: int) -> Tensor:
        return torch.full((num_rows, len(self.columns)), torch.nan, dtype=torch.get_default_dtype())

    def spec(self, *, num_features: int) -> DataSpec:
        return DataSpec(
            task="regression",
            num_features=num_features,
            num_targets=len(self.columns),
            target_names=self.known_names(),
        )
