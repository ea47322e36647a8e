"""Samples that occur twice, in one part or in two, with their places."""

import numpy as np

from datamodules.contents.repeats import Keys, repeat_notes, repeated, shared


def keys(name: str, contents: str, targets: str = "") -> Keys:
    """A sample for each letter, in the class of the same letter of `targets`."""
    keys = Keys(lambda i: f"{name}:{i}")
    for i, letter in enumerate(contents):
        keys.add(letter.encode(), targets[i] if targets else None)
    return keys


def test_a_sample_is_repeated_if_it_occurred_before() -> None:
    rows, firsts = repeated(np.array([5, 3, 5, 9, 3, 5], dtype=np.uint64))
    assert (rows.tolist(), firsts.tolist()) == ([2, 4, 5], [0, 1, 0])


def test_shared_samples_have_their_first_place_in_the_other_part() -> None:
    rows, firsts = shared(np.array([9, 1, 5], dtype=np.uint64), np.array([5, 9, 5, 7], dtype=np.uint64))
    assert (rows.tolist(), firsts.tolist()) == ([0, 2], [1, 0])


def test_the_notes_have_places_and_name_another_target() -> None:
    parts = {"train": keys("a", "xyxzx", "01010"), "test": keys("b", "zvx", "110")}
    assert repeat_notes(parts, unit="texts") == [
        "2 of 5 train texts repeat an earlier one (a:2 = a:0, a:4 = a:0)",
        "2 of 3 test texts are training texts, too (b:0 = a:3, b:2 = a:0)",
    ]
    parts = {"train": keys("a", "xyx", "011")}
    assert repeat_notes(parts, unit="texts") == [
        "1 of 3 train texts repeat an earlier one (a:2 = a:0); 1 of them with another target, as a:2"
    ]


def test_only_the_first_pairs_are_listed() -> None:
    (note,) = repeat_notes({"train": keys("a", "x" * 8)}, unit="rows")
    assert note.endswith("(a:1 = a:0, a:2 = a:0, a:3 = a:0, a:4 = a:0, a:5 = a:0, …)")


def test_parts_without_repeats_or_samples_have_no_notes() -> None:
    assert repeat_notes({"train": keys("a", "xyz"), "val": keys("b", ""), "test": keys("c", "uv")}, unit="rows") == []
