"""Table files: each format gives the same rows, and a mistake is one line with its place."""

import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.errors import MissingFileError, UserError
from datamodules.storage import table_files
from datamodules.storage.table_files import READERS, read_rows, suffixes

ROWS = [["good, film", "pos"], ["bad\nplot", "neg"], ["", "neg"], ["dull 😀", "0"]]


def as_delimited(path: Path, delimiter: str) -> None:
    lines = [delimiter.join(("label ", "more", "text")), *(f'{b}{delimiter}1{delimiter}"{a}"' for a, b in ROWS)]
    path.write_text("\r\n".join(lines) + "\r\n\r\n", encoding="utf-8-sig")


def as_packed(path: Path) -> None:
    as_delimited(path, ";")
    path.write_bytes(gzip.compress(path.read_bytes()))


def as_json_lines(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps({"text": text, "label": label, "more": 1}) for text, label in ROWS))


def as_json(path: Path) -> None:
    rows = [{"text": text, "label": label, "more": 1} for text, label in ROWS]
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8-sig")


def as_parquet(path: Path) -> None:
    text, label = zip(*ROWS, strict=True)
    columns = {"label": pa.array(label).dictionary_encode(), "text": pa.array(text, pa.large_string())}
    pq.write_table(pa.table(columns), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    ".csv": lambda path: as_delimited(path, ","),
    ".csv.gz": as_packed,
    ".tsv": lambda path: as_delimited(path, "\t"),
    ".json": as_json,
    ".jsonl": as_json_lines,
    ".ndjson": as_json_lines,
    ".parquet": as_parquet,
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_every_format_gives_the_same_rows(suffix: str, case: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / f"t{case(suffix)}"
    WRITERS[suffix](path)
    assert [cells for _, cells in read_rows(path, ["text", "label"])] == ROWS
    assert [cells for _, cells in read_rows(path, ["label"])] == [[label] for _, label in ROWS]


def test_a_row_has_the_line_where_it_begins(tmp_path: Path) -> None:
    def lines(name: str) -> list[int]:
        return [line for line, _ in read_rows(tmp_path / name, ["text"])]

    for suffix, write in WRITERS.items():
        write(tmp_path / f"t{suffix}")
    assert lines("t.csv") == lines("t.tsv") == [2, 3, 5, 6]  # the second row has two lines
    assert lines("t.jsonl") == [1, 3, 5, 7]
    assert lines("t.parquet") == [1, 2, 3, 4]  # rows, since the file has no lines


def test_the_suffixes_are_listed_for_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "READERS", dict.fromkeys([".a", ".b", ".c"]))
    assert suffixes() == ".a, .b or .c"


MISTAKES: list[tuple[str, str | bytes, str]] = [
    ("f.csv", "", "f.csv: the file is empty, expected a header with 'text' and 'label'"),
    ("f.csv", "text,label\n", "f.csv: no rows, expected at least one with text and label"),
    ("f.csv", "texts,label\na,b\n", "f.csv:1: no column 'text' among 'texts', 'label', did you mean 'texts'?"),
    ("f.csv", "text,label,text\n", "f.csv:1: there are 2 columns 'text', expected one"),
    ("f.csv", "a,text,label,a\n", "f.csv:1: there are 2 columns 'a', expected one"),
    (
        "f.csv",
        "text,label\na,b\na, b, c\n",
        "f.csv:3: 3 fields, expected 2 (text, label); a text with a comma in it needs quotes",
    ),
    ("f.csv", "text,label\na,b\na\n", "f.csv:3: 1 fields, expected 2 (text, label)"),
    (
        "f.csv",
        'text,label\n"a\nb",c\n"open,d\ne,f\n',
        "f.csv:4: a quote is opened here and not closed up to line 5",
    ),
    (
        "f.csv",
        'text,label\n"a" b,c\n',
        "f.csv:2: ',' expected after '\"' in the row that ends at line 2; double each quote inside a quoted text, and "
        "close each quoted text",
    ),
    (
        "f.csv",
        b"text,label\n\xc3\xa9,b\ncaf\xe9,b\n",
        "f.csv:3: not UTF-8 (byte 0xe9 at position 4 of the line); save the file as UTF-8",
    ),
    ("f.csv", "text,label\na\0,b\n", "f.csv:2: a NUL byte, expected UTF-8 text"),
    ("f.tsv", "text\tlabel\na, b\n", "f.tsv:2: 1 fields, expected 2 (text, label)"),
    ("f.jsonl", "\n", "f.jsonl: the file is empty, expected JSON objects with 'text' and 'label'"),
    (
        "f.jsonl",
        '{"text": "a", "label": 0}\n{"text": ',
        "f.jsonl:2: not JSON (Expecting value: line 1 column 10 (char 9)), expected one object per line",
    ),
    ("f.jsonl", "[1]", "f.jsonl:1: expected a JSON object such as {'text': …}, got list"),
    (
        "f.jsonl",
        '{"text": "a", "lable": 0}',
        "f.jsonl:1: no column 'label' among 'text', 'lable', did you mean 'lable'?",
    ),
    (
        "f.json",
        "{",
        "f.json: not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)), "
        "expected an array of objects",
    ),
    ("f.json", "{}", "f.json: expected a JSON array of objects, got dict"),
    ("f.json", "[]", "f.json: no rows, expected at least one with text and label"),
    ("f.json", '["a"]', "f.json:1: expected a JSON object such as {'text': …}, got str"),
    (
        "f.json",
        '[{"text": "a", "lable": 0}]',
        "f.json:1: no column 'label' among 'text', 'lable', did you mean 'lable'?",
    ),
    ("f.xlsx", "x", f"f.xlsx: expected a file {suffixes()}"),
]


@pytest.mark.parametrize(("name", "content", "message"), MISTAKES)
def test_a_mistake_in_a_file_is_one_line_with_its_place(
    name: str, content: str | bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError) as caught:
        list(read_rows(Path(name), ["text", "label"]))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.jsonl", "[" * 100_000, "f.jsonl:1: not JSON ("),
        ("f.parquet", "no parquet", "f.parquet: this Parquet file cannot be read: "),
    ],
)
def test_a_mistake_that_a_library_words_is_one_line_too(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        list(read_rows(tmp_path / name, ["text"]))
    assert "\n" not in str(caught.value)


def test_a_json_array_of_texts_is_one_column(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('["a", "b"]')
    assert list(read_rows(tmp_path / "f.json", ["text"])) == [(1, ["a"]), (2, ["b"])]


def test_a_missing_column_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    as_parquet(tmp_path / "f.parquet")
    with pytest.raises(UserError, match=r"f.parquet: no column 'txt' among 'label', 'text', did you mean 'text'\?$"):
        list(read_rows(tmp_path / "f.parquet", ["txt"]))


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    as_parquet(tmp_path / "f.parquet")
    whole = (tmp_path / "f.parquet").read_bytes()
    (tmp_path / "f.parquet").write_bytes(whole[:4] + bytes(60) + whole[64:])
    with pytest.raises(UserError, match=r"f.parquet: this Parquet file cannot be read: "):
        list(read_rows(tmp_path / "f.parquet", ["label"]))  # the first column of the file


def test_a_text_of_a_parquet_file_that_is_not_utf8_is_named_with_its_row(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"b\xe2d"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "f.parquet")
    with pytest.raises(UserError) as caught:
        list(read_rows(tmp_path / "f.parquet", ["text"]))
    assert str(caught.value) == f"{tmp_path / 'f.parquet'}:2: the text is not UTF-8"


def test_rows_that_share_a_text_may_not_unpack_too_far(tmp_path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["a" * 100_000]))
    pq.write_table(pa.table({"text": texts}), tmp_path / "f.parquet")
    with pytest.raises(UserError, match=r"f.parquet: reading it takes more than 64 MiB of memory, from a file of "):
        list(read_rows(tmp_path / "f.parquet", ["text"]))  # 1,000 * 100,000 characters


def test_texts_that_many_rows_share_are_read(tmp_path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 500, pa.int32()), pa.array(["a" * 10_000, "b"]))
    pq.write_table(pa.table({"text": texts, "label": ["x"] * 1000}), tmp_path / "f.parquet", compression="none")
    assert [len(text) for _, (text, _) in read_rows(tmp_path / "f.parquet", ["text", "label"])] == [10_000, 1] * 500


def test_a_missing_file_and_a_wrong_suffix_are_refused_before_the_first_row(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"^gone.csv: no such file$"):
        read_rows(Path("gone.csv"), ["text"])
    with pytest.raises(UserError, match=r"^gone.xlsx: expected a file "):
        read_rows(Path("gone.xlsx"), ["text"])


def test_a_long_field_is_read(tmp_path: Path) -> None:
    text = "a " * 200_000  # the library's own limit is 131,072 characters
    (tmp_path / "f.csv").write_text(f"text,label\n{text},x\n")
    assert list(read_rows(tmp_path / "f.csv", ["text"])) == [(2, [text])]


def test_large_files_are_read_in_parts(tmp_path: Path) -> None:
    """The parts of a Parquet file have 1,000 rows."""
    wanted: list[tuple[int, list[Any]]] = [(i + 1, [str(i)]) for i in range(2500)]
    pq.write_table(pa.table({"text": [str(i) for i in range(2500)]}), tmp_path / "f.parquet")
    assert list(read_rows(tmp_path / "f.parquet", ["text"])) == wanted


def test_many_columns_are_read_soon_and_a_message_lists_the_first(tmp_path: Path) -> None:
    """Comparing each of 200,000 names with all others takes more than ten minutes."""
    names = [f"c{i}" for i in range(200_000)]
    path = tmp_path / "f.csv"
    path.write_text(",".join(["text", *names]) + "\n" + ",".join(["x"] * 200_001) + "\n")
    start = time.perf_counter()
    assert list(read_rows(path, ["text"])) == [(2, ["x"])]
    with pytest.raises(UserError) as caught:
        list(read_rows(path, ["label"]))
    first = ", ".join(map(repr, ["text", *names[:19]]))
    assert str(caught.value) == f"{path}:1: no column 'label' among {first} and 199,981 more"
    path.write_text(",".join([*names, "c7"]) + "\n")
    with pytest.raises(UserError, match=r":1: there are 2 columns 'c7', expected one$"):
        list(read_rows(path, ["text"]))
    assert time.perf_counter() - start < 20
