"""Targets of each part, and what a constant answer scores."""

import pytest
import torch

from datamodules.base import TensorTable
from datamodules.contents.counting import TargetCounts, counted, targets_of
from datamodules.contents.facts import Guess
from datamodules.spec import DataSpec

CLASSES = DataSpec(num_classes=3, class_names=["a", "b", "c"])


def test_classes_are_counted_and_the_most_frequent_training_class_is_the_guess() -> None:
    parts = {
        name: targets_of(TensorTable(torch.zeros(len(target), 1), torch.tensor(target)), CLASSES)
        for name, target in {"train": [0, 1, 1, -1], "test": [1, 0, 0, 0]}.items()
    }
    contents = counted(CLASSES, parts, unit="rows")
    assert [(part.name, part.rows) for part in contents.parts] == [("train", 4), ("test", 4)]
    assert contents.parts[0].counts is not None
    assert contents.parts[0].counts.tolist() == [1, 2, 0]
    assert contents.guess == Guess("b", "acc", {"train": 2 / 3, "test": 0.25})  # of the three known targets
    assert contents.notes == ("no training sample has the label c",)


def test_the_guess_of_labels_answers_each_label_as_most_samples_do() -> None:
    spec = DataSpec(task="multilabel", num_classes=2, class_names=["x", "y"])
    target = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, torch.nan]])
    contents = counted(spec, {"train": targets_of(TensorTable(torch.zeros(4, 1), target), spec)}, unit="rows")
    assert contents.guess is not None
    assert contents.guess.answer == "x"
    assert contents.guess.scores == pytest.approx({"train": (3 / 3 + 2 / 3) / 2})  # the row with NaN is unknown


def test_a_table_that_gives_no_targets_is_counted_by_its_rows() -> None:
    contents = counted(CLASSES, {"train": targets_of([1, 2, 3], CLASSES)}, unit="rows")
    assert (contents.parts[0].rows, contents.parts[0].counts, contents.guess) == (3, None, None)


def test_numbers_that_are_too_large_are_no_classes() -> None:
    counts = TargetCounts(DataSpec(), 2)
    counts.add(torch.tensor([0, 10**12]))
    assert counts.counts is None
