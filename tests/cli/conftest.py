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


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A folder with `aclImdb/` in it: 40 training and 10 test reviews."""
    folder = tmp_path / "reviews"
    for split, count in (("train", 20), ("test", 5)):
        for label, words in (("neg", "bad dull awful boring"), ("pos", "good great best fine")):
            place = folder / "aclImdb" / split / label
            place.mkdir(parents=True)
            for i in range(count):
                text = f"the {words.split()[i % 4]} film was so {words.split()[(i + 1) % 4]}"
                (place / f"{i}_{1 if label == 'neg' else 9}.txt").write_text(text, encoding="utf-8")
    return folder
