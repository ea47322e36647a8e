"""Labels: names out of cells, one or several, their order and their numbers."""

import re
from typing import Any

import pytest

from datamodules.errors import UserError
from datamodules.words.labels import LabelNumbers, in_order, read_label, read_labels, require_different


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("pos ", "pos"),
        (3, "3"),
        ("3", "3"),
        (3.0, "3"),
        ("-0", "0"),
        ("007", "007"),
        (True, "true"),
        (-1, "-1"),
        ("-1.0", "-1"),
    ],
)
def test_labels_are_names(value: object, label: str) -> None:
    assert read_label(value, "f:1") == label


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "f:1: the label is empty, expected a class name or a number"),
        (" ", "f:1: the label is empty"),
        (float("nan"), "f:1: the label is empty"),
        (-100, "f:1: the label is -100, which marks rows without a class: remove them"),
        ("-100.0", "f:1: the label is -100.0, which marks rows without a class: remove them"),
        (
            [1],
            "f:1: the label is a list, expected a class name or a number; for rows with several labels, give "
            "--data.label_separator",
        ),
        ({}, "f:1: the label is of type dict, expected a class name or a number"),
        ("\ud800", r"f:1: the text is not UTF-8 \(lone surrogate U\+D800\)"),
    ],
)
def test_labels_that_are_no_class_are_refused(value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_label(value, "f:1")


def test_without_a_separator_a_cell_is_one_label() -> None:
    assert read_labels("comedy;drama", "f:1") == ("comedy;drama",)
    with pytest.raises(UserError, match=r"^f:1: the label is empty"):
        read_labels("", "f:1")


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("comedy;drama", ("comedy", "drama")),
        (" drama ; comedy", ("drama", "comedy")),
        ("drama;drama", ("drama",)),
        ("3;2.0", ("3", "2")),
        (7, ("7",)),
        (["b", 1, True], ("b", "1", "true")),
        (["a;b"], ("a;b",)),  # a list needs no separator
        ("", ()),
        (" ", ()),
        (None, ()),
        (float("nan"), ()),
        ([], ()),
    ],
)
def test_with_a_separator_a_cell_is_a_set_of_labels(cell: object, labels: tuple[str, ...]) -> None:
    assert read_labels(cell, "f:1", separator=";") == labels


def test_a_separator_is_any_text() -> None:
    assert read_labels("a b", "f:1", separator=" ") == ("a", "b")
    assert read_labels("a | b|c", "f:1", separator=" | ") == ("a", "b|c")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("a;;b", "f:1: an empty label in 'a;;b', expected labels with ';' between them"),
        ("a;", "f:1: an empty label in 'a;', expected labels with ';' between them"),
        (";", "f:1: an empty label in ';', expected labels with ';' between them"),
        (["a", ""], "f:1: the label is empty, expected a class name or a number"),
        (["a", None], "f:1: the label is empty, expected a class name or a number"),
        ({"a": 1}, "f:1: the label is of type dict, expected a class name or a number"),
    ],
)
def test_a_set_with_something_else_is_refused(cell: object, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        read_labels(cell, "f:1", separator=";")


def test_integers_are_ordered_by_value_and_names_by_alphabet() -> None:
    assert in_order(["10", "9", "2"]) == ["2", "9", "10"]
    assert in_order(["1", "-1", "-10", "-9"]) == ["-10", "-9", "-1", "1"]
    assert in_order(["b", "a10", "a9", "2"]) == ["2", "a10", "a9", "b"]


def test_a_number_is_the_position_among_the_names() -> None:
    names = LabelNumbers(["pos", "neg"])
    assert [names.of(label, "f:1") for label in ("pos", "neg", "0", "1")] == [0, 1, 0, 1]
    integers = LabelNumbers(["1", "0"])
    assert [integers.of(label, "f:1") for label in ("1", "0")] == [0, 1]
    negative = LabelNumbers(["-2", "-1"])  # these are names, too
    assert [negative.of(label, "f:1") for label in ("-2", "-1")] == [0, 1]
    with pytest.raises(UserError, match="the label '0' is not among the 2 classes"):
        negative.of("0", "f:1")


@pytest.mark.parametrize(
    ("names", "label", "message"),
    [
        (["a", "b"], "2", "f:1: the label '2' is not among the 2 classes a, b"),
        (["1", "b"], "0", "f:1: the label '0' is not among the 2 classes 1, b"),
        (
            [f"c{i}" for i in range(12)],
            "x",
            "f:1: the label 'x' is not among the 12 classes c0, c1, c2, c3, c4, c5",
        ),
    ],
)
def test_a_label_that_is_not_among_the_names_is_refused(names: list[str], label: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}") as caught:
        LabelNumbers(names).of(label, "f:1")
    assert str(caught.value).endswith(", …") == (len(names) > 10)


def test_labels_that_differ_only_in_case_or_blanks_are_refused_with_their_places() -> None:
    places = {"pos": "f:2", "neg": "f:3", "Pos": "f:4", "very  good": "f:5", "very good": "f:6", "POS": "f:7"}
    groups = "'pos' (f:2) and 'Pos' (f:4) and 'POS' (f:7); 'very  good' (f:5) and 'very good' (f:6)"
    with pytest.raises(UserError) as error:
        require_different(places, advice=", or else")
    assert str(error.value) == (f"labels differ only in case or blanks: {groups}; write each label in one way, or else")


def test_letters_may_be_classes_in_both_cases() -> None:
    require_different({"a": "f:2", "A": "f:3", "b": "f:4"})


@pytest.mark.parametrize(
    ("value", "label"),
    [(0.5, "0.5"), ("0.50", "0.5"), ("-2.5", "-2.5"), ("5e-1", "0.5"), ("1e3", "1000"), ("3.0", "3"), (1e-9, "1e-09")],
)
def test_any_number_is_a_label_in_its_shortest_form(value: Any, label: str) -> None:
    assert read_label(value, "f:1") == label


def test_a_number_may_not_be_the_mark_of_rows_without_a_class() -> None:
    with pytest.raises(UserError, match=r"^f:1: the label is -1e2, which marks rows without a class: remove them$"):
        read_label("-1e2", "f:1")


def test_numbers_are_in_the_order_of_their_values() -> None:
    assert in_order(["10", "2.5", "-1", "0.5", "1e-09"]) == ["-1", "1e-09", "0.5", "2.5", "10"]
