"""Your own texts and labels: CSV, TSV, JSON Lines, Parquet, or a dataset of the hub; words or a checkpoint's pieces."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from datamodules.base import DataModule, split_validation
from datamodules.records import read_texts
from datamodules.sources import sha256
from datamodules.text_sources import FileSource, Source, hub_source, hub_splits
from datamodules.tokenizers import (
    FIRST_WORD_ID,
    CheckpointTokenizer,
    Tokenizer,
    WordForm,
    learn_words,
    split_words,
    tokenizer_from_dict,
)
from datamodules.tokens import Rows, TokenTable, cached_file, chunked, progress, read_metadata, write_rows
from datamodules.vocab_files import read_vocab

MOST_CLASSES = 1000
NUM_WORDS = 20_000
WORD_FORMS: dict[str, WordForm] = {"words": "keras", "basic_english": "basic_english"}  # by `tokenizer`


class TextDataModule(DataModule):
    """Texts of any number of classes, from your own files or a dataset of the hub.

    A batch is padded to its longest text, and texts of like length share a batch. Files may be larger than memory: they
    are read row by row, and the data cache keeps their token ids, memory-mapped. Words are ranked over the whole
    training file. Integer labels sort by number, names by alphabet; where `class_names` are given and labels are
    integers, they are places in `class_names`.

    Args:
        train_file: `.csv`, `.tsv`, `.jsonl` (`.ndjson`) or `.parquet`, with a header or names of columns.
        val_file: the same for validation; drawn from the training file when not given.
        test_file: the same for testing.
        dataset: name of a dataset of the hub, or a folder of one, in place of the files; needs the extra `hub`. Its
            split "validation" is used if it has one and `val_fraction` is above 0.
        text_column: name of the column with the text.
        label_column: name of the column with the class, a name or an integer from 0.
        class_names: the classes and their order; those of the training file when not given.
        tokenizer: "words" (Keras' rule and ids), "basic_english" (torchtext's, with "<unk>" 0 and "<pad>" 1), or a
            checkpoint's hub name or folder.
        num_words: most ids of words that are learnt from the training file; rarer words are unknown. At least 5.
        min_freq: a word that stands fewer times in the training file is unknown. At least 1.
        vocab_file: a vocabulary of torchtext, or its words, `.json`, `.txt` (one a line), `.pt` or `.pkl`: no words are
            learnt, texts are split by torchtext's rule, and ids are those of the file. "<pad>" pads; "<unk>", or the
            vocabulary's default index, is any word that is not in it.
        max_length: tokens of a text that are kept, at least 1: the last words, or a checkpoint's first pieces, as many
            as it can take.
        val_fraction: fraction of the training file that validates, drawn by `seed`, 0 to below 1.
        batch_size: texts in a step, over all processes, at least 1.
        seed: of the order and the validation part; the command line passes `--seed_everything`.
        num_workers: processes that prepare batches beside the training process.
        inputs: sentences to predict, or files: `.txt` one a line (blank ones are left out, and a note says which), or
            a table with `text_column`; the test file when not given.

    Raises:
        ValueError: a number out of its range, or a mistake in a file, with its line.
        FileNotFoundError: a file, dataset or checkpoint that cannot be had.
    """

    kind: ClassVar[str] = "tokens"
    _texts: list[str] | None = None
    _stage: str | None = None  # that tables were last set up for

    def __init__(
        self,
        *,
        train_file: str | None = None,
        val_file: str | None = None,
        test_file: str | None = None,
        dataset: str | None = None,
        text_column: str = "text",
        label_column: str = "label",
        class_names: list[str] | None = None,
        tokenizer: str = "words",
        num_words: int = NUM_WORDS,
        min_freq: int = 1,
        vocab_file: str | None = None,
        max_length: int = 256,
        val_fraction: float = 0.1,
        batch_size: int = 32,
        seed: int = 0,
        num_workers: int = 0,
        inputs: str | list[str] | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers)
        if dataset and (train_file or val_file or test_file):
            raise ValueError("give either dataset, or train_file, val_file and test_file")
        check_words(tokenizer, num_words, min_freq, vocab_file)
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        if not 0 <= val_fraction < 1:
            raise ValueError(f"val_fraction is a fraction of the training file, 0 to below 1, got {val_fraction}")
        if class_names is not None and (len(class_names) < 2 or len(set(class_names)) < len(class_names)):
            raise ValueError(f"class_names must be two or more different names, got {class_names}")
        self.files = {"train": train_file, "val": val_file, "test": test_file}
        self.dataset, self.text_column, self.label_column = dataset, text_column, label_column
        self.class_names, self.tokenizer, self.vocab_file = class_names, tokenizer, vocab_file
        self.num_words, self.min_freq = num_words, min_freq
        self.max_length, self.val_fraction = max_length, val_fraction
        self.inputs = [inputs] if isinstance(inputs, str) else inputs
        self._tokenizer: Tokenizer | None = None
        self._vocab_checksum: dict[str, str] = {}
        self._classes: list[str] | None = class_names
        self._sources: dict[str, Source | None] = {}
        self._splits_of_hub: Any = None

    def model_args(self) -> dict[str, Any]:
        """Reads the training file, unless class names and the tokenizer are known without it. With a checkpoint's
        tokenizer and no file at all, the classes are left to the model."""
        tokenizer, classes = (self._checkpoint_tokenizer(), None) if self._no_classes() else self._known()
        longest = self._longest(tokenizer)
        named = {} if classes is None else {"num_classes": len(classes), "class_names": list(classes)}
        return {
            **named,
            "vocab_size": tokenizer.vocab_size,
            "padding_id": tokenizer.padding_id,
            "max_length": longest,
            "mask_padding": True,
            "tokenizer": self.tokenizer,
        }

    @property
    def has_validation(self) -> bool:
        return self.files["val"] is not None or self.val_fraction > 0

    def prepare_data(self) -> None:
        """Fills the data cache, in one process."""
        if self.inputs is not None or not any([self.dataset, *self.files.values()]):
            return
        tokenizer, classes = self._known()
        doing = self.trainer.state.fn.value if self.trainer and self.trainer.state.fn else "fit"
        for split in self._splits(doing):
            if (source := self._source(split)) is not None:
                self._encoded(source, tokenizer, classes)

    def setup(self, stage: str) -> None:
        self._stage = stage
        if stage == "predict" and self.inputs is not None:
            self._setup_inputs(self.inputs)
            return
        if stage == "fit" and self.train_table is None:
            self._setup_train()
        if stage == "validate" and self.val_table is None:
            self._setup_val()
        if stage in ("test", "predict") and self.test_table is None and self._source("test") is not None:
            self.test_table = self._table("test")
        self.predict_table = self.test_table
        if stage == "predict" and self.test_table is None:
            raise ValueError("nothing to predict: give --data.inputs (sentences or files), or a test_file")

    def predict_names(self) -> list[str]:
        """The texts."""
        if self._texts is None:
            source = self._source("test")
            self._texts = [record.text for record in source.records()] if source else []
        return self._texts

    def checksums(self) -> dict[str, str]:
        found = dict(self._vocab_checksum)
        for split in self.files:
            if (source := self._sources.get(split)) is not None:
                found |= source.checksums()
        return found

    def state_dict(self) -> dict[str, Any]:
        """The tokenizer and the classes, so that a checkpoint predicts without the training file."""
        if self._tokenizer is None or self._classes is None:
            return {}
        return {"tokenizer": self._tokenizer.to_dict(), "class_names": list(self._classes)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not state_dict or state_dict == self.state_dict():
            return
        file = Path(self.vocab_file).expanduser() if self.vocab_file else None
        if file and file.is_file() and read_vocab(file).to_dict() != state_dict["tokenizer"]:
            raise ValueError(f"{file} is not the vocabulary that the checkpoint was trained with: leave it out")
        self._tokenizer = tokenizer_from_dict(state_dict["tokenizer"])
        self._classes = list(state_dict["class_names"])
        self.train_table = self.val_table = self.test_table = self.predict_table = None
        if self._stage is not None:  # Lightning restores after setup
            self.setup(self._stage)

    def _splits(self, doing: str) -> list[str]:
        """The splits that "fit" (with the test that follows), "validate", "test" or "predict" reads."""
        if doing == "fit":
            return ["train", "val", "test"]
        drawn = self._source("val") is None
        return ["test"] if doing != "validate" else ["train"] if drawn else ["val"]

    def _setup_inputs(self, inputs: list[str]) -> None:
        self._texts = read_texts(inputs, text_column=self.text_column)
        tokenizer = self._checkpoint_tokenizer() if self._no_classes() else self._known()[0]
        longest = self._longest(tokenizer)
        rows = tokenizer.encode_batch(self._texts, max_length=longest)
        self.predict_table = TokenTable.from_rows(rows, **self._padding(tokenizer))

    def _setup_train(self) -> None:
        table = self._table("train")
        if self.val_fraction == 0 or self._source("val") is not None:
            self.train_table = table
        else:
            num_val = max(1, round(len(table) * self.val_fraction))
            train, val = split_validation(len(table), num_val=num_val, seed=self.seed)
            self.train_table, self.val_table = table.subset(train), table.subset(val)
        if self._source("val") is not None:
            self._setup_val()

    def _setup_val(self) -> None:
        if self._source("val") is not None:
            self.val_table = self._table("val")
        elif self.val_fraction > 0:
            self._setup_train()

    def _table(self, split: str) -> TokenTable:
        source = self._source(split)
        if source is None:
            raise ValueError("nothing to train on: give --data.train_file my.csv (or .tsv, .jsonl, .parquet)")
        tokenizer, classes = self._known()
        return TokenTable.open(self._encoded(source, tokenizer, classes), **self._padding(tokenizer))

    def _padding(self, tokenizer: Tokenizer) -> dict[str, Any]:
        return {
            "max_length": self._longest(tokenizer),
            "padding_id": tokenizer.padding_id,
            "pad_front": tokenizer.pad_front,
            "keep_last": tokenizer.keep_last,
        }

    def _longest(self, tokenizer: Tokenizer) -> int:
        """Tokens that are kept of a text."""
        return tokenizer.max_length(self.max_length) if isinstance(tokenizer, CheckpointTokenizer) else self.max_length

    def _source(self, split: str) -> Source | None:
        """The rows of "train", "val" or "test", if there are any."""
        if split not in self._sources:
            file, columns = self.files[split], (self.text_column, self.label_column)
            if self.dataset and (split != "val" or self.val_fraction > 0):
                self._splits_of_hub = self._splits_of_hub or hub_splits(self.dataset)
                self._sources[split] = hub_source(self._splits_of_hub, self.dataset, split, *columns)
            else:
                self._sources[split] = FileSource(Path(file).expanduser(), *columns) if file else None
        return self._sources[split]

    def _known(self) -> tuple[Tokenizer, list[str]]:
        """Tokenizer and classes: of a loaded checkpoint, as given, or learnt from the training file, in this order."""
        if self.tokenizer not in WORD_FORMS:
            self._checkpoint_tokenizer()
        elif self._tokenizer is None and self.vocab_file:
            path = Path(self.vocab_file).expanduser()
            self._tokenizer = read_vocab(path)
            self._vocab_checksum = {self.vocab_file: sha256(path)}
        if self._tokenizer is not None and self._classes is not None:
            return self._tokenizer, self._classes
        source, words = self._source("train"), self._tokenizer is None
        if source is None:
            lacks = "the words are those of a training file" if words else "the classes are not known"
            other = "--ckpt_path" if words else "--data.class_names"
            raise ValueError(f"{lacks}: give --data.train_file my.csv (or .tsv, .jsonl, .parquet), or {other}")
        learnt = self._learnt(source, WORD_FORMS[self.tokenizer] if words else None)
        self._tokenizer = self._tokenizer or tokenizer_from_dict(learnt["tokenizer"])
        self._classes = self._classes or learnt["class_names"]
        return self._tokenizer, self._classes

    def _checkpoint_tokenizer(self) -> Tokenizer:
        """The tokenizer of a loaded state, or else of the checkpoint that `tokenizer` names."""
        if self._tokenizer is None:
            self._tokenizer = CheckpointTokenizer.from_checkpoint(self.tokenizer)
        return self._tokenizer

    def _no_classes(self) -> bool:
        """Whether nothing says the classes, while the tokens are known all the same."""
        return self._classes is None and self.tokenizer not in WORD_FORMS and self._source("train") is None

    def _learnt(self, source: Source, form: WordForm | None) -> dict[str, Any]:
        """Words and classes of the training file, from the data cache if they were counted before."""
        words = {"form": form, "num_words": self.num_words, "min_freq": self.min_freq} if form else None
        settings = {**self._content(source), "words": words, "class_names": self._classes}
        return read_metadata(
            cached_file("words", settings, partial(write_learnt, source=source, words=words, given=self._classes))
        )

    def _encoded(self, source: Source, tokenizer: Tokenizer, classes: list[str]) -> Path:
        """The file of token ids of `source` in the data cache, made if it is not there."""
        longest = self._longest(tokenizer) if isinstance(tokenizer, CheckpointTokenizer) else None  # words stay uncut
        fingerprint = hashlib.sha256(json.dumps(tokenizer.to_dict(), sort_keys=True).encode()).hexdigest()
        settings = {**self._content(source), "tokenizer": fingerprint, "classes": classes, "max_length": longest}
        encode: Callable[[list[str]], list[list[int]]] = partial(tokenizer.encode_batch, max_length=longest)

        def build(path: Path) -> None:
            write_rows(path, encoded_rows(source, encode, classes), metadata={})

        return cached_file("text", settings, build)

    def _content(self, source: Source) -> dict[str, Any]:
        return {"files": source.checksums(), "name": source.name, "columns": [self.text_column, self.label_column]}


def check_words(tokenizer: str, num_words: int, min_freq: int, vocab_file: str | None) -> None:
    """Refuses settings of words that are out of range, or that nothing would read.

    Raises:
        ValueError: names the setting.
    """
    if num_words <= FIRST_WORD_ID:
        raise ValueError(f"num_words must be at least {FIRST_WORD_ID + 1}, got {num_words}")
    if min_freq < 1:
        raise ValueError(f"min_freq must be at least 1, got {min_freq}")
    pieces = tokenizer not in WORD_FORMS
    if pieces and min_freq > 1:
        raise ValueError(f"min_freq is for words, and the checkpoint {tokenizer!r} has its own pieces: leave it out")
    if pieces and vocab_file:
        raise ValueError(f"give either vocab_file, or the checkpoint {tokenizer!r} as tokenizer")
    if vocab_file and (num_words != NUM_WORDS or min_freq > 1):
        raise ValueError(
            "num_words and min_freq are for words that are learnt, and vocab_file has them: leave them out"
        )


def write_learnt(path: Path, *, source: Source, words: dict[str, Any] | None, given: list[str] | None) -> None:
    """Counts words and labels of all rows, and writes the tokenizer that `learn_words` makes of them with the settings
    `words`, and the classes. Words are not counted where `words` is None, nor labels where classes are given.

    Raises:
        ValueError: a mistake in a row, or labels that are no classes.
    """
    counts: Counter[str] = Counter()
    labels: dict[str, None] = {}
    rows = 0
    for record in progress(source.records(), doing="counting words in" if words else "reading labels of", unit="texts"):
        rows += 1
        if given is None and record.label not in labels:
            labels[record.label] = None
            if len(labels) > MOST_CLASSES:
                raise ValueError(f"{record.place}: more than {MOST_CLASSES:,} different labels; {NO_LABEL}")
        if words is not None:
            counts.update(split_words(record.text, words["form"]))
    classes = given if given is not None else as_classes(list(labels), rows, source)
    tokenizer = None if words is None else learn_words(counts, **words).to_dict()
    write_rows(path, [], metadata={"tokenizer": tokenizer, "class_names": classes})


NO_LABEL = "the column looks like no label; name the right one by --data.label_column"


def as_classes(labels: list[str], count: int, source: Source) -> list[str]:
    """The classes in order: integers by number, names by alphabet."""
    name = next(iter(source.checksums()), source.name)
    if len(labels) == count > 20:
        raise ValueError(f"{name}: {count} different labels in {count} rows; {NO_LABEL}")
    if len(labels) < 2:
        raise ValueError(f"{name}: every label is {labels[0]!r}, expected at least two classes")
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)


def encoded_rows(source: Source, encode: Callable[[list[str]], list[list[int]]], classes: list[str]) -> Iterator[Rows]:
    """Ids and class numbers of all rows, in chunks.

    Raises:
        ValueError: a label that is not among the classes.
    """
    numbers = {name: i for i, name in enumerate(classes)}
    if not any(name.isdecimal() for name in classes):
        numbers |= {str(i): i for i in range(len(classes))}
    for chunk in chunked(progress(source.records(), doing="tokenising", unit="texts")):
        for record in chunk:
            if record.label not in numbers:
                shown = ", ".join(classes[:10]) + (", …" if len(classes) > 10 else "")
                raise ValueError(
                    f"{record.place}: the label {record.label!r} is not among the {len(classes)} classes {shown}"
                )
        yield encode([record.text for record in chunk]), [numbers[record.label] for record in chunk]
