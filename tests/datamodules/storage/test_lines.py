"""Lines of UTF-8 text files."""

from pathlib import Path

import pytest

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.lines import file_paths, numbered_lines, require_utf8


def test_lines_have_numbers_and_keep_their_ends(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("\ufeffä\r\n\n\ufeffb".encode())
    assert list(numbered_lines(tmp_path / "f")) == [(1, "ä\r\n"), (2, "\n"), (3, "\ufeffb")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\ncaf\xe9\n", "f:2: not UTF-8 (byte 0xe9 at position 4 of the line); save the file as UTF-8"),
        ("a".encode("utf-16"), "f:1: not UTF-8 (byte 0xff at position 1 of the line); save the file as UTF-8"),
        (b"a\nb\0\n", "f:2: a NUL byte, expected UTF-8 text"),
    ],
)
def test_a_line_that_is_not_utf8_is_named(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(numbered_lines(Path("f")))
    assert str(caught.value) == message


def test_a_missing_file_is_named() -> None:
    with pytest.raises(MissingFileError, match=r"^gone.txt: no such file$"):
        list(numbered_lines(Path("gone.txt")))


def test_a_file_that_must_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "f").touch()
    monkeypatch.setattr(Path, "open", refuse)  # root may read every file, so that a mode would not do
    with pytest.raises(UserError) as caught:
        list(numbered_lines(tmp_path / "f"))
    assert str(caught.value) == f"{tmp_path / 'f'}: the file cannot be read: Permission denied"


def test_half_of_a_surrogate_pair_is_refused() -> None:
    assert require_utf8("ä 😀", "f:1") == "ä 😀"
    with pytest.raises(UserError, match=r"^f:1: the text is not UTF-8 \(lone surrogate U\+D800\)$"):
        require_utf8("a\ud800", "f:1")


def test_a_setting_names_no_file_one_or_several() -> None:
    assert file_paths(None) == file_paths("") == file_paths([]) == []
    assert file_paths("a.csv") == file_paths(Path("a.csv")) == file_paths(["a.csv"]) == [Path("a.csv")]
    assert file_paths(["~/a.csv", Path("b.csv")]) == [Path.home() / "a.csv", Path("b.csv")]
    with pytest.raises(UserError, match=r"^a\.csv is named twice: leave one out$"):
        file_paths(["a.csv", "b.csv", "a.csv"])
