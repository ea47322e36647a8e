"""IMDB: 25,000 + 25,000 film reviews, positive or negative, with the word ids that Keras gives them.

Sources: Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011; `keras.datasets.imdb` (ids, order).
"""

import gzip
import json
import math
import re
import tarfile
import zlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.base import Batch, DataModule, TensorTable
from datamodules.records import read_texts
from datamodules.sources import default_data_dir, fetch, read_npz, sha256
from datamodules.tokenizers import FIRST_WORD_ID, START_ID, UNKNOWN_ID, WordTokenizer, split_words, tokenizer_from_dict
from datamodules.tokens import Rows, TokenTable, cached_file, progress, read_metadata, write_rows

URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
ARCHIVE, FOLDER, NPZ, WORD_INDEX = "aclImdb_v1.tar.gz", "aclImdb", "imdb.npz", "imdb_word_index.json"
CLASSES = ["negative", "positive"]
PARTS = [(split, label) for split in ("train", "test") for label in ("neg", "pos")]
ORDER_SEED = 113  # of the order in `keras.datasets.imdb.load_data`


class Review(NamedTuple):
    """A review's place in the order, and its text. The order is train before test, negative before positive, then by
    file name as text."""

    part: int
    name: str
    text: str


class IdTable(TensorTable):
    """Token ids held as int32 `(N, T)`; a batch of them is int64 `(B, T)`."""

    def __getitem__(self, indices: Tensor, /) -> Batch:
        ids, target = super().__getitem__(indices)
        return ids.long(), target


