"""A Parquet file is read in a process of its own first: what that process finds, and how often it is asked."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.errors import UserError
from datamodules.storage import parquet_trial
from datamodules.storage.parquet_trial import check_parquet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"text": ["good", "bad"], "label": [1, 0]}), path)
    return path


def check(path: Path) -> None:
    check_parquet(path, ["text", "label"], factor=20, batch_rows=1000)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", "is damaged: reading it crashed"),
        ("import time; time.sleep(60)", "is damaged: reading it did not end within 1 s"),
        ("raise SystemExit(77)", ": reading it takes more than 64 MiB of memory, from a file of "),
    ],
)
def test_a_crash_an_endless_loop_and_too_much_memory_are_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setattr(parquet_trial, "PROGRAM", program)
    monkeypatch.setattr(parquet_trial, "SECONDS", 1)
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(UserError) as caught:
            check(path)
        assert str(caught.value).startswith(str(path))
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_read_to_the_end_is_tried_once_until_it_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(path)
    monkeypatch.setattr(parquet_trial, "PROGRAM", "raise SystemExit(77)")
    check(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match="reading it takes more than"):
        check(path)


def test_a_damaged_file_passes_as_its_reader_reports_it(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])
    check(path)
