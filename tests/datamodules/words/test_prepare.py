"""What the data cache keeps of a text dataset: made once, and made anew for other settings."""

from pathlib import Path

import pytest
import torch

from datamodules.words import sources
from datamodules.words.prepare import WordSettings, encode, learn
from datamodules.words.records import Columns
from datamodules.words.sources import FileSource
from datamodules.words.tokenizers import VocabTokenizer, WordTokenizer
from datamodules.words.tokens import TokenTable

KERAS = WordSettings("keras", 100, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text("text,label,kind\nb a,x,1\na c,y,0\na b,x,1\n")
    return tmp_path / "t.csv"


@pytest.fixture
def source(path: Path) -> FileSource:
    return FileSource(path, Columns("text", "label"))


def test_words_and_names_are_learned_together(source: FileSource) -> None:
    tokenizer, names = learn(source, words=KERAS, class_names=None)
    assert isinstance(tokenizer, WordTokenizer)
    assert (tokenizer.words, names) == (["a", "b", "c"], ["x", "y"])  # a three times, b twice, c once
    assert learn(source, words=None, class_names=None) == (None, ["x", "y"])
    assert learn(source, words=None, class_names=["y", "x"]) == (None, ["y", "x"])
    tokenizer, _ = learn(source, words=WordSettings("basic_english", 100, 2), class_names=None)
    assert isinstance(tokenizer, VocabTokenizer)
    assert tokenizer.words == ["<unk>", "<pad>", "a", "b"]


def test_the_column_of_the_label_is_part_of_the_settings(source: FileSource, path: Path) -> None:
    assert learn(source, words=None, class_names=None)[1] == ["x", "y"]
    assert learn(FileSource(path, Columns("text", "kind")), words=None, class_names=None)[1] == ["0", "1"]


def test_ids_follow_tokenizer_classes_and_length(source: FileSource) -> None:
    def encoded(words: list[str], names: list[str], max_length: int | None) -> tuple[object, object]:
        table = TokenTable.open(encode(source, WordTokenizer(words), names, max_length=max_length), max_length=9)
        ids, target = table[torch.arange(3)]
        return ids.tolist(), target.tolist()

    for _ in range(2):  # made, then read again
        assert encoded(["a", "b"], ["x", "y"], None) == ([[1, 5, 4], [1, 4, 2], [1, 4, 5]], [0, 1, 0])
        assert encoded(["b", "a"], ["x", "y"], None) == ([[1, 4, 5], [1, 5, 2], [1, 5, 4]], [0, 1, 0])
        assert encoded(["a", "b"], ["y", "x"], None) == ([[1, 5, 4], [1, 4, 2], [1, 4, 5]], [1, 0, 1])
        assert encoded(["a", "b"], ["x", "y"], 1) == ([[4], [2], [5]], [0, 1, 0])


def test_a_second_start_reads_the_cache_alone(source: FileSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> tuple[list[str], Path]:
        _, names = learn(source, words=KERAS, class_names=None)
        return names, encode(source, WordTokenizer(["a"]), names, max_length=9)

    first = start()
    monkeypatch.setattr(sources, "read_records", None)
    assert start() == first


def test_a_changed_file_is_read_again(source: FileSource, path: Path) -> None:
    learn(source, words=KERAS, class_names=None)
    path.write_text("text,label\nd,z\nd,w\n")
    tokenizer, names = learn(FileSource(path, source.columns), words=KERAS, class_names=None)
    assert isinstance(tokenizer, WordTokenizer)
    assert (tokenizer.words, names) == (["d"], ["w", "z"])
