"""Columns of table files, and rows to predict."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.columns.cells import NO_ROW, Columns, joined, number_in, read_columns, read_inputs
from datamodules.errors import MissingFileError, UserError
from datamodules.storage.inputs import Skipped


def test_all_columns_or_some_are_read_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a, b,c\n1,x,\n\n2,y,z\n")
    places = [f"{path}:2", f"{path}:4"]
    assert read_columns(path) == Columns({"a": ["1", "2"], "b": ["x", "y"], "c": ["", "z"]}, places)
    assert read_columns(path, ["c", "a"]) == Columns({"c": ["", "z"], "a": ["1", "2"]}, places)
    assert read_columns(path).column("b").part([1]) == ("b", ["y"], [f"{path}:4"])
    assert read_columns(path).part([1]) == Columns({"a": ["2"], "b": ["y"], "c": ["z"]}, [f"{path}:4"])


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".parquet"])
def test_each_format_has_its_columns(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"a": [1.5, None], "b": ["x", "y"]}), path)
    else:
        path.write_text({".tsv": "a\tb\n1.5\tx\n\ty\n", ".jsonl": '{"a":1.5,"b":"x"}\n{"a":null,"b":"y"}\n'}[suffix])
    read = read_columns(path)
    assert list(read.cells) == ["a", "b"]
    assert [number_in(cell) for cell in read.cells["a"]] == [1.5, None]
    assert read.cells["b"] == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("t.csv", "", "{}: the file is empty, expected a header"),
        ("t.csv", "a,b\n", "{}: no rows, expected at least one with a and b"),
        ("t.csv", "a,a\n1,2\n", "{}:1: there are 2 columns 'a', expected one"),
        ("t.jsonl", "\n", "{}: the file is empty, expected JSON objects"),
        ("t.jsonl", "[1]\n", "{}:1: expected a JSON object such as {{'label': …}}, got list"),
        ("t.jsonl", '{"a":1}\n{"b":1}\n', "{}:2: no column 'a' among 'b'"),
        ("t.xlsx", "", "{}: expected a file .csv, .csv.gz, .tsv, .json, .jsonl, .ndjson or .parquet"),
    ],
)
def test_a_file_without_columns_is_refused(name: str, content: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as caught:
        read_columns(tmp_path / name)
    assert str(caught.value) == text.format(tmp_path / name)


def test_a_table_that_takes_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "1\n" * 2000)
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "1e-4")  # 107,374 bytes; 2,000 cells of 65 bytes are 130,000
    with pytest.raises(UserError, match=r"t\.csv: reading it takes more than 0\.0001 GiB of memory"):
        read_columns(tmp_path / "t.csv")


def test_inputs_are_files_and_rows_in_order(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("b,more,a\nx,0,1\n")
    skipped = Skipped()
    inputs = ['2,"y, z"', "1", str(path), "gone.csv", "1,2\n3,4", "a" * 10**6, np.array([5, 6])]
    tables = list(read_inputs(inputs, ["a", "b"], skipped))
    read = joined(tables, ["a", "b"])
    assert skipped.count == 4
    assert read == Columns({"a": ["2", "1", 5], "b": ["y, z", "x", 6]}, ['2,"y, z"', f"{path}:2", "[5, 6]"])


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "inputs contain no rows: give table files, or rows of values with commas"),
        (["1"], "'1' has 1 values, expected 2 with commas: a, b; or a table file"),
        ([" "], "' ' has 0 values, expected 2 with commas: a, b; or a table file"),
    ],
)
def test_inputs_that_are_no_rows_are_refused(inputs: list[str], text: str) -> None:
    skipped = Skipped()
    rows = joined(list(read_inputs(inputs, ["a", "b"], skipped)), ["a", "b"])
    with pytest.raises(UserError) as caught:
        skipped.report(found=bool(rows.places), nothing=NO_ROW)
    assert str(caught.value) == text


def test_a_missing_file_of_inputs_is_refused() -> None:
    with pytest.raises(MissingFileError, match=r"^none\.csv: no such file; if it is a text, pipe it in: "):
        list(read_inputs(["none.csv"], ["a"], Skipped(strict=True)))
