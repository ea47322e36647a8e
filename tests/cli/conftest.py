"""An empty folder to run the command line in, and small files of a user's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lit_models.__main__ import main

Run = Callable[..., tuple[int, str, str]]

WORDS = {"red": "apple cherry rose brick fire", "blue": "sky sea ice whale jeans", "green": "grass leaf frog moss lime"}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in this process: exit status, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A CSV of three classes by words, 90 rows."""
    path = tmp_path / "colours.csv"
    rows = [
        f"{words.split()[i % 5]} {words.split()[(i * 2 + 1) % 5]},{name}"
        for i in range(30)
        for name, words in WORDS.items()
    ]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return path
