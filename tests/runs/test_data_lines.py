"""The lines about the data on the screen."""

import numpy as np

from datamodules.contents.facts import Contents, Guess, Part
from lit_models.runs.data_lines import WIDTH, content_lines

TWO = Contents(
    unit="texts",
    task="classification",
    names=("neg", "pos"),
    parts=(Part("train", 1500, np.array([500, 1000])), Part("val", 10, np.array([5, 5]))),
    guess=Guess("pos", "acc", {"train": 2 / 3, "val": 0.5}),
    facts=(("unknown words", "2.0 % of train"),),
    notes=("a note",),
    mistakes=("a mistake",),
)


def test_the_lines_have_sizes_classes_guess_facts_and_notes() -> None:
    assert content_lines(TWO) == [
        "data: 1,500 train + 10 val texts",
        "2 classes in train: neg (500), pos (1,000)",
        "always answering pos: acc 0.6667 train, 0.5000 val",
        "unknown words: 2.0 % of train",
        "note: a note",
        "mistake: a mistake",
    ]
    assert content_lines(TWO, each_part=True)[2] == "2 classes in val: neg (5), pos (5)"


def test_of_many_classes_the_most_frequent_and_the_rarest_are_shown() -> None:
    names = tuple(f"class{i}" for i in range(12))
    part = Part("train", 78, np.arange(1, 13))
    lines = content_lines(Contents(task="classification", names=names, parts=(part,)))
    assert " ".join(" ".join(lines[1:]).split()) == (
        "12 classes in train: class11 (12), class10 (11), class9 (10), class8 (9), class7 (8) and 7 more; "
        "the rarest is class0 (1)"
    )
    assert max(map(len, lines)) <= WIDTH


def test_a_line_is_not_broken_before_a_count() -> None:
    part = Part("train", 10, np.full(10, 1))
    names = tuple("a" * length for length in range(2, 12))
    lines = content_lines(Contents(task="classification", names=names, parts=(part,)))
    assert len(lines) > 2
    assert not [line for line in lines if line.strip().startswith("(")]


def test_control_characters_of_the_data_are_shown_as_escapes() -> None:
    assert content_lines(Contents(notes=("the label \x1b[31m",)))[1] == "note: the label \\x1b[31m"


def test_data_without_known_parts_are_one_line() -> None:
    assert content_lines(Contents()) == ["data: no samples"]
