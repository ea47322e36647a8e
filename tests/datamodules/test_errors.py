"""Errors that a person can cause: their types, and the checks that raise them."""

import math
import pickle

import pytest

from datamodules.errors import MissingFileError, UserError, listed, require_at_least, require_fraction


def test_a_mistake_is_a_value_error_and_a_missing_file_is_both() -> None:
    assert issubclass(UserError, ValueError)
    assert issubclass(MissingFileError, UserError)
    assert issubclass(MissingFileError, FileNotFoundError)


@pytest.mark.parametrize("kind", [UserError, MissingFileError])
def test_an_error_keeps_its_message_on_the_way_from_another_process(kind: type[UserError]) -> None:
    error = pickle.loads(pickle.dumps(kind("f.csv: no such file")))
    assert (type(error), str(error)) == (kind, "f.csv: no such file")


def test_a_setting_below_its_minimum_is_named() -> None:
    require_at_least(1, batch_size=1, passes=7)
    with pytest.raises(UserError, match=r"^passes must be at least 1, got 0$"):
        require_at_least(1, batch_size=1, passes=0)


@pytest.mark.parametrize("value", [1.0, -0.1, 2, math.nan, math.inf])
def test_a_setting_that_is_no_fraction_is_named(value: float) -> None:
    require_fraction(val_fraction=0.0)
    require_fraction(val_fraction=0.999)
    with pytest.raises(UserError, match=rf"^val_fraction is a fraction, 0 or more and below 1, got {value}$"):
        require_fraction(val_fraction=value)


def test_a_list_of_names_has_five_and_their_number() -> None:
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
