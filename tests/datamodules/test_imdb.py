"""IMDB: Keras' ids and order, out of archive, folder and npz; the cache; predicting without the archive."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import DataSpec, IMDBDataModule
from datamodules.errors import UserError
from datamodules.words import reviews as module
from tests.datamodules.review_files import REVIEWS, make_archive, make_folder


def small(folder: Path) -> list[dict[str, Any]]:
    """Settings that `tests/testing/test_data.py` checks."""
    make_archive(folder / "aclImdb_v1.tar.gz")
    return [{"data_dir": str(folder), "num_words": 20, "max_length": 4, "val_fraction": 0.4, "batch_size": 2}]


def ready(stage: str, **args: Any) -> IMDBDataModule:
    data = IMDBDataModule(**args)
    data.prepare_data()
    data.setup(stage)
    return data


def keras_reference(num_words: int) -> dict[str, tuple[list[list[int]], list[int]]]:
    """Ranks as Keras' `Tokenizer`, then `keras.datasets.imdb.load_data(num_words)`, step by step."""
    characters = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
    every = {
        name: REVIEWS[name].lower().translate(str.maketrans(characters, " " * len(characters)))
        for name in sorted(REVIEWS)
    }
    counts: Counter[str] = Counter()
    for name, text in every.items():
        if name.startswith("train"):
            counts.update(w for w in text.split(" ") if w)
    rank = {word: i for i, (word, _) in enumerate(counts.most_common(), start=1)}  # most_common keeps ties in order
    rng, found = np.random.RandomState(113), {}
    for split in ("train", "test"):
        names = [name for name in every if name.startswith(split)]
        indices = np.arange(len(names))
        rng.shuffle(indices)
        rows = [[1] + [rank[w] + 3 for w in every[names[i]].split(" ") if w in rank] for i in indices]
        rows = [[w if w < num_words else 2 for w in row] for row in rows]
        found[split] = rows, [int("/pos/" in names[i]) for i in indices]
    return found


def padded(rows: list[list[int]], length: int) -> list[list[int]]:
    """`keras.utils.pad_sequences`: padding and truncation at the front."""
    return [[0] * (length - len(row)) + row[-length:] for row in rows]


@pytest.fixture
def archive_dir(tmp_path: Path) -> str:
    make_archive(tmp_path / "aclImdb_v1.tar.gz")
    return str(tmp_path)


@pytest.mark.parametrize(("num_words", "max_length"), [(10_000, 500), (8, 3)])
def test_ids_and_order_are_those_of_keras(num_words: int, max_length: int, archive_dir: str) -> None:
    data = ready("fit", data_dir=archive_dir, num_words=num_words, max_length=max_length, val_fraction=0.4)
    data.setup("test")
    reference = keras_reference(num_words)
    train, labels = reference["train"]
    for table, rows, expected in (
        (data.train_table, train[:3], labels[:3]),  # 5 * (1 - 0.4) = 3 train, the last 2 validate
        (data.val_table, train[3:], labels[3:]),
        (data.test_table, *reference["test"]),
    ):
        assert table is not None
        ids, target = table[torch.arange(len(table))]
        assert ids.dtype == target.dtype == torch.int64
        assert ids.tolist() == padded(rows, max_length)
        assert target.tolist() == expected


def test_archive_folder_and_links_give_the_same(archive_dir: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "real" / "ACLIMDB")
    (tmp_path / "link").mkdir()
    os.symlink(folder, tmp_path / "link" / "aclImdb")
    reference = ready("test", data_dir=archive_dir)
    assert reference.test_table is not None
    places = torch.arange(len(reference.test_table))
    for data_dir in (tmp_path / "real", folder, tmp_path / "link", Path(archive_dir) / "aclImdb_v1.tar.gz"):
        data = ready("test", data_dir=str(data_dir))
        assert data.test_table is not None
        assert torch.equal(data.test_table[places][0], reference.test_table[places][0])
        assert [len(c) for c in data.checksums().values()] == [64]


def test_a_changed_folder_is_tokenized_again(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "aclImdb")
    ready("test", data_dir=str(tmp_path))
    (folder / "test" / "pos" / "2_9.txt").write_text("good")
    data = ready("test", data_dir=str(tmp_path))
    assert data.test_table is not None
    assert len(data.test_table) == 4


