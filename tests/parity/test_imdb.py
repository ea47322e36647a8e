"""Word ids of reviews beside Keras' own: its `Tokenizer`, `imdb.load_data` and `pad_sequences`, on every review."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from datamodules import IMDBDataModule
from datamodules.storage.locations import default_data_dir
from datamodules.words.tokens import TokenTable

from .keras_runs import Array, with_keras

pytestmark = with_keras

ARCHIVE = "aclImdb_v1.tar.gz"
PARTS = ["train/neg", "train/pos", "test/neg", "test/pos"]


class Ids(NamedTuple):
    """Padded ids `(N, T)` and labels `(N,)` of both splits, in their order, and the words by rank."""

    train: tuple[Array, Array]
    test: tuple[Array, Array]
    words: list[str]


def archive_texts(archive: Path) -> dict[str, list[str]]:
    """The reviews of each part, by file name."""
    found: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    with tarfile.open(archive) as members:
        for member in members:
            _, _, place = member.name.partition("/")
            part, _, name = place.rpartition("/")
            if part in found and (file := members.extractfile(member)):
                found[part][name] = file.read().decode("utf-8")
    return {part: [texts[name] for name in sorted(texts)] for part, texts in found.items()}


def write_npz(texts: dict[str, list[str]], path: Path) -> list[str]:
    """What Keras publishes as `imdb.npz`: ranks by Keras' tokenizer on the training reviews. Returns the words."""
    from keras.src.legacy.preprocessing.text import Tokenizer

    tokenizer = Tokenizer()
    tokenizer.fit_on_texts([text for part in PARTS[:2] for text in texts[part]])
    arrays: dict[str, Any] = {}
    for split, parts in (("train", PARTS[:2]), ("test", PARTS[2:])):
        rows = tokenizer.texts_to_sequences([text for part in parts for text in texts[part]])
        arrays[f"x_{split}"] = np.empty(len(rows), dtype=object)
        arrays[f"x_{split}"][:] = rows
        arrays[f"y_{split}"] = np.array([label for label, part in enumerate(parts) for _ in texts[part]])
    np.savez(path, **arrays)
    return list(tokenizer.word_index)


def keras_ids(npz: Path, words: list[str], *, num_words: int, max_length: int) -> Ids:
    """The Keras program's way from the file to the network."""
    import keras

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras.src.datasets.imdb.get_file", lambda **_: str(npz))
        splits = keras.datasets.imdb.load_data(num_words=num_words)
    train, test = ((keras.utils.pad_sequences(rows, maxlen=max_length), labels) for rows, labels in splits)
    return Ids(train, test, words)


def our_ids(data_dir: Path, *, num_words: int, max_length: int) -> Ids:
    data = IMDBDataModule(data_dir=str(data_dir), num_words=num_words, max_length=max_length, val_fraction=0)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    tokenizer = data.state_dict().get("tokenizer", {"words": []})

    def whole(table: Any) -> tuple[Array, Array]:
        ids, labels = table[torch.arange(len(table))]
        return ids.numpy(), labels.numpy()

    return Ids(whole(data.train_table), whole(data.test_table), tokenizer["words"])


def assert_same_ids(ours: Ids, theirs: Ids) -> None:
    for our, their in ((ours.train, theirs.train), (ours.test, theirs.test)):
        np.testing.assert_array_equal(our[0], their[0])
        np.testing.assert_array_equal(our[1], their[1])
    assert ours.words == theirs.words[: len(ours.words)]


def made_up_reviews() -> dict[str, list[str]]:
    """Reviews of all kinds of characters and lengths; ranks with ties, and words that only test reviews have."""
    rng = np.random.default_rng(0)
    odd = [
        "don't",
        "naïve",
        "a\u00a0b",
        "c\u0085d",
        "İstanbul",
        "ΣΊΣΥΦΟΣ",
        "草",
        "x\u2028y",
        "<br",
        "/><br",
        "10/10",
        "--",
        "…",
    ]
    known = [*odd, *(f"Word{i}" for i in range(60))]
    gaps = [" ", "  ", "\n", "\t", ", ", ".\r\n", "'", "_", "\u3000", "!?"]

    def review(words: list[str]) -> str:
        chosen = rng.zipf(1.3, size=rng.integers(0, 60)) % len(words)
        return "".join(words[i] + gaps[rng.integers(len(gaps))] for i in chosen)

    made = {part: [review(known if "train" in part else [*known, "Unheard"]) for _ in range(40)] for part in PARTS}
    made["train/neg"][0] = " ".join(known)  # every word is in a training review
    made["test/pos"][0] = "?!"  # a review without a word
    return made


def write_archive(texts: dict[str, list[str]], path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for part, reviews in texts.items():
            for i, text in enumerate(reviews):
                content = text.encode()
                member = tarfile.TarInfo(f"aclImdb/{part}/{i}_5.txt")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A folder with an archive of made-up reviews."""
    (tmp_path / "reviews").mkdir()
    write_archive(made_up_reviews(), tmp_path / "reviews" / ARCHIVE)
    return tmp_path / "reviews"


@pytest.mark.parametrize(("num_words", "max_length"), [(40, 20), (10_000, 500), (5, 1)])
def test_ids_are_those_of_keras(num_words: int, max_length: int, made_up: Path, tmp_path: Path) -> None:
    words = write_npz(archive_texts(made_up / ARCHIVE), tmp_path / "imdb.npz")
    theirs = keras_ids(tmp_path / "imdb.npz", words, num_words=num_words, max_length=max_length)
    ours = our_ids(made_up, num_words=num_words, max_length=max_length)
    assert len(ours.words) == min(num_words - 4, len(words))
    assert_same_ids(ours, theirs)
    assert_same_ids(our_ids(tmp_path / "imdb.npz", num_words=num_words, max_length=max_length), theirs)


@pytest.mark.parametrize("broken", [{"pad_front": False}, {"keep_last": False}], ids=["padding", "truncation"])
def test_padding_or_truncation_at_the_end_is_seen(
    broken: dict[str, bool], made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = write_npz(archive_texts(made_up / ARCHIVE), tmp_path / "imdb.npz")
    theirs = keras_ids(tmp_path / "imdb.npz", words, num_words=40, max_length=20)
    opened = TokenTable.open
    monkeypatch.setattr(TokenTable, "open", lambda path, **padding: opened(path, **padding, **broken))
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        assert_same_ids(our_ids(made_up, num_words=40, max_length=20), theirs)


@pytest.mark.real_data
@pytest.mark.skipif("LIT_MODELS_DATA" not in os.environ, reason="LIT_MODELS_DATA names no folder with real data")
def test_all_fifty_thousand_reviews_have_the_ids_of_keras(tmp_path: Path) -> None:
    folder = default_data_dir()
    words = write_npz(archive_texts(folder / ARCHIVE), tmp_path / "imdb.npz")
    assert len(words) == 88_582
    theirs = keras_ids(tmp_path / "imdb.npz", words, num_words=10_000, max_length=500)
    assert theirs.train[0].shape == theirs.test[0].shape == (25_000, 500)
    ours = our_ids(folder, num_words=10_000, max_length=500)
    assert_same_ids(ours, theirs)
    assert_same_ids(our_ids(tmp_path / "imdb.npz", num_words=10_000, max_length=500), theirs)
    assert our_ids(folder, num_words=100_000, max_length=1).words == words
