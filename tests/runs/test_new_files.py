"""Paths of new files: none exists already."""

from pathlib import Path

import pytest

from datamodules.errors import MissingFileError, UserError
from lit_models.runs.new_files import named_file, new_file


def test_a_new_file_has_the_next_free_number(tmp_path: Path) -> None:
    assert new_file(tmp_path, "data.html") == tmp_path / "data.html"
    for name in ("data.html", "data_2.html"):
        (tmp_path / name).touch()
    assert new_file(tmp_path, "data.html") == tmp_path / "data_3.html"


def test_a_named_file_may_be_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_file("~/new") == tmp_path / "new"
    (tmp_path / "new").mkdir()
    with pytest.raises(UserError, match=r"new exists already and is not overwritten; give --output another name$"):
        named_file("~/new")
    with pytest.raises(MissingFileError, match=r"^no folder .*none for x; create it, or give --output another path$"):
        named_file("~/none/x")


def test_standard_output_is_refused() -> None:
    with pytest.raises(UserError, match=r"^--output -: this command does not write to standard output; name a file$"):
        named_file("-")
