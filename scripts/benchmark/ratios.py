"""Medians, ratios of paired runs, and an interval for their median that assumes no distribution."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

LEAST_COVERAGE = 0.9


class Ratio(NamedTuple):
    """The median of paired ratios.

    Args:
        value: the median.
        low: lower end of the interval.
        high: upper end of the interval.
        coverage: probability that such an interval contains the true median.
        pairs: number of pairs.
    """

    value: float
    low: float
    high: float
    coverage: float
    pairs: int


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The narrowest interval between two order statistics, symmetric in rank, that contains the true median with a
    probability of at least `LEAST_COVERAGE`, or from the smallest to the largest value. Returns its ends and that
    probability.

    The true median is below the k-th smallest of n values if fewer than k of them are below the median, so the interval
    from the k-th smallest to the k-th largest value has the coverage 1 - 2 * P(Binomial(n, 1/2) < k).
    """
    ordered, n = sorted(values), len(values)
    kept = 1
    for k in range(1, n // 2 + 1):
        if coverage(n, k) >= LEAST_COVERAGE:
            kept = k
    return ordered[kept - 1], ordered[n - kept], coverage(n, kept)


def coverage(n: int, k: int) -> float:
    """Probability that the true median is between the k-th smallest and the k-th largest of n values."""
    below = sum(math.comb(n, i) for i in range(k))
    return max(0.0, 1 - 2 * below / float(2**n))


def paired_ratio(numerators: Mapping[int, float], denominators: Mapping[int, float]) -> Ratio | None:
    """The median of the ratios of the repetitions that both have; None without one.

    Args:
        numerators: value of each repetition.
        denominators: the same of the other side.
    """
    ratios = [numerators[i] / denominators[i] for i in sorted(numerators.keys() & denominators.keys())]
    if not ratios:
        return None
    low, high, covered = interval(ratios)
    return Ratio(median(ratios), low, high, covered, len(ratios))