def test_reviews_are_tokenized_once(archive_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ready("fit", data_dir=archive_dir)
    monkeypatch.delattr(module, "read_reviews")
    ready("fit", data_dir=archive_dir, num_words=6, max_length=2)


def test_keras_npz_gives_its_own_ranks(tmp_path: Path) -> None:
    rows = np.empty(3, dtype=object)
    rows[:] = [[1, 2, 9], [3], [2, 2]]
    np.savez(tmp_path / "imdb.npz", x_train=rows, y_train=np.array([0, 1, 1]), x_test=rows[:2], y_test=np.array([1, 0]))
    order = np.arange(3)
    np.random.RandomState(113).shuffle(order)
    data = ready("fit", data_dir=str(tmp_path), num_words=10, max_length=4, val_fraction=0)
    assert data.train_table is not None
    assert data.val_table is None
    every = [[1, 4, 5, 2], [0, 0, 1, 6], [0, 1, 5, 5]]  # rank + 3; 9 + 3 is not below 10
    assert data.train_table[torch.arange(3)][0].tolist() == [every[i] for i in order]
    with pytest.raises(
        UserError, match=r"the words of the ids are unknown: put imdb_word_index.json beside imdb.npz in"
    ):
        ready("predict", data_dir=str(tmp_path), inputs="good")
    (tmp_path / "imdb_word_index.json").write_text(json.dumps({"good": 2, "the": 1, "bad": 3}))
    predicted = ready("predict", data_dir=str(tmp_path), inputs="good bad!", max_length=4)
    assert predicted.predict_table is not None
    assert predicted.predict_table[torch.tensor([0])][0].tolist() == [[0, 1, 5, 6]]


def test_sentences_are_predicted_without_the_archive(archive_dir: str, tmp_path: Path) -> None:
    trained = ready("fit", data_dir=archive_dir, num_words=7)
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    empty = str(tmp_path / "empty")
    data = IMDBDataModule(data_dir=empty, num_words=7, max_length=4, inputs=["A good, BAD film", "zzz"])
    data.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    data.prepare_data()
    data.setup("predict")
    # By frequency, then appearance: bad 3, the 3, good 3; with 7 ids the words are bad 4, the 5, good 6.
    assert data.predict_table is not None
    assert data.predict_table[torch.arange(2)][0].tolist() == [[2, 6, 4, 2], [0, 0, 1, 2]]
    assert data.predict_table[torch.arange(2)][1].tolist() == [-1, -1]
    assert list(data.predict_names()) == ["A good, BAD film", "zzz"]
    assert data.checksums() == {}


def test_a_state_that_comes_after_setup_is_used(archive_dir: str) -> None:
    data = ready("predict", data_dir=archive_dir, inputs="film plot", max_length=3)
    data.load_state_dict({"tokenizer": {"kind": "words", "form": "keras", "words": ["plot"]}})
    assert data.predict_table is not None
    assert data.predict_table[torch.tensor([0])][0].tolist() == [[1, 2, 4]]


def test_a_loaded_vocabulary_decides_the_ids_of_other_reviews(archive_dir: str) -> None:
    data = IMDBDataModule(data_dir=archive_dir, max_length=3)
    data.load_state_dict({"tokenizer": {"kind": "words", "form": "keras", "words": ["film", "good"]}})
    data.setup("test")
    assert data.test_table is not None
    ids = data.test_table[torch.arange(3)][0].tolist()
    assert sorted(ids) == [[0, 0, 1], [1, 5, 4], [2, 2, 2]]  # "never seen": unknown to these training reviews


def test_another_kind_of_tokenizer_is_refused(bert_checkpoint: Path) -> None:
    from datamodules.words.tokenizers import CheckpointTokenizer

    state = {"tokenizer": CheckpointTokenizer.from_checkpoint(str(bert_checkpoint)).to_dict()}
    with pytest.raises(
        UserError, match=r"the checkpoint has no vocabulary of words, so it was trained on other data than IMDB"
    ):
        IMDBDataModule().load_state_dict(state)


def test_predicting_without_inputs_takes_the_test_reviews(archive_dir: str) -> None:
    data = ready("predict", data_dir=archive_dir)
    assert list(data.predict_names()) == ["test[0]", "test[1]", "test[2]"]


def test_the_model_is_told_what_the_data_decide() -> None:
    assert IMDBDataModule(num_words=9, max_length=4).spec() == DataSpec(
        task="classification",
        num_classes=2,
        class_names=["negative", "positive"],
        vocab_size=9,
        padding_id=0,
        max_length=4,
        tokenizer="words",
    )
    assert IMDBDataModule().has_validation
    assert not IMDBDataModule(val_fraction=0).has_validation


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"num_words": 4}, "num_words must be at least 5, got 4"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"val_fraction": 1.0}, "val_fraction is a fraction, 0 or more and below 1, got 1.0"),
        ({"val_fraction": float("nan")}, "val_fraction is a fraction, 0 or more and below 1, got nan"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        IMDBDataModule(**args)


def test_a_validation_part_that_leaves_nothing_is_refused(archive_dir: str) -> None:
    with pytest.raises(UserError, match=r"val_fraction 0.9 leaves none of 5 reviews for training"):
        ready("fit", data_dir=archive_dir, val_fraction=0.9)


@pytest.mark.real_data
def test_the_real_reviews_have_their_published_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    if "LIT_MODELS_DATA" not in os.environ:
        pytest.skip("LIT_MODELS_DATA does not name the folder with the IMDB archive")
    from datamodules.storage.locations import default_data_dir

    source = module.find_source(default_data_dir())
    assert source is not None
    data = ready("fit", num_words=1_000_000)
    data.setup("test")
    # Keras' rule splits at spaces only; splitting at U+0085 and U+00A0 too would make 88,075 words of them.
    assert len(data.state_dict()["tokenizer"]["words"]) == 88_582
    assert data.train_table is not None
    assert data.val_table is not None
    assert data.test_table is not None
    assert [len(t) for t in (data.train_table, data.val_table, data.test_table)] == [20_000, 5_000, 25_000]
    _, target = data.test_table[torch.arange(25_000)]
    assert int(target.sum()) == 12_500
    lengths = torch.cat([(t[torch.arange(len(t))][0] != 0).sum(dim=1) for t in (data.train_table, data.val_table)])
    assert lengths.float().mean().item() - 1 == pytest.approx(221, abs=1)  # the start is no word
