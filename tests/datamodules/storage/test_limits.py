"""The memory of a file: a multiple of its size, and a limit that the environment raises."""

from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import UserError
from datamodules.storage.limits import Budget, longest_line, most_bytes
from datamodules.storage.npz import read_npz
from datamodules.storage.table_files import read_rows
from datamodules.words.vocab_files import read_vocab


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "f").write_bytes(bytes(2**20))
    return tmp_path / "f"


def test_a_file_may_take_100_times_its_size(file: Path) -> None:
    budget = Budget(file)
    budget.spend(60 * 2**20)
    budget.spend(40 * 2**20)
    with pytest.raises(UserError) as caught:
        budget.spend(1)
    took = "reading it takes more than 100 MiB of memory, from a file of 1,048,576 bytes"
    assert str(caught.value) == f"{file}: {took}; it is damaged, or made to fill the memory"


def test_a_small_file_may_take_64_mib(file: Path) -> None:
    file.write_bytes(b"x")
    budget = Budget(file)
    budget.spend(64 * 2**20)
    with pytest.raises(UserError, match=r"more than 64 MiB of memory, from a file of 1 bytes"):
        budget.spend(1)


def test_no_file_may_take_more_than_the_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "0.01")
    Budget(file).spend(10_000_000)
    with pytest.raises(UserError) as caught:
        Budget(file).spend(11_000_000)  # 0.01 * 2**30 = 10,737,418
    much = "reading it takes more than 0.01 GiB of memory"
    assert str(caught.value) == f"{file}: {much}; set LIT_MODELS_MAX_GB to a larger number"
    Budget(file, streamed=True).spend(11_000_000)


def test_the_limit_is_4_gib_and_a_line_has_16_mib_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIT_MODELS_MAX_GB", raising=False)
    assert (most_bytes(), longest_line()) == (4 * 2**30, 16 * 2**20)
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "8")
    assert (most_bytes(), longest_line()) == (8 * 2**30, 32 * 2**20)


@pytest.mark.parametrize("text", ["much", "-1", "0", "nan", "inf"])
def test_a_limit_that_is_no_positive_number_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_MODELS_MAX_GB", text)
    with pytest.raises(UserError) as caught:
        most_bytes()
    assert str(caught.value) == f"LIT_MODELS_MAX_GB must be a positive number, got {text!r}"


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_MODELS_MAX_GB", str(256 * 100 / 2**30))  # lines of 100 bytes
    assert longest_line() == 100


@pytest.mark.usefixtures("short_lines")
@pytest.mark.parametrize("name", ["f.csv", "f.jsonl", "f.txt"])
def test_a_long_line_is_refused_with_its_number(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("text,label\na,1\n" if name == "f.csv" else '{"text": "a", "label": 1}\n' * 2)
    with path.open("a") as file:
        file.write("a" * 101)
    with pytest.raises(UserError) as caught:
        read_vocab(path) if name == "f.txt" else list(read_rows(path, ["text", "label"]))
    hint = "set LIT_MODELS_MAX_GB to a larger number if it is right"
    assert str(caught.value) == f"{path}:3: a line of more than 100 bytes; {hint}"


@pytest.mark.usefixtures("short_lines")
def test_a_row_of_many_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("text,label\n" + '"a\n",' * 60)
    with pytest.raises(UserError, match=r"f.csv:\d+: a row of more than 200 characters, set LIT_MODELS_MAX_GB to a"):
        list(read_rows(path, ["text", "label"]))


def test_the_limit_holds_for_arrays_and_vocabularies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "f.npz", x=np.arange(10_000))
    (tmp_path / "f.json").write_text('["<unk>"]' + " " * 10_000)
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "0.00001")
    for read, name in ((read_npz, "f.npz"), (read_vocab, "f.json")):
        with pytest.raises(UserError, match=rf"{name}: reading it takes more than 1e-05 GiB of memory; set LIT_MODELS"):
            read(tmp_path / name)
