"""Texts that a user names: blank lines of a text file are left out, and said."""

from pathlib import Path

import pytest

from datamodules.errors import UserError
from datamodules.storage.inputs import Skipped
from datamodules.words.records import NO_TEXT, read_texts


def texts_of(*inputs: str) -> list[str]:
    """The texts of inputs that can all be read."""
    skipped = Skipped()
    texts = list(read_texts(inputs, text_column="text", skipped=skipped))
    skipped.report(found=bool(texts), nothing=NO_TEXT)
    return texts


def test_blank_lines_are_left_out_and_the_first_five_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xef\xbb\xbf\r\na\n \t\n\nb\n\n\n\nc")  # blank: 1 (a byte order mark), 3, 4, 6, 7, 8
    assert texts_of(str(path), "", "d") == ["a", "b", "c", "", "d"]
    assert capsys.readouterr() == ("", f"note: {path}: 6 blank lines left out (lines 1, 3, 4, 6, 7 and 1 more)\n")


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("a\n\nb\n", "1 blank line left out (line 2)"),
        ("a\n\nb\n\n", "2 blank lines left out (lines 2, 4)"),
        ("\n\n\n\n\na", "5 blank lines left out (lines 1, 2, 3, 4, 5)"),
    ],
)
def test_a_note_counts_the_blank_lines(
    content: str, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lines.txt"
    path.write_text(content)
    texts_of(str(path))
    assert capsys.readouterr().err == f"note: {path}: {note}\n"


def test_a_file_without_blank_lines_has_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a\nb\n")
    assert texts_of(str(path)) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_only_the_first_of_several_processes_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a\n\nb\n")
    monkeypatch.setattr("lightning.pytorch.utilities.rank_zero_only.rank", 1)
    assert texts_of(str(path)) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_a_file_of_blank_lines_alone_is_an_error_and_no_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n\n")
    with pytest.raises(UserError, match=r"^inputs contain no text: give sentences, or files \.csv, "):
        texts_of(str(path))
    assert capsys.readouterr().err == ""
