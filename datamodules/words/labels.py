"""Labels: reads their names from the cells of a table, sorts them, and numbers them.

A row has one class. If a separator is given, a row has any number of labels.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from datamodules.errors import UserError
from datamodules.storage.lines import require_utf8

IGNORED = "-100"  # torch's index of targets that no loss counts
MOST_LABELS = 1000  # a column with more different values is probably not the label column
MOST_GROUPS = 5
WRONG_COLUMN = "this column does not look like labels: name the right column with --data.label_column"


def read_labels(cell: Any, place: str, *, separator: str | None = None) -> tuple[str, ...]:
    """The names of the labels in a cell: one class, or with a separator any number of labels.

    Args:
        cell: a text or a number; with a separator also a list of them, or nothing.
        place: place of the cell, for messages.
        separator: text between two labels; None for one class.

    Raises:
        UserError: see `read_label`.
    """
    if separator is None:
        return (read_label(cell, place),)
    if _is_empty(cell):
        return ()
    if isinstance(cell, str):
        parts: list[Any] = cell.strip().split(separator)
        if not all(part.strip() for part in parts):
            raise UserError(f"{place}: an empty label in {cell!r}, expected labels with {separator!r} between them")
    else:
        parts = cell if isinstance(cell, list) else [cell]
    return tuple(dict.fromkeys(read_label(part, place) for part in parts))


def read_label(value: Any, place: str) -> str:
    """The name of one label: text without the space around it; a number in its shortest form, such as 3 for 3.0.

    Raises:
        UserError: the value is empty, -100, or a list; the message begins with `place`.
    """
    if isinstance(value, bool):
        return str(value).lower()
    expected = "expected a class name or a number"
    if _is_empty(value):
        raise UserError(f"{place}: the label is empty, {expected}")
    if isinstance(value, list):
        hint = "for rows with several labels, give --data.label_separator"
        raise UserError(f"{place}: the label is a list, {expected}; {hint}")
    if not isinstance(value, (str, int, float)):
        raise UserError(f"{place}: the label is of type {type(value).__name__}, {expected}")
    text = str(value).strip()
    if not (number := re.fullmatch(r"([+-]?)(0|[1-9]\d*)(\.\d*)?(e[+-]?\d+)?", text, re.IGNORECASE)):
        return require_utf8(text, place)
    sign, whole, fraction, exponent = number.groups()
    if exponent or (fraction or "").strip(".0"):
        label = plain_number(text)
    else:
        label = f"-{whole}" if sign == "-" and whole != "0" else whole
    if label == IGNORED:
        raise UserError(f"{place}: the label is {text}, which marks rows without a class: remove them")
    return label


def require_different(places: Mapping[str, str], *, advice: str = "") -> None:
    """Refuses labels that differ only in upper and lower case, or in blanks. Labels of one character may be letters,
    so they are not compared.

    Args:
        places: the first place of each label, for the message.
        advice: what can be done instead of a change of the data.

    Raises:
        UserError: there are such labels; the message has all of them.
    """
    same: dict[str, list[str]] = {}
    for label in places:
        if len(label) > 1:
            same.setdefault("".join(label.split()).casefold(), []).append(label)
    groups = [" and ".join(f"{label!r} ({places[label]})" for label in group) for group in same.values() if group[1:]]
    if groups:
        shown = "; ".join(groups[:MOST_GROUPS]) + ("; …" if groups[MOST_GROUPS:] else "")
        raise UserError(f"labels differ only in case or blanks: {shown}; write each label in one way{advice}")


def in_order(labels: Sequence[str]) -> list[str]:
    """The labels, sorted: numbers by value, names by alphabet."""
    return sorted(labels, key=float) if all(map(is_number, labels)) else sorted(labels)


def plain_number(text: str) -> str:
    """A number as the name of a class: 0.50 and 5e-1 are 0.5, and 1e1 is 10."""
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def is_number(label: str) -> bool:
    """Whether the name of a label is a number."""
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", label) is not None


def is_integer(label: str) -> bool:
    """Whether the name of a label is a whole number."""
    return label.removeprefix("-").isdecimal()


class LabelNumbers:
    """Numbers labels by their position in `names`. If no name is an integer, an integer label is itself a position.

    Args:
        names: names of the classes or labels, in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._numbers = {name: i for i, name in enumerate(names)}
        if not any(map(is_integer, names)):
            self._numbers |= {str(i): i for i in range(len(names))}

    def of(self, label: str, place: str) -> int:
        """The number of a label, from 0.

        Raises:
            UserError: the label is not one of the names; the message begins with `place`.
        """
        if label not in self._numbers:
            shown = ", ".join(self.names[:10]) + (", …" if len(self.names) > 10 else "")
            raise UserError(f"{place}: the label {label!r} is not among the {len(self.names)} classes {shown}")
        return self._numbers[label]


def _is_empty(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())
