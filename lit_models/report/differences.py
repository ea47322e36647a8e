"""What differs between runs: settings, and the answers to the same samples.

The difference of two accuracies on the same samples has the adjusted Wald interval of Bonett and Price, "Adjusted Wald
Confidence Interval for a Difference of Binomial Proportions Based on Paired Data", 2012, and McNemar's exact test. The
difference of two mean errors has the interval of the paired t-test.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_models.report.evaluation import Array, Evaluation

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """A measure of the second run minus that of the first one, on the same samples.

    Args:
        measure: its name, "accuracy" or "mean absolute error".
        value: the difference.
        low: lower end of its 95 % interval.
        high: upper end.
        p_value: of the test that there is no difference; NaN if it is undefined.
        samples: samples that both have.
        method: the interval and the test, in words.
        gained: samples that only the second run has right, or that it predicts better.
        lost: samples that only the first run has right, or predicts better.
    """

    measure: str
    value: float
    low: float
    high: float
    p_value: float
    samples: int
    method: str
    gained: int
    lost: int


def flat(settings: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as texts, by dotted name."""
    if isinstance(settings, Mapping) and settings:
        rows: dict[str, str] = {}
        for name, value in settings.items():
            rows |= flat(value, f"{prefix}.{name}" if prefix else str(name))
        return rows
    return {prefix: "not set" if settings is None else str(settings)}


def side_by_side(configs: Sequence[Any]) -> list[tuple[str, list[str], bool]]:
    """A row per setting: its name, the value in each config ("-" if there is none), and whether the values differ."""
    columns = [flat(config) for config in configs]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name, "-") for column in columns]) for name in names if name]
    return [(name, values, len(set(values)) > 1) for name, values in rows]


def comparable(first: Evaluation, second: Evaluation) -> str:
    """Why two runs cannot be compared sample by sample; empty if they can."""
    if first.task != second.task or first.names != second.names:
        return "they predict different things"
    if first.split != second.split:
        return f"one was evaluated on its {first.split} split, the other on its {second.split} split"
    if not np.array_equal(first.indices, second.indices) or not np.array_equal(first.targets, second.targets):
        return "they were evaluated on different samples"
    if not (np.isfinite(first.predictions).all() and np.isfinite(second.predictions).all()):
        return "some predictions are not finite"
    return "" if len(first.targets) else "there is no sample"


def difference(first: Evaluation, second: Evaluation) -> Difference:
    """The difference of the accuracies, or of the mean absolute errors of a regression."""
    if first.task == "regression":
        return of_errors(first.confidence, second.confidence)
    return of_accuracy(first.correct, second.correct)


def of_accuracy(first: Array, second: Array) -> Difference:
    """The difference of two accuracies on the same samples, bool `(N,)` each."""
    from scipy.stats import binomtest, norm

    samples = len(first)
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    p_gained, p_lost = (gained + 1) / (samples + 2), (lost + 1) / (samples + 2)
    middle = p_gained - p_lost
    spread = math.sqrt((p_gained + p_lost - middle**2) / (samples + 2)) * float(norm.ppf((1 + CONFIDENCE) / 2))
    return Difference(
        measure="accuracy",
        value=(gained - lost) / samples,
        low=max(-1.0, middle - spread),
        high=min(1.0, middle + spread),
        p_value=float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
        samples=samples,
        method="adjusted Wald interval for paired proportions (Bonett and Price), exact McNemar test",
        gained=gained,
        lost=lost,
    )


def of_errors(first: Array, second: Array) -> Difference:
    """The difference of two mean absolute errors on the same samples, float `(N,)` each."""
    from scipy.stats import ttest_rel

    low = high = p_value = math.nan
    changes = second - first
    if len(first) > 1 and changes.std() > 0:
        test = ttest_rel(second, first)
        interval = test.confidence_interval(CONFIDENCE)
        low, high, p_value = float(interval.low), float(interval.high), float(test.pvalue)
    return Difference(
        measure="mean absolute error",
        value=float(changes.mean()),
        low=low,
        high=high,
        p_value=p_value,
        samples=len(first),
        method="interval and test of the paired t-test",
        gained=int((changes < 0).sum()),
        lost=int((changes > 0).sum()),
    )


def flipped(first: Evaluation, second: Evaluation) -> Array:
    """Positions of the samples that only one of two runs has right; for a regression, of all samples whose error has
    changed, those with the largest change first."""
    if first.task != "regression":
        return np.flatnonzero(first.correct != second.correct)
    change = np.abs(second.confidence - first.confidence)
    order = np.argsort(-change, kind="stable")
    return np.asarray(order[change[order] > 0])