class IMDBDataModule(DataModule):
    """Film reviews, positive or negative, as word ids identical to those of `keras.datasets.imdb.load_data`.

    0 pads, 1 starts a review, 2 is a rarer word, a word is its rank + 3; reviews are padded and cut at the front. Ranks
    come from all training reviews. As in Keras, words that no training review has are left out of the test reviews; in
    sentences to predict they are 2. Reviews are ordered by file name, then as `load_data` shuffles them; a published
    `imdb.npz` comes in an order of its own. Words are counted once; the data cache keeps the ids.

    Args:
        data_dir: folder that holds `aclImdb_v1.tar.gz`, or `aclImdb/`, or Keras' `imdb.npz` (with
            `imdb_word_index.json`, if sentences are to be predicted), or one of these itself; `LIT_MODELS_DATA` or the
            cache when not given. The archive is downloaded there if there is none of them.
        num_words: number of ids; rarer words are 2. At least 5.
        max_length: words of a review that are kept, the last ones, at least 1.
        val_fraction: fraction of the training reviews that validates, its last part in Keras' order, 0 to below 1.
        batch_size: reviews in a step, over all processes, at least 1.
        seed: of the order in training; the command line passes `--seed_everything`.
        num_workers: processes that prepare batches beside the training process.
        inputs: sentences to predict, or files: `.txt` one a line, `.csv`, `.tsv`, `.jsonl`, `.parquet`; the test
            reviews when not given.
        text_column: column with the text, in such files.

    Raises:
        ValueError: a number out of its range, or a damaged file.
        FileNotFoundError: no reviews, and they cannot be downloaded.
    """

    kind: ClassVar[str] = "tokens"

    def __init__(
        self,
        *,
        data_dir: str | None = None,
        num_words: int = 10_000,
        max_length: int = 500,
        val_fraction: float = 0.2,
        batch_size: int = 128,
        seed: int = 0,
        num_workers: int = 0,
        inputs: str | list[str] | None = None,
        text_column: str = "text",
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers)
        if num_words <= FIRST_WORD_ID:
            raise ValueError(f"num_words must be at least {FIRST_WORD_ID + 1}, got {num_words}")
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        if not 0 <= val_fraction < 1:
            raise ValueError(f"val_fraction is a fraction of the training reviews, 0 to below 1, got {val_fraction}")
        self.data_dir = Path(data_dir).expanduser() if data_dir else default_data_dir()
        self.num_words, self.max_length, self.val_fraction = num_words, max_length, val_fraction
        self.inputs = [inputs] if isinstance(inputs, str) else inputs
        self.text_column = text_column
        self._tokenizer: WordTokenizer | None = None
        self._texts: list[str] = []
        self._stage: str | None = None

    def model_args(self) -> dict[str, Any]:
        return {
            "num_classes": 2,
            "class_names": list(CLASSES),
            "vocab_size": self.num_words,
            "padding_id": 0,
            "max_length": self.max_length,
            "tokenizer": "words",
        }

    @property
    def has_validation(self) -> bool:
        return self.val_fraction > 0

    def prepare_data(self) -> None:
        if self.inputs is None or self._tokenizer is None:
            self._cached()

    def setup(self, stage: str) -> None:
        self._stage = stage
        if stage == "predict" and self.inputs is not None:
            self._setup_inputs(self.inputs)
            return
        if (self.train_table if stage in ("fit", "validate") else self.test_table) is None:
            self._setup_reviews(train=stage in ("fit", "validate"))
        self.predict_table = self.test_table

    def predict_names(self) -> list[str]:
        return self._texts if self.inputs is not None else list(super().predict_names())

    def checksums(self) -> dict[str, str]:
        source = find_source(self.data_dir)
        return {} if source is None else {source.name: content_checksum(source)}

    def state_dict(self) -> dict[str, Any]:
        """The vocabulary, so that a checkpoint predicts without the archive."""
        return {} if self._tokenizer is None else {"tokenizer": self._tokenizer.to_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "tokenizer" not in state_dict or state_dict == self.state_dict():
            return
        tokenizer = tokenizer_from_dict(state_dict["tokenizer"])
        if not isinstance(tokenizer, WordTokenizer):
            raise ValueError("the checkpoint's tokenizer is no vocabulary of words: it was not trained on these data")
        self._tokenizer = tokenizer
        self.train_table = self.val_table = self.test_table = self.predict_table = None
        if self._stage is not None:  # Lightning restores after setup
            self.setup(self._stage)

    def _setup_inputs(self, inputs: list[str]) -> None:
        self._texts = read_texts(inputs, text_column=self.text_column)
        if self._tokenizer is None:
            self._learn_words(read_metadata(self._cached())["words"])
        if self._tokenizer is None:
            raise ValueError(f"sentences need the words of the ids: put {WORD_INDEX} beside {NPZ} in {self.data_dir}")
        rows = self._tokenizer.encode_batch(self._texts, max_length=self.max_length)
        self.predict_table = TokenTable.from_rows(rows, max_length=self.max_length, fixed=True)

    def _setup_reviews(self, *, train: bool) -> None:
        path = self._cached()
        known = read_metadata(path)
        if self._tokenizer is None:
            self._learn_words(known["words"])
        table = TokenTable.open(path, max_length=self.max_length, fixed=True)
        num_train = known["num_train"]
        kept = self._kept_ids(known["words"])
        rng = np.random.RandomState(ORDER_SEED)
        train_places, test_places = np.arange(num_train), np.arange(num_train, len(table))
        rng.shuffle(train_places)
        rng.shuffle(test_places)
        if not train:
            self.test_table = id_table(table, test_places, kept)
            return
        num_fit = math.floor(num_train * (1 - self.val_fraction))
        if num_fit == 0:
            raise ValueError(f"val_fraction {self.val_fraction} leaves none of {num_train} reviews for training")
        self.train_table = id_table(table, train_places[:num_fit], kept)
        self.val_table = id_table(table, train_places[num_fit:], kept) if num_fit < num_train else None

    def _learn_words(self, words: list[str] | None) -> None:
        if words is not None:
            self._tokenizer = WordTokenizer(words[: self.num_words - FIRST_WORD_ID])

    def _kept_ids(self, words: list[str] | None) -> Tensor | int:
        """Which of the cache's ids are kept; the others become 2. A bound of the ids, or, where a loaded vocabulary has
        other words than these reviews, the new id of each id."""
        if words is None or self._tokenizer is None:
            return self.num_words
        if self._tokenizer.words == words[: len(self._tokenizer.words)]:
            return self._tokenizer.vocab_size
        known = self._tokenizer.ids
        ids = [0, START_ID, UNKNOWN_ID, UNKNOWN_ID, *(known.get(word, UNKNOWN_ID) for word in words)]
        return torch.tensor(ids, dtype=torch.int32)

    def _cached(self) -> Path:
        """The file with all reviews' uncut ids; made when it is not there."""
        source = find_source(self.data_dir)
        if source is None:
            fetch(URL, self.data_dir / ARCHIVE, md5=MD5)
            source = self.data_dir / ARCHIVE
        if source.suffix.lower() == ".npz":
            index = source.with_name(WORD_INDEX)
            settings = {"npz": sha256(source), "words": sha256(index) if index.is_file() else None}
            return cached_file("imdb", settings, lambda path: write_npz(source, path))
        return cached_file("imdb", {"reviews": state_of(source)}, lambda path: write_reviews(source, path))


def id_table(table: TokenTable, places: Any, kept: Tensor | int) -> IdTable:
    """Rows of the cache as whole padded rows in memory, with the ids that the model knows."""
    ids = torch.from_numpy(table.gather(places))
    ids = ids.masked_fill_(ids >= kept, UNKNOWN_ID) if isinstance(kept, int) else kept[ids]
    return IdTable(ids, table.labels[places])


def find_source(data_dir: Path) -> Path | None:
    """The archive, the folder or the `.npz` in `data_dir`, in this order, capitals or not; or `data_dir` itself."""
    if data_dir.is_file() or (data_dir / "train" / "pos").is_dir():
        return data_dir
    inside = {path.name.lower(): path for path in sorted(data_dir.iterdir())} if data_dir.is_dir() else {}
    for name in (ARCHIVE, FOLDER, NPZ):
        path = inside.get(name.lower())
        if path is not None and path.is_dir() == (name == FOLDER):
            return path
    return None


def state_of(source: Path) -> str:
    """What tells one state of the reviews from another: an archive's SHA-256; for a folder, names, sizes and times."""
    if source.is_file():
        return sha256(source)
    every = ((path.name, path.stat()) for _, path in review_files(source))
    return json.dumps([str(source.resolve()), [(name, s.st_size, s.st_mtime_ns) for name, s in every]])


def content_checksum(source: Path) -> str:
    """SHA-256 of a file; of a folder, over the checksums of its reviews."""
    if source.is_file():
        return sha256(source)
    import hashlib

    return hashlib.sha256("".join(sha256(path) for _, path in review_files(source)).encode()).hexdigest()


def review_files(folder: Path) -> Iterator[tuple[int, Path]]:
    """The part and the path of every review in a folder, in order."""
    for part, (split, label) in enumerate(PARTS):
        yield from ((part, path) for path in sorted((folder / split / label).glob("*.txt"), key=lambda p: p.name))


def read_reviews(source: Path) -> list[Review]:
    """All labelled reviews of the archive or the folder, in order. An archive is read as a stream; nothing of it is
    unpacked.

    Raises:
        ValueError: a damaged archive, a review that is not UTF-8, or none of one kind.
    """
    every: Iterable[tuple[int, str, bytes]]
    if source.is_dir():
        every = ((part, path.name, path.read_bytes()) for part, path in review_files(source))
    else:
        every = _archive_reviews(source)
    reviews = []
    for part, name, content in progress(every, doing="reading", unit="reviews"):
        try:
            reviews.append(Review(part, name, content.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise ValueError(f"{source}: {'/'.join(PARTS[part])}/{name} is not UTF-8") from error
    for part, place in enumerate(PARTS):
        if not any(review.part == part for review in reviews):
            raise ValueError(f"{source}: no reviews {'/'.join(place)}/*.txt in it")
    return sorted(reviews)


def _archive_reviews(source: Path) -> Iterator[tuple[int, str, bytes]]:
    place = re.compile(r"(?:\./)?(?:[^/]+/)?(train|test)/(neg|pos)/([^/]+\.txt)")
    try:
        with gzip.open(source) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    found = place.fullmatch(member.name)
                    if found and member.isfile() and (content := archive.extractfile(member)):
                        yield PARTS.index((found[1], found[2])), found[3], content.read()
            while stream.read(2**20):  # to the end, where the checksum is
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ValueError(f"{source} is damaged or cut off ({error}); delete it to download it again") from error


def write_reviews(source: Path, path: Path) -> None:
    """Writes the ids of all reviews; ranks by frequency in the training reviews, ties by first appearance."""
    reviews = read_reviews(source)
    num_train = sum(PARTS[review.part][0] == "train" for review in reviews)
    first: dict[str, int] = {}  # places by first appearance
    rows = []
    for i, review in enumerate(progress(reviews, doing="tokenising", unit="reviews", total=len(reviews))):
        words = split_words(review.text, "keras")
        places = (
            [first.setdefault(w, len(first)) for w in words]
            if i < num_train
            else [first[w] for w in words if w in first]
        )
        rows.append(np.frombuffer(array("i", places), dtype=np.int32))
    counts = np.bincount(np.concatenate(rows[:num_train]), minlength=len(first))
    order = np.argsort(-counts, kind="stable")  # places by rank
    ids = np.empty(len(first), dtype=np.int32)
    ids[order] = np.arange(len(first)) + FIRST_WORD_ID
    words = list(first)
    known = {"words": [words[place] for place in order.tolist()], "num_train": num_train}
    labels = [CLASSES.index("positive") if PARTS[r.part][1] == "pos" else 0 for r in reviews]
    write_rows(path, started([ids[row] for row in rows], labels), metadata=known)


def write_npz(source: Path, path: Path) -> None:
    """Writes the ids of Keras' `imdb.npz`, whose reviews are ranks.

    Raises:
        ValueError: the file is damaged or is not Keras'.
    """
    arrays = read_npz(source)
    try:
        rows = [np.array(row, dtype=np.int64) for name in ("x_train", "x_test") for row in arrays[name]]
        labels = [int(label) for name in ("y_train", "y_test") for label in arrays[name]]
        num_train = len(arrays["x_train"])
        sound = len(rows) == len(labels) and set(labels) <= {0, 1} and len(arrays["y_train"]) == num_train > 0
        sound = sound and all(row.ndim == 1 and (row > 0).all() and (row < 2**30).all() for row in rows)
    except (KeyError, TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        raise ValueError(
            f"{source} is not Keras' imdb.npz: expected x_train, y_train, x_test, y_test, ranks from 1, labels 0 or 1"
        )
    ids = [(row + FIRST_WORD_ID - 1).astype(np.int32) for row in rows]
    known = {"words": read_word_index(source.with_name(WORD_INDEX)), "num_train": num_train}
    write_rows(path, started(ids, labels), metadata=known)


def read_word_index(path: Path) -> list[str] | None:
    """The words by rank of Keras' `imdb_word_index.json`; None without the file.

    Raises:
        ValueError: damaged, or the ranks are not 1, 2, 3 …
    """
    if not path.is_file():
        return None
    try:
        ranks = json.loads(path.read_text(encoding="utf-8"))
        words = sorted(ranks, key=lambda word: int(ranks[word]))
        sound = bool(words) and [ranks[word] for word in words] == list(range(1, len(words) + 1))
    except (ValueError, TypeError, AttributeError, KeyError):
        sound, words = False, []
    if not sound:
        raise ValueError(f"{path} is damaged: expected an object of words with their ranks 1, 2, 3 …")
    return words


def started(rows: list[Any], labels: list[int]) -> Iterator[Rows]:
    """The rows with the start before each, in chunks."""
    start = np.array([START_ID], dtype=np.int32)
    for i in range(0, len(rows), 5000):
        yield [np.concatenate([start, row]) for row in rows[i : i + 5000]], labels[i : i + 5000]
