"""Columns become numbers: standardised, one number per category, missing values, and what is refused."""

import json
import statistics
from typing import Any

import pytest
import torch

from datamodules.columns.cells import Column
from datamodules.columns.encoders import CategoryColumn, Encoder, Fill, NumberColumn, as_plain, from_plain, learn
from datamodules.errors import UserError


def column(*cells: Any, name: str = "x") -> Column:
    return Column(name, list(cells), [f"t.csv:{i + 2}" for i in range(len(cells))])


def learned(*cells: Any, as_category: bool = False, fill: Fill | None = None) -> Encoder | None:
    return learn(column(*cells), as_category=as_category, fill=fill)


def message(*cells: Any, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        learned(*cells, **settings)
    return str(caught.value)


def test_numbers_get_the_mean_0_and_the_standard_deviation_1() -> None:
    cells = ["1", " 2.5 ", 4, "-1e1", True]
    numbers = [1, 2.5, 4, -10, 1]
    encoder = learned(*cells)
    assert isinstance(encoder, NumberColumn)
    assert (encoder.mean, encoder.std) == pytest.approx((-0.3, statistics.pstdev(numbers)), rel=1e-14)
    inputs = encoder.encode(column(*cells))
    wanted = [(number - statistics.fmean(numbers)) / statistics.pstdev(numbers) for number in numbers]
    assert inputs.dtype == torch.float64
    torch.testing.assert_close(inputs[:, 0], torch.tensor(wanted, dtype=torch.float64), rtol=1e-14, atol=1e-15)
    assert encoder.encode(column("-0.3")).item() == pytest.approx(0, abs=1e-15)  # the mean is -1.5 / 5


def test_texts_are_categories_in_sorted_order() -> None:
    encoder = learned("red", "blue ", "red", "NA")
    assert encoder == CategoryColumn(name="x", values=["NA", "blue", "red"])
    assert encoder.width == 3
    assert encoder.encode(column("blue", "red")).tolist() == [[0, 1, 0], [0, 0, 1]]


def test_a_category_that_was_not_in_training_has_zeros_and_is_named() -> None:
    encoder = CategoryColumn(name="x", values=["a", "b"])
    cells = column("b", "z", "y", "z")
    assert encoder.encode(cells).tolist() == [[0, 1], [0, 0], [0, 0], [0, 0]]
    assert encoder.unknown(cells) == ["y", "z"]


def test_numbers_are_categories_if_the_user_says_so() -> None:
    assert learned("10", "9", "10", as_category=True) == CategoryColumn(name="x", values=["10", "9"])


@pytest.mark.parametrize("missing", ["", " ", "NA", "n/a", "NaN", "null", "None", "?", None, float("nan")])
@pytest.mark.parametrize(("fill", "number"), [("mean", 4.0), ("median", 3.0), ("zero", 0.0)])
def test_missing_numbers_are_refused_or_replaced(missing: Any, fill: Fill, number: float) -> None:
    cells = ["1", "3", missing, "8"]
    text = "t.csv:4: the column 'x' has no value: set --data.fill_missing to mean, median or zero"
    assert message(*cells) == text
    encoder = learned(*cells, fill=fill)
    filled = [1, 3, number, 8]
    assert isinstance(encoder, NumberColumn)
    assert encoder.fill == number
    assert (encoder.mean, encoder.std) == pytest.approx((statistics.fmean(filled), statistics.pstdev(filled)))
    assert torch.equal(encoder.encode(column(missing)), encoder.encode(column(number)))


def test_missing_categories_are_refused_or_zeros() -> None:
    text = "t.csv:3: the column 'x' has no value: set --data.fill_missing to mean, median or zero"
    assert message("a", "", "b") == text
    encoder = learned("a", None, "b", fill="mean")
    assert encoder == CategoryColumn(name="x", values=["a", "b"], fill=True)
    assert encoder.encode(column(None, "b")).tolist() == [[0, 0], [0, 1]]
    with pytest.raises(UserError, match=r"^t\.csv:2: the column 'x' has no value"):
        CategoryColumn(name="x", values=["a", "b"]).encode(column(" "))


@pytest.mark.parametrize(
    ("cells", "settings"),
    [(["2", "2.0", 2], {}), (["a", "a "], {}), (["", "NA"], {"fill": "zero"}), ([3, 3], {"as_category": True})],
)
def test_a_column_with_one_value_is_left_out(cells: list[Any], settings: dict[str, Any]) -> None:
    assert learned(*cells, **settings) is None


@pytest.mark.parametrize("wrong", ["12a", "inf", "1_000", "1,5"])
def test_a_text_among_many_numbers_is_refused_with_its_line(wrong: str) -> None:
    text = f"t.csv:12: the column 'x' has {wrong!r}, expected a number; "
    advice = '--data.category_columns "[x]" reads all values as categories'
    assert message(*range(10), wrong) == text + advice
    encoder = NumberColumn(name="x", mean=0, std=1)
    with pytest.raises(UserError) as caught:
        encoder.encode(column(1, wrong))
    assert str(caught.value) == text.replace(":12:", ":3:") + advice


def test_a_column_like_an_id_is_refused_by_name() -> None:
    names = [f"name {i}" for i in range(11)]
    advice = 'leave it out with --data.drop_columns "[x]"'
    assert message(*names) == f"the column 'x' has a different text in each row, like an id: {advice}"
    assert isinstance(learned(*names[:10]), CategoryColumn)
    many = [f"{i % 1001} m" for i in range(1100)]
    assert message(*many) == f"the column 'x' has 1,001 categories, expected at most 1,000: {advice}"


@pytest.mark.parametrize(
    "encoder",
    [
        NumberColumn(name="x", mean=0.1, std=2.5, fill=-1.0),
        NumberColumn(name="x", mean=0.1, std=2.5),
        CategoryColumn(name="x", values=["a", "b"], fill=True),
    ],
)
def test_an_encoder_comes_back_from_plain_values(encoder: Encoder) -> None:
    assert from_plain(json.loads(json.dumps(as_plain(encoder)))) == encoder


@pytest.mark.parametrize("wrong", [{"std": 0.0}, {"std": float("nan")}, {"mean": float("inf")}, {"fill": float("nan")}])
def test_numbers_that_cannot_be_are_refused_in_a_checkpoint(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^the column 'x' has mean "):
        from_plain({"name": "x", "mean": 0.0, "std": 1.0, "fill": None} | wrong)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_very_large_and_very_small_numbers_are_standardised(scale: float) -> None:
    encoder = learned(1 * scale, 2 * scale, 3 * scale)
    assert isinstance(encoder, NumberColumn)
    assert (encoder.mean, encoder.std) == pytest.approx((2 * scale, (2 / 3) ** 0.5 * scale), rel=1e-14)


def test_numbers_whose_standard_deviation_is_out_of_range_are_refused() -> None:
    text = "the column 'x' has numbers from 0.0 to 5e-324: leave it out with --data.drop_columns \"[x]\""
    assert message(0.0, *[0.0] * 30, 5e-324) == text


def test_decimal_commas_are_refused_with_their_line() -> None:
    text = "t.csv:2: the column 'x' has '1,5', a number with a decimal comma: write a point"
    assert message("1,5", " -0,3", "2") == text
