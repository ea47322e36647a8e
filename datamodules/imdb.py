"""IMDB: 25,000 + 25,000 film reviews, positive or negative, with the word ids that Keras gives them.

Sources: Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011; `keras.datasets.imdb` (ids, order).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from datamodules.base import Batch, DataModule, TensorTable
from datamodules.contents.batches import Chosen, Words, inspected, read_batches
from datamodules.contents.facts import Contents, Sample
from datamodules.contents.repeats import Keys
from datamodules.contents.texts import Lengths, shortened, with_lengths
from datamodules.errors import UserError, require_at_least, require_fraction
from datamodules.preprocessing import Preprocessing
from datamodules.spec import UNITS, DataSpec, Kind
from datamodules.storage.checksums import note
from datamodules.storage.inputs import Skipped
from datamodules.storage.limits import most_bytes
from datamodules.storage.locations import resolve_data_dir
from datamodules.words.described import of_texts
from datamodules.words.records import NO_TEXT, read_texts
from datamodules.words.reviews import NPZ, WORD_INDEX, cached_reviews, content_checksum, find_source, is_published
from datamodules.words.tokenizers import FIRST_WORD_ID, START_ID, UNKNOWN_ID, WordTokenizer, tokenizer_from_dict
from datamodules.words.tokens import TokenTable, chunked, read_metadata

CLASSES = ["negative", "positive"]
ID_BYTES = 4
ORDER_SEED = 113  # `keras.datasets.imdb.load_data` shuffles with this seed


class IdTable(TensorTable):
    """Token ids stored as int32 `(N, T)`; a batch of them is int64 `(B, T)`."""

    def __getitem__(self, indices: Tensor, /) -> Batch:
        ids, target = super().__getitem__(indices)
        return ids.long(), target


class IMDBDataModule(DataModule):
    """Film reviews, positive or negative, as word ids identical to those of `keras.datasets.imdb.load_data`.

    The id 0 is padding, 1 starts a review, 2 is any rarer word, and every other word has the id rank + 3. Reviews are
    padded and cut at the front. Words are ranked by their frequency in all training reviews. As in Keras, words that no
    training review contains are left out of the test reviews. In sentences to predict, they have the id 2. Reviews are
    sorted by file name and then shuffled as in `load_data`; a published `imdb.npz` keeps the order of the file. Words
    are counted once, and the data cache keeps the ids.

    Args:
        data_dir: folder that contains `aclImdb_v1.tar.gz`, or `aclImdb/`, or Keras' `imdb.npz` (with
            `imdb_word_index.json` if sentences are to be predicted), or the path of one of these. If none of them is
            there, the archive is downloaded to the folder. If not given, `LIT_MODELS_DATA` or the cache.
        num_words: number of ids, at least 5; rarer words have the id 2.
        max_length: number of words of a review that are kept, the last ones, at least 1.
        val_fraction: fraction of the training reviews that is used for validation, the last part in Keras' order, 0 or
            more and below 1.
        batch_size: reviews in a step, over all processes, at least 1.
        seed: seed of the order in training; the command line passes `--seed_everything`.
        num_workers: worker processes that prepare batches, 0 or more; with 0, the training process prepares them.
        inputs: sentences to predict, or files with them: `.txt` with one per line, or a table such as `.csv` or
            `.parquet`; folders or patterns of such files; "-" for standard input; the test reviews if not given.
        text_column: name of the column with the text in such a table.

    Raises:
        UserError: a number out of its range, or a damaged file.
        MissingFileError: the reviews are missing and cannot be downloaded.
    """

    fixed_settings: ClassVar[frozenset[str]] = frozenset({"num_words"})
    kind: ClassVar[Kind] = "tokens"

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
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers, inputs=inputs)
        require_at_least(FIRST_WORD_ID + 1, num_words=num_words)
        require_at_least(1, max_length=max_length)
        require_fraction(val_fraction=val_fraction)
        self.data_dir = resolve_data_dir(data_dir)
        self.num_words, self.max_length, self.val_fraction = num_words, max_length, val_fraction
        self.text_column = text_column
        self._tokenizer: WordTokenizer | None = None
        self._stage: str | None = None
        self._noted = False
        self._reviews: dict[str, tuple[TokenTable, Any]] = {}
        """The uncut reviews of each part that is set up: all reviews, and the rows of the part, int64 `(N,)`."""

    def spec(self) -> DataSpec:
        return DataSpec(
            num_classes=2,
            class_names=list(CLASSES),
            vocab_size=self.num_words,
            padding_id=0,
            max_length=self.max_length,
            tokenizer="words",
        )

    @property
    def has_validation(self) -> bool:
        return self.val_fraction > 0

    def prepare_data(self) -> None:
        if self.inputs is None or self._tokenizer is None:
            cached_reviews(self.data_dir)

    def setup(self, stage: str) -> None:
        self._stage = stage
        if stage == "predict" and self.inputs is not None:
            self._setup_inputs(self.inputs)
            return
        if (self.train_table if stage in ("fit", "validate") else self.test_table) is None:
            self._setup_reviews(train=stage in ("fit", "validate"))
        self.predict_table = self.test_table

    def predict_names(self) -> Sequence[str]:
        return self.input_names if self.input_names is not None else super().predict_names()

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """The words; without the file of words, the ids themselves."""
        if self._tokenizer is None:
            return [str(i) if i >= FIRST_WORD_ID else "" for i in ids]
        return [self._tokenizer.decode([i]) for i in ids]

    def contents(self, spec: DataSpec) -> Contents:
        """What is in the parts that are set up, with the lengths of the reviews."""
        return with_lengths(super().contents(spec), self._lengths())

    def inspect(self) -> Contents:
        self.set_up_all()
        keys = {}
        for name, (table, rows) in self._reviews.items():
            keys[name] = Keys(partial("{}[{}]".format, name))
            for row, target in zip(rows.tolist(), table.targets(rows).tolist(), strict=True):
                keys[name].add(table.whole(row).tobytes(), target)
        batches = {name: read_batches(table) for name, table in self.tables().items()}
        words, unit = Words(UNKNOWN_ID, (0, START_ID)), UNITS[self.kind]
        contents = inspected(batches, self.spec(), kind=self.kind, unit=unit, keys=keys, words=words)
        return with_lengths(replace(contents, samples=self._samples()), self._lengths())

    def _lengths(self) -> dict[str, Lengths]:
        """The lengths of the reviews of each part; a review without words has the start id."""
        sizes = {name: table.sizes[rows] for name, (table, rows) in self._reviews.items() if len(rows)}
        place = "{}[{}]".format
        return {n: Lengths(each, 1, self.max_length, place=partial(place, n)) for n, each in sizes.items()}

    def _samples(self) -> tuple[Sample, ...]:
        """Some training reviews, with the words that have ids."""
        table, rows = self._reviews["train"]
        chosen, samples = Chosen(len(CLASSES)), []
        for i, (row, target) in enumerate(zip(rows.tolist(), table.targets(rows).tolist(), strict=True)):
            if chosen.full:
                break
            if chosen.takes(CLASSES[target]):
                text = " ".join(self.token_texts(table.whole(row).tolist()))
                samples.append(Sample(CLASSES[target], f"train[{i}]", shortened(text)))
        return tuple(samples)

    def preprocessing(self) -> Preprocessing:
        return of_texts(self._words(), max_length=self.max_length, fixed=True)

    def checksums(self) -> dict[str, str]:
        source = find_source(self.data_dir)
        return {} if source is None else {source.name: content_checksum(source)}

    def state_dict(self) -> dict[str, Any]:
        """The vocabulary, so that a checkpoint can predict without the archive."""
        return {} if self._tokenizer is None else {"tokenizer": self._tokenizer.to_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "tokenizer" not in state_dict or state_dict == self.state_dict():
            return
        tokenizer = tokenizer_from_dict(state_dict["tokenizer"])
        if not isinstance(tokenizer, WordTokenizer):
            raise UserError("the checkpoint has no vocabulary of words, so it was trained on other data than IMDB")
        self._tokenizer = tokenizer
        self.train_table = self.val_table = self.test_table = self.predict_table = None
        if self._stage is not None:  # Lightning restores after setup
            self.setup(self._stage)

    def _setup_inputs(self, inputs: list[str]) -> None:
        if self.input_names is None:
            skipped = Skipped(strict=self.strict_inputs)
            self.input_names = read_texts(inputs, text_column=self.text_column, skipped=skipped)
            skipped.report(found=any(text.strip() for text in self.input_names), nothing=NO_TEXT)
            self.num_skipped = skipped.count
        tokenizer = self._words()
        self._check_memory(min(len(self.input_names), self.batch_size))
        encode = partial(tokenizer.encode_batch, max_length=self.max_length)
        chunks = map(encode, chunked(self.input_names))
        self.predict_table = TokenTable.from_chunks(chunks, max_length=self.max_length, fixed=True)

    def _words(self) -> WordTokenizer:
        """The tokenizer of a loaded checkpoint, otherwise that of the reviews."""
        if self._tokenizer is None:
            self._set_words(read_metadata(cached_reviews(self.data_dir))["words"])
        if self._tokenizer is None:
            raise UserError(f"the words of the ids are unknown: put {WORD_INDEX} beside {NPZ} in {self.data_dir}")
        return self._tokenizer

    def _setup_reviews(self, *, train: bool) -> None:
        path = cached_reviews(self.data_dir)
        self._note_source()
        metadata = read_metadata(path)
        words, num_train = metadata["words"], metadata["num_train"]
        if self._tokenizer is None:
            self._set_words(words)
        table = TokenTable.open(path, max_length=self.max_length, fixed=True)
        self._check_memory(len(table))
        kept = self._kept_ids(words)
        rng = np.random.RandomState(ORDER_SEED)
        train_rows, test_rows = np.arange(num_train), np.arange(num_train, len(table))
        rng.shuffle(train_rows)
        rng.shuffle(test_rows)
        if not train:
            self.test_table = id_table(table, test_rows, kept)
            self._reviews["test"] = table, test_rows
            return
        num_fit = math.floor(num_train * (1 - self.val_fraction))
        if num_fit == 0:
            raise UserError(f"val_fraction {self.val_fraction} leaves none of {num_train} reviews for training")
        self.train_table = id_table(table, train_rows[:num_fit], kept)
        self.val_table = id_table(table, train_rows[num_fit:], kept) if num_fit < num_train else None
        self._reviews |= {"train": (table, train_rows[:num_fit]), "val": (table, train_rows[num_fit:])}

    def _check_memory(self, num_reviews: int) -> None:
        """Refuses a `max_length` that would fill the memory, because every review is padded to it."""
        if num_reviews * self.max_length * ID_BYTES > most_bytes():
            much = f"max_length {self.max_length:,} needs too much memory for {num_reviews:,} reviews"
            raise UserError(f"{much}: lower it, or set LIT_MODELS_MAX_GB to a larger number")

    def _note_source(self) -> None:
        """Prints a note, once, if the reviews are not the published ones."""
        source = find_source(self.data_dir)
        if source is not None and not self._noted and not is_published(source):
            problem = f"has another checksum than the published {source.name}" if source.is_file() else "is a folder"
            note(f"{source} {problem}, so its reviews may be others; results.json has the checksum")
        self._noted = True

    def _set_words(self, words: list[str] | None) -> None:
        if words is not None:
            self._tokenizer = WordTokenizer(words[: self.num_words - FIRST_WORD_ID])

    def _kept_ids(self, words: list[str] | None) -> Tensor | int:
        """How the ids of the data cache are replaced: this id and all larger ones become 2. If a loaded vocabulary has
        other words than these reviews: int32 `(V,)`, the new id of each id."""
        if words is None or self._tokenizer is None:
            return self.num_words
        if self._tokenizer.words == words[: len(self._tokenizer.words)]:
            return self._tokenizer.vocab_size
        find = self._tokenizer.ids.get
        ids = [0, START_ID, UNKNOWN_ID, UNKNOWN_ID, *(find(word, UNKNOWN_ID) for word in words)]
        return torch.tensor(ids, dtype=torch.int32)


def id_table(table: TokenTable, rows: Any, kept: Tensor | int) -> IdTable:
    """Rows of the cache in memory, padded, with the ids that the model knows (see `_kept_ids`)."""
    ids = torch.from_numpy(table.gather(rows))
    ids = ids.masked_fill_(ids >= kept, UNKNOWN_ID) if isinstance(kept, int) else kept[ids]
    return IdTable(ids, table.targets(rows))
