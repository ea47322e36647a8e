"""Predictions as rows: their form, and the files of them, CSV and JSON Lines."""

import csv
import json
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TextIO, runtime_checkable

import lightning as L
from torch import Tensor

from datamodules.errors import UserError
from lit_models.runs.durable import replaced
from lit_models.tasks.targets import Classification

FORMULA = re.compile(r"[ \n]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""The beginning of a text that a spreadsheet would compute as a formula, also with full-width characters."""
INNER_FORMULA = re.compile(r'([;\t\r\n][\s"]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20](?!\)))')
"""A formula inside a text. A spreadsheet that splits lines at semicolons or tabs starts a new cell there, because it
respects quotes only at the beginning of a cell. The smiley ;-) is not changed."""
NUMBER = re.compile(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?")
Record = dict[str, Any]
"""One row by column name, plain values."""


@runtime_checkable
class Rows(Protocol):
    """The form of predictions: as a row of a file, and as a line on the screen."""

    def row(self, prediction: list[float]) -> Record:
        """One prediction by column name, plain values."""
        ...

    def line(self, prediction: list[float]) -> str:
        """One prediction as a short text."""
        ...


def form_of(module: L.LightningModule) -> Rows | None:
    """The form that a module defines for its predictions, with an attribute `target`; None for other modules."""
    target = getattr(module, "target", None)
    return target if isinstance(target, Rows) else None


def rows_of(module: L.LightningModule, predictions: Any) -> Rows | None:
    """The form of the predictions as rows: that of the module, or classes if they are probabilities. None for other
    predictions."""
    if not is_table(predictions):
        return None
    if (form := form_of(module)) is not None:
        return form
    within = bool(((predictions >= 0) & (predictions <= 1)).all())
    sums = predictions.double().sum(dim=1)
    if predictions.shape[1] < 2 or not within or not bool(((sums - 1).abs() < 1e-3).all()):
        return None
    names = module.hparams.get("class_names")
    return Classification(predictions.shape[1], names if names and len(names) == predictions.shape[1] else None)


def is_table(predictions: Any) -> bool:
    """Whether predictions are numbers `(B, columns)`."""
    return isinstance(predictions, Tensor) and predictions.ndim == 2 and predictions.is_floating_point()


class Top:
    """Rows with the most probable classes or labels only.

    Args:
        rows: the form with all of them.
        k: number of classes, at least 1; all of them if there are fewer.
    """

    def __init__(self, rows: Rows, k: int) -> None:
        self.rows, self.k = rows, k

    def row(self, prediction: list[float]) -> Record:
        """`probability`, then `label_2`, `probability_2` and so on. For sets of labels, this begins with `label_1`.

        Raises:
            UserError: the predictions are numbers.
        """
        record = self.rows.row(prediction)
        best = self._best(record)
        start = 2 if "label" in record else 1
        for place, (name, probability) in enumerate(best[start - 1 :], start=start):
            record |= {f"label_{place}": name, f"probability_{place}": probability}
        return {name: value for name, value in record.items() if not name.startswith("p(")}

    def line(self, prediction: list[float]) -> str:
        """The classes with their probabilities, the most probable first."""
        best = self._best(self.rows.row(prediction))
        return "  ".join(f"{' '.join(name.split())} {probability:.4f}" for name, probability in best)

    def nested(self, prediction: list[float]) -> Record:
        """The row for JSON, with the object `probabilities`, the most probable first."""
        record = self.rows.row(prediction)
        plain = {name: value for name, value in record.items() if not name.startswith("p(")}
        return {**plain, "probabilities": dict(self._best(record))}

    def _best(self, record: Record) -> list[tuple[str, float]]:
        each = probabilities_in(record)
        if not each:
            raise UserError("top_k is for classes and labels, and the model predicts numbers: leave it out")
        return sorted(each.items(), key=lambda pair: -pair[1])[: self.k]


def probabilities_in(record: Record) -> dict[str, float]:
    """The columns `p(NAME)` of a row of classes or labels, by NAME. A target of a regression may have such a name."""
    if not {"label", "labels"} & record.keys():
        return {}
    return {name[2:-1]: value for name, value in record.items() if name.startswith("p(")}


def nested(rows: Rows, prediction: list[float]) -> Record:
    """A row for JSON, with the columns `p(NAME)` joined to one object, `probabilities`."""
    if isinstance(rows, Top):
        return rows.nested(prediction)
    record = rows.row(prediction)
    each = probabilities_in(record)
    if not each:
        return record
    return {name: value for name, value in record.items() if not name.startswith("p(")} | {"probabilities": each}


class RowFile:
    """Writes rows of CSV, or JSON objects, one a line. The file gets its name when it is closed. Formulas in a CSV file
    are escaped.

    Args:
        path: a new file; None for JSON Lines on standard output.
        rows: the form of the predictions.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path | None, rows: Rows) -> None:
        self.rows, self._stack = rows, ExitStack()
        self._file: TextIO = sys.stdout
        self._table: Any = None
        self._has_header = False
        self._ascii = path is None and (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        if path is not None:
            part = self._stack.enter_context(replaced(path))
            self._file = self._stack.enter_context(part.open("w", encoding="utf-8", newline=""))
            self._table = csv.writer(self._file) if path.suffix.lower() == ".csv" else None

    def add(self, name: str, prediction: list[float]) -> None:
        """Writes the name and the prediction of a sample.

        Raises:
            UserError: the file cannot be written; nothing is left of it.
        """
        try:
            if self._table is None:
                record = {"input": name, **nested(self.rows, prediction)}
                self._file.write(json.dumps(record, ensure_ascii=self._ascii) + "\n")
                return
            record = {"input": name, **self.rows.row(prediction)}
            if not self._has_header:
                self._table.writerow([cell(column) for column in record])
                self._has_header = True
            self._table.writerow([cell(value) for value in record.values()])
        except OSError as error:
            self.abandon(error)
            raise

    def flush(self) -> None:
        """Hands the rows so far to a reader of standard output."""
        if self._file is sys.stdout:
            self._file.flush()

    def close(self) -> None:
        """Gives the file its name.

        Raises:
            UserError: the file cannot be written.
        """
        self._stack.close()

    def abandon(self, error: BaseException) -> None:
        """Removes what was written.

        Raises:
            UserError: the reason is an error of the operating system.
        """
        self._stack.__exit__(type(error), error, error.__traceback__)


def cell(value: Any) -> Any:
    """A value for a CSV file. A text that a spreadsheet would compute as a formula gets an apostrophe before it, as
    OWASP advises. The same holds for a part of a text after a semicolon, a tab or the end of a line. Numbers are not
    changed."""
    if isinstance(value, float):
        return f"{value:.8g}"
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    text = INNER_FORMULA.sub(r"\1'", value)
    return f"'{text}" if FORMULA.match(text) else text
