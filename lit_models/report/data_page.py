"""The page about data: classes, lengths, columns, notes and samples, put into the template."""

import time
from typing import Any

import numpy as np

from datamodules.contents.facts import Contents, percent
from lit_models.report import charts
from lit_models.report.page import picture, render

MOST_BARS = 40
"""Classes of the chart; of more, the most frequent ones."""


def data_page(contents: Contents, *, name: str, command: str, start: float) -> str:
    """The HTML about some data.

    Args:
        contents: what is in the data.
        name: name of the data.
        command: the command line.
        start: `time.perf_counter()` when the work began, to state its cost.
    """
    guess = contents.guess
    content = {
        "title": f"What is in the data: {name}",
        "command": command,
        "contents": contents,
        "kind": "label" if contents.task == "multilabel" else "class",
        "guess": guess,
        "last_score": list(guess.scores.items())[-1:] if guess is not None else [],
        "classes": _classes(contents),
        "bars": _bars(contents),
        "most_bars": MOST_BARS,
        "histograms": [
            (charts.counts(f"histogram{i}", each), each.clipped) for i, each in enumerate(contents.histograms)
        ],
        "pictures": any(sample.pixels is not None for sample in contents.samples),
        "samples": [
            sample._asdict() | {"picture": None if sample.pixels is None else picture(sample.pixels)}
            for sample in sorted(contents.samples, key=lambda sample: sample.label)
        ],
    }
    return render("data.html.j2", content | {"seconds": time.perf_counter() - start})


def _classes(contents: Contents) -> list[tuple[str, list[str]]]:
    """The samples of each class in each part, with their share of the part."""
    counted = [part for part in contents.parts if part.counts is not None]
    rows = []
    for i, name in enumerate(contents.names if counted else ()):
        cells = []
        for part in counted:
            assert part.counts is not None, "such parts were chosen"
            count = int(part.counts[i]) if i < len(part.counts) else 0
            cells.append(f"{count:,} ({percent(count / max(1, part.rows))})")
        rows.append((name, cells))
    return rows


def _bars(contents: Contents) -> str | None:
    """The chart of the classes; None if there are none."""
    counted = {part.name: part for part in contents.parts if part.counts is not None and part.rows}
    if not counted or not contents.names:
        return None
    shares: dict[str, Any] = {}
    for name, part in counted.items():
        assert part.counts is not None, "such parts were chosen"
        padded = np.pad(part.counts, (0, len(contents.names) - len(part.counts)))
        shares[name] = padded / part.rows
    first = next(iter(shares.values()))
    chosen = np.arange(len(first)) if len(first) <= MOST_BARS else np.argsort(-first, kind="stable")[:MOST_BARS]
    names = [contents.names[i] for i in chosen.tolist()]
    return charts.class_bars(names, {name: values[chosen] for name, values in shares.items()})
