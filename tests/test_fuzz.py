"""The fuzzing itself: it changes files, and a reader that raises another exception fails the test."""

from pathlib import Path

import pytest
from hypothesis import find, given

from datamodules.errors import UserError
from tests.fuzz import EXAMPLES, LONG, mutated, read_or_refuse

VALID = [b"0123456789"]


@pytest.mark.parametrize("change", [b"012345678", b"0123456789X", b"0123456689", b"01234567890123456789"])
def test_flips_cuts_insertions_and_repetitions_are_drawn(change: bytes) -> None:
    assert find(mutated(VALID, [b"X"]), lambda content: content == change, random=None) == change


@pytest.mark.fuzz
def test_the_number_of_examples_is_200_unless_the_environment_sets_it() -> None:
    tried = []

    @given(mutated(VALID))
    def try_one(content: bytes) -> None:
        tried.append(content)

    try_one()
    assert len(tried) == int(LONG or EXAMPLES)
    assert len(set(tried)) > len(tried) / 2


def test_a_reader_may_refuse_a_file_only_in_one_line_that_names_it(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise UserError(path.read_text().replace("PATH", str(path)))

    assert read_or_refuse(Path.read_bytes, tmp_path / "f", b"x") is None
    assert isinstance(read_or_refuse(refuse, tmp_path / "f", b"PATH is wrong"), UserError)
    for message in (b"PATH is\nwrong", b"wrong"):
        with pytest.raises(AssertionError):
            read_or_refuse(refuse, tmp_path / "f", message)
    with pytest.raises(ZeroDivisionError):
        read_or_refuse(lambda path: 1 / 0, tmp_path / "f", b"x")
