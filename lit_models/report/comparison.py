"""The page that compares several runs: settings, metrics, curves, and the answers to the same samples."""

import time
from collections.abc import Sequence
from typing import Any

import yaml

from lit_models.report import differences, facts
from lit_models.report.charts import Line
from lit_models.report.page import MOST_CHARTS, SPLITS, curve_chart, described, metric_rows, render
from lit_models.report.record import Curves, Record

MOST_FLIPPED = 50
"""Flipped samples that are listed for a pair of runs."""


def comparison(records: Sequence[Record], *, start: float | None = None) -> str:
    """The HTML that compares runs. The first one is the baseline.

    Args:
        records: the runs, at least two.
        start: `time.perf_counter()` when the work for the page began, to state its cost.
    """
    start = time.perf_counter() if start is None else start
    rows = differences.side_by_side([_settings(record.config) for record in records])
    curves = joined_curves(records)
    content = {
        "title": f"Comparison of {len(records)} runs",
        "names": [record.name for record in records],
        "letters": [letter(i) for i in range(len(records))],
        "notes": [f"{record.name}: {note}" for record in records for note in record.notes],
        "different": [(name, values) for name, values, differs in rows if differs],
        "equal": [(name, values[0]) for name, values, differs in rows if not differs],
        "facts": _facts(records),
        "metrics": metric_rows(records),
        "curves": [curve_chart(f"curve{i}", each) for i, each in enumerate(curves[:MOST_CHARTS])],
        "curves_left_out": [each.metric for each in curves[MOST_CHARTS:]],
        "pairs": [_pair(records[0], record, letter(i + 1)) for i, record in enumerate(records[1:])],
        "most_flipped": MOST_FLIPPED,
    }
    return render("comparison.html.j2", content | {"seconds": time.perf_counter() - start})


def letter(number: int) -> str:
    """A short name of a run: A, B, …, Z, and then R27, R28, …"""
    return chr(ord("A") + number) if number < 26 else f"R{number + 1}"


def _settings(config: str) -> Any:
    try:
        return yaml.safe_load(config)
    except (yaml.YAMLError, RecursionError):
        return None


def _facts(records: Sequence[Record]) -> list[tuple[str, list[str], bool]]:
    """What was run, a row per fact, and whether it differs."""
    columns = [dict(facts.facts(record)) for record in records]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name, "-") for column in columns]) for name in names]
    return [(name, values, len(set(values)) > 1) for name, values in rows]


def joined_curves(records: Sequence[Record]) -> list[Curves]:
    """The curves of all runs, in one chart per metric and split. A metric that the runs logged once per epoch and once
    per step has two charts."""
    lines: dict[tuple[str, str, str], list[Line]] = {}
    for i, record in enumerate(records):
        for curves in record.curves:
            for split, x, y in curves.lines:
                lines.setdefault((curves.metric, split, curves.x_label), []).append((letter(i), x, y))
    return [
        Curves(metric if split == metric else f"{split} {metric}", tuple(each), x_label)
        for (metric, split, x_label), each in lines.items()
    ]


def _pair(first: Record, second: Record, name: str) -> dict[str, Any]:
    """The first run and another one, sample by sample."""
    pair: dict[str, Any] = {"letter": name, "name": second.name, "reason": "", "difference": None, "flipped": []}
    a, b = first.evaluation, second.evaluation
    if a is None or b is None:
        missing = [record.name for record in (first, second) if record.evaluation is None]
        return pair | {"reason": f"{' and '.join(missing)} kept no evaluated samples"}
    if reason := differences.comparable(a, b):
        return pair | {"reason": reason}
    places = differences.flipped(a, b)
    rows = [
        {
            "index": int(a.indices[i]),
            "true": described(a, a.targets[i]),
            "first": described(a, a.predicted[i]),
            "second": described(b, b.predicted[i]),
            "better": bool(b.confidence[i] < a.confidence[i]) if a.task == "regression" else bool(b.correct[i]),
        }
        for i in places[:MOST_FLIPPED]
    ]
    return pair | {
        "difference": differences.difference(a, b),
        "split": SPLITS[a.split],
        "regression": a.task == "regression",
        "flipped": rows,
        "num_flipped": len(places),
    }
