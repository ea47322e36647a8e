"""Medians of paired ratios, and their intervals, by arithmetic."""

import itertools
from statistics import median

import pytest

from scripts.benchmark.ratios import Ratio, coverage, interval, paired_ratio


@pytest.mark.parametrize(
    ("n", "k", "expected"),
    [
        (2, 1, 1 - 2 * 1 / 4),  # both values on one side of the median: 2 of 4 cases
        (3, 1, 1 - 2 * 1 / 8),
        (5, 1, 1 - 2 * 1 / 32),
        (8, 2, 1 - 2 * (1 + 8) / 256),
        (1, 1, 0.0),
    ],
)
def test_the_coverage_is_that_of_a_binomial(n: int, k: int, expected: float) -> None:
    assert coverage(n, k) == expected


def test_the_coverage_is_the_share_of_all_cases() -> None:
    """Each of five values is below or above the true median, with equal probability: 32 cases are counted."""
    between = [1 <= sum(below) <= 4 for below in itertools.product((0, 1), repeat=5)]
    assert coverage(5, 1) == sum(between) / 32


def test_the_interval_is_the_narrowest_with_enough_coverage() -> None:
    values = [8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0]
    assert interval(values) == (2.0, 7.0, 1 - 18 / 256)  # k = 3 would have 1 - 2 * (1 + 8 + 28) / 256 = 0.71
    assert interval(values[:5]) == (1.0, 8.0, 0.9375)
    assert interval([3.0, 1.0, 2.0]) == (1.0, 3.0, 0.75)
    assert interval([2.0]) == (2.0, 2.0, 0.0)


def test_a_ratio_is_of_the_same_repetition() -> None:
    """The median of the ratios, 2, 4 and 3; the ratio of the medians would be 20 / 5 = 4."""
    theirs, ours = {1: 20.0, 2: 20.0, 3: 6.0}, {1: 10.0, 2: 5.0, 3: 2.0, 4: 1.0}
    assert paired_ratio(theirs, ours) == Ratio(3.0, 2.0, 4.0, 0.75, 3)
    assert median(theirs.values()) / median(list(ours.values())[:3]) == 4


def test_without_a_common_repetition_there_is_no_ratio() -> None:
    assert paired_ratio({1: 1.0}, {2: 1.0}) is None
