"""The numbers of a comparison against arithmetic, simulation and scipy."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from lit_models.report import differences
from tests.report.samples import classes, numbers


def test_the_difference_of_accuracies_counts_the_flipped_samples() -> None:
    # 100 samples: both right 80, only the first 5, only the second 12, none 3. The difference is (12 - 5) / 100.
    first = np.array([True] * 85 + [False] * 15)
    second = np.array([True] * 80 + [False] * 5 + [True] * 12 + [False] * 3)
    found = differences.of_accuracy(first, second)
    assert (found.gained, found.lost, found.samples) == (12, 5, 100)
    assert found.value == pytest.approx(0.07)
    # Bonett and Price: one is added to both counts and two to n. (13 - 6) / 102 = 0.0686, and
    # 1.95996 * sqrt((19 / 102 - 0.0686^2) / 102) = 0.0827.
    assert (found.low, found.high) == pytest.approx((0.0686 - 0.0827, 0.0686 + 0.0827), abs=2e-4)
    # McNemar: of 17 coins, 5 or fewer or 12 or more heads: 2 * (1 + 17 + 136 + 680 + 2380 + 6188) / 2^17.
    assert found.p_value == pytest.approx(2 * 9402 / 2**17)


def test_the_interval_contains_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    truth, contained, trials = 0.1, 0, 400
    for _ in range(trials):
        outcomes = rng.choice(4, size=150, p=[0.6, 0.1, 0.2, 0.1])  # both, only first, only second, none
        found = differences.of_accuracy(np.isin(outcomes, (0, 1)), np.isin(outcomes, (0, 2)))
        contained += found.low <= truth <= found.high
    assert 0.92 <= contained / trials <= 0.98  # three standard deviations of a share of 0.95 in 400 trials are 0.033


def test_equal_answers_have_an_interval_that_contains_zero() -> None:
    same = np.array([True, False] * 10)
    found = differences.of_accuracy(same, same)
    assert found.value == 0
    assert found.low < 0 < found.high
    assert found.p_value == 1


def test_the_difference_of_errors_is_that_of_the_paired_t_test() -> None:
    first, second = numbers(noise=0.3), numbers(noise=0.1)
    found = differences.difference(first, second)
    errors = [np.abs(e.predictions - e.targets)[:, 0] for e in (first, second)]
    test = ttest_rel(errors[1], errors[0])
    assert found.value == pytest.approx(errors[1].mean() - errors[0].mean())
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.gained + found.lost == 60


def test_samples_that_only_one_run_has_right_are_flipped() -> None:
    first, second = classes(seed=1), classes(seed=1)
    second.predictions[[3, 7]] = second.predictions[[3, 7]][:, [1, 2, 0]]
    changed = [i for i in (3, 7) if first.correct[i] != second.correct[i]]
    assert differences.flipped(first, second).tolist() == changed != []


def test_settings_are_rows_with_dotted_names() -> None:
    rows = differences.side_by_side([{"a": {"b": 1, "c": None}}, {"a": {"b": 2, "c": None}, "d": [1]}])
    assert rows == [
        ("a.b", ["1", "2"], True),
        ("a.c", ["not set", "not set"], False),
        ("d", ["-", "[1]"], True),
    ]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (numbers(), "they predict different things"),
        (classes(size=50), "they were evaluated on different samples"),
    ],
)
def test_other_samples_are_not_compared(second: object, reason: str) -> None:
    assert differences.comparable(classes(), second) == reason  # type: ignore[arg-type]
