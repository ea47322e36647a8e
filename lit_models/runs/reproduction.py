"""Compares the numbers of two runs, and lists possible reasons for differences."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from datamodules.errors import MissingFileError, UserError

Number = float | None
ROUNDING = {"64": 1e-9, "32": 1e-4, "16": 1e-2}
"""Largest relative difference that counts as rounding, by the bits of the precision. It is some thousand times the
epsilon, because the differences grow with each step."""
ABOUT = ("device", "processes", "precision", "threads", "kernels", "seed", "commit")


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Args:
        verdict: "identical", "within rounding" or "different".
        lines: the result in words, for the screen.
    """

    verdict: Literal["identical", "within rounding", "different"]
    lines: list[str]


@dataclass(frozen=True)
class Difference:
    """A number that differs between two runs.

    Args:
        name: name of the metric; for `metrics.csv`, with its row.
        was: value of the first run; None if it is missing or not finite.
        now: value of the second run.
    """

    name: str
    was: Number
    now: Number

    @property
    def relative(self) -> float:
        """Difference divided by the larger of the two; infinite if one is missing."""
        if self.was is None or self.now is None:
            return float("inf")
        return abs(self.was - self.now) / max(abs(self.was), abs(self.now))

    def __str__(self) -> str:
        return f"{self.name}: was {self.was}, is {self.now} (relative difference {self.relative:.1e})"


def read_results(folder: Path) -> dict[str, Any]:
    """The results of a finished run of `fit`.

    Raises:
        MissingFileError: the folder or its `results.json` does not exist.
        UserError: the file is damaged, or belongs to another command.
    """
    path = folder / "results.json"
    if not folder.is_dir():
        raise MissingFileError(f"no run folder {folder}: name one such as runs/digits_cnn/version_0")
    if not path.is_file():
        raise MissingFileError(f"{folder} has no results.json: only a finished run of fit can be compared")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not a JSON text") from error
    metrics = content.get("metrics") if isinstance(content, dict) else None
    if not isinstance(metrics, dict) or not all(v is None or isinstance(v, int | float) for v in metrics.values()):
        raise UserError(f"{path} has no metrics: it is not written by a run of fit")
    parts = ("versions", "data_sha256")
    if wrong := next((part for part in parts if not isinstance(content.get(part) or {}, dict)), None):
        raise UserError(f"{path} is damaged: its {wrong} is not a JSON object")
    if content.get("command") != "fit":
        raise UserError(f"{path} is of {content.get('command')!r}: only a run of fit can be reproduced")
    return cast(dict[str, Any], content)


def compare(first: Path, second: Path) -> Comparison:
    """Compares metrics, `metrics.csv` and weights of two finished runs.

    Raises:
        UserError: one of them is not finished, or one of its files is damaged.
    """
    was, now = read_results(first), read_results(second)
    rows = (read_metrics(first / "metrics.csv"), read_metrics(second / "metrics.csv"))
    differences = [*_differences(was["metrics"], now["metrics"]), *_differences(*rows)]
    weights = (was.get("weights_sha256"), now.get("weights_sha256"))
    notes = _reasons(was, now)
    if not differences and weights[0] == weights[1]:
        parts = ["metrics.csv"] * bool(rows[0]) + ["the weights"] * (weights[0] is not None)
        compared = f"{len(was['metrics'])} metrics" + "".join(f", {part}" for part in parts)
        return Comparison("identical", [f"identical: {compared}", *notes])
    largest = max(differences, key=lambda difference: difference.relative, default=None)
    if largest is None:
        return Comparison("within rounding", ["within rounding: all metrics are equal, the weights differ", *notes])
    if largest.relative <= _rounding(str(was.get("precision"))):
        return Comparison("within rounding", [f"within rounding: the largest difference is of {largest}", *notes])
    last = list(_differences(was["metrics"], now["metrics"]))
    lines = [f"different: {len(last)} of {len(was['metrics'] | now['metrics'])} metrics"]
    return Comparison("different", [*lines, *(f"  {line}" for line in last or [largest]), *notes])


def read_metrics(path: Path) -> dict[str, Number]:
    """The numbers of a `metrics.csv`, by column and line; empty if there is no such file.

    Raises:
        UserError: the file is not a table of numbers.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        return {f"{name} (line {i})": float(v) for i, row in enumerate(rows, start=2) for name, v in row.items() if v}
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged: it is not a table of numbers") from error


def _differences(was: Mapping[str, Number], now: Mapping[str, Number]) -> Iterator[Difference]:
    for name in {**was, **now}:
        values = was.get(name), now.get(name)
        both_nan = all(isinstance(v, float) and v != v for v in values)  # NaN is not equal to itself
        if values[0] != values[1] and not both_nan:
            yield Difference(name, *values)


def _rounding(precision: str) -> float:
    """The tolerance for a precision such as "32-true", "bf16-mixed" or "64-true"."""
    return next((tolerance for bits, tolerance in ROUNDING.items() if bits in precision), ROUNDING["32"])


def _reasons(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line for each change of versions, commit, data, device or threads."""
    facts = [(name, was.get(name), now.get(name)) for name in ABOUT]
    before, after = was.get("versions") or {}, now.get("versions") or {}
    facts += [(name, before.get(name), after.get(name)) for name in before | after]
    data = [
        {Path(name).name: value for name, value in (results.get("data_sha256") or {}).items()} for results in (was, now)
    ]
    facts += [(f"SHA-256 of {name}", data[0].get(name), data[1].get(name)) for name in data[0] | data[1]]
    return [f"note: {name} is {b}, and was {a}" for name, a, b in facts if a != b]
