"""What is in the data, as plain values: `fit` and `data-check` print them, and the page of `data-check` shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt

from datamodules.spec import TaskName

Array = npt.NDArray[Any]


class Part(NamedTuple):
    """One part of the data.

    Args:
        name: "train", "val" or "test".
        rows: number of its samples.
        counts: samples of each class, or of each label, int64 `(C,)`; None if they are unknown.
    """

    name: str
    rows: int
    counts: Array | None = None


def with_drawn(parts: Sequence[Part], drawn: Mapping[str, int]) -> tuple[Part, ...]:
    """The parts that are set up, and those that are drawn and not set up yet, such as the test part in `fit`.

    Args:
        parts: that are set up.
        drawn: number of samples of each part.
    """
    known = {part.name for part in parts}
    return (*parts, *(Part(name, rows) for name, rows in drawn.items() if rows and name not in known))


class Guess(NamedTuple):
    """What a model scores that gives the same answer to each sample.

    Args:
        answer: the answer that suits the training part best, in words.
        metric: "acc", or "mae" (mean absolute error) for numbers.
        scores: the score on each part, by name.
    """

    answer: str
    metric: str
    scores: Mapping[str, float]


class Histogram(NamedTuple):
    """How often numbers occur.

    Args:
        title: what is counted, such as "words in a text".
        counts: samples of each bin, int64 `(n,)`.
        edges: limits of the bins, float `(n + 1,)`.
        limit: a number that is marked, such as the longest text that a model reads; None if there is none.
        limit_name: its name.
        clipped: whether the last bin also has all larger numbers.
    """

    title: str
    counts: Array
    edges: Array
    limit: float | None = None
    limit_name: str = ""
    clipped: bool = False


class Sample(NamedTuple):
    """A sample of the training part that is shown.

    Args:
        label: its class, labels or numbers.
        place: its file and line, or its position.
        text: the text, or the numbers.
        pixels: uint8 `(H, W)` or `(H, W, 3)`; None if it is not an image.
    """

    label: str
    place: str
    text: str = ""
    pixels: Array | None = None


class ColumnFacts(NamedTuple):
    """A column of a table.

    Args:
        name: its name.
        role: "number", "category", "target", "left out".
        missing: cells without a value.
        values: the range of its numbers, or its most frequent values.
    """

    name: str
    role: str
    missing: int
    values: str


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in the data.

    Args:
        unit: the samples in words, such as "texts".
        task: the type of one target; None if it is unknown.
        names: of the classes, labels or numbers.
        parts: the parts, training first.
        guess: the score of a constant answer; None if it is unknown.
        facts: further facts, by name.
        notes: what may be a mistake.
        mistakes: what surely is one.
        histograms: how often numbers occur, for the page.
        columns: the columns of a table, for the page.
        samples: some samples, for the page.
    """

    unit: str = "samples"
    task: TaskName | None = None
    names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    guess: Guess | None = None
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    columns: tuple[ColumnFacts, ...] = ()
    samples: tuple[Sample, ...] = ()


def percent(share: float) -> str:
    """A fraction in percent."""
    return f"{100 * share:.1f} %"
