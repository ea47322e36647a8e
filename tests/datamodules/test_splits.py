"""Drawn parts: shares of each class, each sample once, and the same for the same seed."""

from collections import Counter

import pytest
import torch

from datamodules.errors import UserError
from datamodules.splits import Parts, draw_parts


def parts(groups: list[int], *, val: float = 0.2, test: float = 0.1, seed: int = 0) -> Parts:
    return draw_parts(groups, val_fraction=val, test_fraction=test, seed=seed, unit="images")


def test_each_class_gives_its_share_and_each_sample_is_in_one_part() -> None:
    groups = [0] * 50 + [1] * 30 + [2] * 20
    drawn = parts(groups)
    assert torch.cat(drawn).sort().values.tolist() == list(range(100))
    counts = [Counter(groups[i] for i in part.tolist()) for part in drawn]
    assert counts == [{0: 35, 1: 21, 2: 14}, {0: 10, 1: 6, 2: 4}, {0: 5, 1: 3, 2: 2}]
    assert all(part.tolist() == sorted(part.tolist()) for part in drawn)


def test_shares_that_are_no_whole_numbers_add_up_to_the_fraction_of_all() -> None:
    groups = [i % 3 for i in range(21)]  # 7 of each; a fifth of 21 is 4.2, and a fifth of 7 is 1.4
    drawn = parts(groups, test=0)
    assert (len(drawn.train), len(drawn.val), len(drawn.test)) == (17, 4, 0)
    counts = Counter(groups[i] for i in drawn.val.tolist())
    assert sorted(counts.values()) == [1, 1, 2]


def test_the_draw_depends_on_the_seed_alone() -> None:
    groups = [i % 2 for i in range(40)]
    before = torch.default_generator.get_state()
    first = parts(groups, seed=1)
    assert torch.equal(torch.default_generator.get_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, parts(groups, seed=1), strict=True))
    assert not torch.equal(first.val, parts(groups, seed=2).val)


def test_each_class_keeps_a_sample_for_training() -> None:
    drawn = parts([0] * 10 + [1], val=0.4, test=0.4)
    assert (len(drawn.train), len(drawn.val), len(drawn.test)) == (3, 4, 4)
    assert 10 in drawn.train.tolist()


def test_a_part_has_at_least_one_sample() -> None:
    drawn = parts([0, 0, 0, 1, 1], val=0.01, test=0.01)
    assert (len(drawn.train), len(drawn.val), len(drawn.test)) == (3, 1, 1)


def test_fractions_of_0_leave_all_for_training() -> None:
    drawn = parts([0, 1], val=0, test=0)
    assert [part.tolist() for part in drawn] == [[0, 1], [], []]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        parts([0, 1])
    flags = "--data.val_fraction 0 --data.test_fraction 0"
    assert str(caught.value) == f"2 images are too few for a test part: add some, or set {flags}"
