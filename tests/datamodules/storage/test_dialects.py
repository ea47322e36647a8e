"""Separators and encodings: those of the user, and those that are found and said."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from datamodules.errors import UserError
from datamodules.storage.dialects import Dialect, make_dialect
from datamodules.storage.table_files import read_rows, read_table

ROWS = [["café, good", "1"], ["naïve", "0"]]


def write(path: Path, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    lines = [delimiter.join(("text", "label")), *(f'"{text}"{delimiter}{label}' for text, label in ROWS)]
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def cells(path: Path, dialect: Dialect = Dialect()) -> list[list[Any]]:  # noqa: B008  (a NamedTuple cannot change)
    return [row for _, row in read_rows(path, ["text", "label"], dialect)]


@pytest.mark.parametrize(
    ("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars"), (",", None)]
)
def test_the_delimiter_is_found_and_said_once(
    delimiter: str, name: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.csv", delimiter)
    assert cells(path) == cells(path) == ROWS
    names, rows = read_table(path)
    assert (names, [row for _, row in rows]) == (["text", "label"], ROWS)
    note = f"note: {path} has {name} between its cells; --data.delimiter decides\n"
    assert capsys.readouterr().err == (note if name else "")


def test_a_comma_is_used_if_the_header_then_has_the_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label,a;b;c;d;e\nx,1,y\n")
    assert cells(tmp_path / "t.csv") == [["x", "1"]]


def test_a_header_that_cannot_be_split_is_refused_by_its_reader(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"text,label\rx,1\n")
    with pytest.raises(UserError, match=r"t\.csv:1: new-line character seen in unquoted field"):
        cells(tmp_path / "t.csv")


def test_the_users_delimiter_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("text:label:a,b,c,d\nx:1:y\n")
    assert cells(tmp_path / "t.csv", Dialect(":")) == [["x", "1"]]
    assert capsys.readouterr().err == ""
    assert make_dialect("tab", None) == make_dialect("\\t", None) == Dialect("\t")


@pytest.mark.parametrize(
    ("encoding", "found"), [("cp1252", "cp1252"), ("utf-16", "utf-16"), ("utf-8", None), ("utf-8-sig", None)]
)
def test_the_encoding_is_found_and_said_once(
    encoding: str, found: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.csv", encoding=encoding)
    assert cells(path) == cells(path) == ROWS
    note = f"note: {path} is read as {found}, not UTF-8; --data.encoding decides\n"
    assert capsys.readouterr().err == (note if found else "")


@pytest.mark.parametrize("encoding", ["cp1250", "utf-16-le", "cp037"])
def test_the_users_encoding_decides(encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("text,label\nkürbis,1\n".encode(encoding))
    assert cells(path, Dialect(encoding=encoding)) == [["kürbis", "1"]]
    assert capsys.readouterr().err == ""


def test_a_damaged_utf8_file_is_refused_and_not_read_as_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("text,label\ncafé,1\n".encode() + b"caf\xe9,1\n")
    with pytest.raises(UserError) as caught:
        cells(path)
    place = "byte 0xe9 at position 4 of the line"
    assert str(caught.value) == f"{path}:3: not UTF-8 ({place}); save the file as UTF-8"


@pytest.mark.parametrize("content", [b"text,label\n\x81\xff,1\n", b"text,label\n\xe9\x07,1\n"])
def test_bytes_that_are_no_text_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"t\.csv:2: not UTF-8"):
        cells(tmp_path / "t.csv")


def test_another_encoding_than_the_users_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", encoding="cp1252")
    with pytest.raises(UserError) as caught:
        cells(path, Dialect(encoding="ascii"))
    assert str(caught.value).endswith(": not ascii: set --data.encoding to its encoding")


@pytest.mark.parametrize(
    ("delimiter", "encoding", "text"),
    [
        (";;", None, "delimiter must be one character, such as ';', or tab, got ';;'"),
        ('"', None, "delimiter must be one character, such as ';', or tab, got '\"'"),
        ("", None, "delimiter must be one character, such as ';', or tab, got ''"),
        (None, "utf-9", "unknown encoding 'utf-9': give one such as utf-8, utf-16 or cp1252"),
        (None, "rot13", "unknown encoding 'rot13': give one such as utf-8, utf-16 or cp1252"),
    ],
)
def test_a_dialect_that_cannot_be_is_refused(delimiter: str | None, encoding: str | None, text: str) -> None:
    with pytest.raises(UserError) as caught:
        make_dialect(delimiter, encoding)
    assert str(caught.value) == text


def test_a_packed_table_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ";", "cp1252")
    packed = gzip.compress(path.read_bytes())
    (tmp_path / "t.csv.gz").write_bytes(packed)
    assert cells(tmp_path / "t.csv.gz") == ROWS
    for content in (packed[:-12], b"no archive"):
        (tmp_path / "t.csv.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"t\.csv\.gz: this gzip file is damaged: "):
            cells(tmp_path / "t.csv.gz")


def test_a_small_archive_cannot_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\n" + (b"a" * 10**6 + b",1\n") * 80, compresslevel=1))
    with pytest.raises(UserError, match=r"t\.csv\.gz: reading it takes more than 64 MiB of memory, from a file of "):
        cells(path)
