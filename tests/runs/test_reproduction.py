"""Two runs are compared: identical, within rounding, or different, and the reasons that are known."""

import json
from pathlib import Path
from typing import Any

import pytest

from datamodules.errors import MissingFileError, UserError
from lit_models.runs.reproduction import compare, read_results

FIRST: dict[str, Any] = {
    "command": "fit",
    "metrics": {"train/loss": 0.5, "test/acc": 0.75, "test/auroc": None},
    "weights_sha256": "a",
    "precision": "32-true",
    "threads": 2,
    "versions": {"torch": "2.14.1", "numpy": "2.4.6"},
    "data_sha256": {"/here/table.csv": "1"},
}


def a_run(folder: Path, *, table: str = "epoch,train/loss\n0,0.5\n", **changes: Any) -> Path:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(FIRST | changes))
    (folder / "metrics.csv").write_text(table)
    return folder


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return a_run(tmp_path / "first")


def test_equal_numbers_and_weights_are_identical_wherever_the_data_lie(first: Path, tmp_path: Path) -> None:
    second = a_run(tmp_path / "second", data_sha256={"/there/table.csv": "1"})
    comparison = compare(first, second)
    assert comparison.verdict == "identical"
    assert comparison.lines == ["identical: 3 metrics, metrics.csv, the weights"]


def test_other_weights_alone_are_within_rounding(first: Path, tmp_path: Path) -> None:
    assert compare(first, a_run(tmp_path / "second", weights_sha256="b")).verdict == "within rounding"


@pytest.mark.parametrize(
    ("precision", "loss", "verdict"),
    [
        ("32-true", 0.500001, "within rounding"),  # 2e-6 of 1e-4
        ("32-true", 0.5001, "different"),  # 2e-4
        ("bf16-mixed", 0.5001, "within rounding"),  # 2e-4 of 1e-2
        ("64-true", 0.500001, "different"),  # 2e-6 of 1e-9
    ],
)
def test_the_largest_difference_that_is_rounding_depends_on_the_precision(
    tmp_path: Path, precision: str, loss: float, verdict: str
) -> None:
    one = a_run(tmp_path / "one", precision=precision)
    two = a_run(tmp_path / "two", precision=precision, metrics=FIRST["metrics"] | {"train/loss": loss})
    comparison = compare(one, two)
    assert comparison.verdict == verdict
    assert f"train/loss: was 0.5, is {loss}" in "\n".join(comparison.lines)


def test_a_difference_in_one_line_of_the_table_is_found(first: Path, tmp_path: Path) -> None:
    second = a_run(tmp_path / "second", table="epoch,train/loss\n0,0.6\n")
    lines = compare(first, second).lines
    # (0.6 - 0.5) / 0.6 = 0.17
    assert lines[:2] == [
        "different: 0 of 3 metrics",
        "  train/loss (line 2): was 0.5, is 0.6 (relative difference 1.7e-01)",
    ]


def test_a_metric_that_only_one_run_has_is_a_difference(first: Path, tmp_path: Path) -> None:
    second = a_run(tmp_path / "second", metrics=FIRST["metrics"] | {"test/auroc": 0.9})
    comparison = compare(first, second)
    assert comparison.verdict == "different"
    assert "  test/auroc: was None, is 0.9 (relative difference inf)" in comparison.lines


def test_what_changed_around_the_numbers_is_named(first: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "threads": 1,
        "versions": {"torch": "2.15.0", "numpy": "2.4.6"},
        "data_sha256": {"table.csv": "2"},
    }
    assert compare(first, a_run(tmp_path / "second", **changes)).lines[1:] == [
        "note: threads is 1, and was 2",
        "note: torch is 2.15.0, and was 2.14.1",
        "note: SHA-256 of table.csv is 2, and was 1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no results.json: only a finished run of fit can be compared"),
        ("{", "results.json is damaged: it is not a JSON text"),
        ("[]", "results.json has no metrics: it is not written by a run of fit"),
        ('{"metrics": {"a": "b"}}', "results.json has no metrics: it is not written by a run of fit"),
        ('{"metrics": {}, "command": "test"}', "is of 'test': only a run of fit can be reproduced"),
    ],
)
def test_results_that_cannot_be_read_are_a_mistake(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match=r"results\.json") as caught:
        read_results(tmp_path)
    assert message in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no run folder .*nowhere: name one such as"):
        read_results(tmp_path / "nowhere")


def test_a_table_that_is_damaged_is_a_mistake(first: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics.csv is damaged: it is not a table of numbers"):
        compare(first, a_run(tmp_path / "second", table="epoch,train/loss\n0,x\n"))
