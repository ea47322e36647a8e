"""Your own texts and labels, from table files or a dataset of the hub, as token ids of words or of a checkpoint."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from datamodules.base import DataModule, split_validation
from datamodules.contents.batches import Words, inspected, read_batches
from datamodules.contents.facts import Contents
from datamodules.contents.texts import Lengths, TextRows, part_of_row, with_lengths
from datamodules.errors import UserError, require_at_least, require_fraction
from datamodules.preprocessing import Preprocessing
from datamodules.spec import UNITS, DataSpec, Kind
from datamodules.storage.dialects import make_dialect
from datamodules.storage.downloads import sha256
from datamodules.storage.inputs import Skipped
from datamodules.storage.lines import file_paths
from datamodules.storage.spool import TextSpool
from datamodules.storage.table_files import suffixes
from datamodules.words.described import of_texts
from datamodules.words.prepare import WordSettings, encode, learn
from datamodules.words.records import NO_TEXT, Columns, read_texts
from datamodules.words.sources import Sources, Split
from datamodules.words.tokenizers import FIRST_WORD_ID, CheckpointTokenizer, Tokenizer, WordForm, tokenizer_from_dict
from datamodules.words.tokens import TokenTable, chunked
from datamodules.words.vocab_files import read_vocab

NUM_WORDS = 20_000
WORD_FORMS: dict[str, WordForm] = {"words": "keras", "basic_english": "basic_english"}  # by `tokenizer`
TRAIN_FILE = f"give --data.train_file with a file {suffixes()}"


class TextDataModule(DataModule):
    """Texts with classes or with sets of labels, from your own files or a dataset of the hub.

    A batch is padded to its longest text, and texts of similar length share a batch. Files may be larger than memory:
    they are read row by row, and the data cache keeps their token ids, memory-mapped. Words are ranked over the whole
    training file. Integer labels are sorted by value, names by alphabet. If `class_names` are given and none of them is
    an integer, an integer label is a position in `class_names`.

    Args:
        train_file: a table such as `.csv`, `.tsv`, `.jsonl` or `.parquet` with named columns; a folder with a folder of
            `.txt` files for each class, as `neg` and `pos`; or a list of such files.
        val_file: the same for validation; if not given, a part of the training texts.
        test_file: the same for testing.
        dataset: name of a dataset of the hub, or a folder with one, used instead of the files; needs the extra `hub`.
            Its split "validation" is used if it has one and `val_fraction` is above 0.
        text_column: name of the column with the text.
        label_column: name of the column with the label: a name, or an integer.
        label_separator: text between the labels of a row, such as ";" in "comedy;drama". If given, a row has any number
            of labels, and an empty cell means no label; JSON Lines and Parquet may have a list instead. If not given, a
            row has one class.
        class_names: the classes or labels, in order; those of the training file if not given.
        delimiter: character between the cells of `.csv` files, or "tab"; found in the header if not given, and said.
        encoding: encoding of `.csv` and `.tsv` files, such as "utf-8", "utf-16" or "cp1252"; found if not given, and
            said.
        tokenizer: "words" (Keras' rule and ids), "basic_english" (torchtext's, with "<unk>" 0 and "<pad>" 1), or the
            name of a checkpoint on the hub, or its folder.
        num_words: maximum number of ids for words that are learned from the training file, at least 5; rarer words are
            unknown.
        min_freq: words that occur fewer times in the training file are unknown, at least 1.
        vocab_file: a vocabulary of torchtext, or its words: `.json`, `.txt` (one per line), `.pt` or `.pkl`. No words
            are learned, texts are split by torchtext's rule, and ids are those of the file. "<pad>" is the padding;
            words that are not in the file become "<unk>", or the vocabulary's default index.
        max_length: number of tokens of a text that are kept, at least 1. The last words are kept, or with a
            checkpoint's tokenizer the first tokens, at most as many as the checkpoint can read.
        val_fraction: fraction of the training file that is used for validation, drawn by `seed`, 0 or more and below 1.
        batch_size: texts in a step, over all processes, at least 1.
        seed: seed of the order and the validation part; the command line passes `--seed_everything`.
        num_workers: worker processes that prepare batches, 0 or more; with 0, the training process prepares them.
        inputs: sentences to predict, or files with them: `.txt` with one per line (blank lines are left out, and a
            note names them), or a table with `text_column`; folders or patterns of such files; "-" for standard
            input, a line a text or JSON Lines; the test file if not given.

    Raises:
        UserError: a number out of its range, or a mistake in a file, with its line.
        MissingFileError: a file, dataset or checkpoint that cannot be found or downloaded.
    """

    fixed_settings: ClassVar[frozenset[str]] = frozenset({"min_freq", "num_words", "tokenizer", "vocab_file"})
    kind: ClassVar[Kind] = "tokens"
    tokenizer_setting: ClassVar[str] = "tokenizer"
    _stage: str | None = None  # stage of the last `setup`

    def __init__(
        self,
        *,
        train_file: str | list[str] | None = None,
        val_file: str | list[str] | None = None,
        test_file: str | list[str] | None = None,
        dataset: str | None = None,
        text_column: str = "text",
        label_column: str = "label",
        label_separator: str | None = None,
        class_names: list[str] | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
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
        super().__init__(batch_size=batch_size, seed=seed, num_workers=num_workers, inputs=inputs)
        if dataset and (train_file or val_file or test_file):
            raise UserError("give either dataset, or train_file, val_file and test_file")
        check_words(tokenizer, num_words, min_freq, vocab_file)
        require_at_least(1, max_length=max_length)
        require_fraction(val_fraction=val_fraction)
        check_labels(class_names, label_separator)
        if text_column == label_column:
            raise UserError(f"text_column and label_column are both {text_column!r}: name the column with the text")
        files: dict[Split, str | list[str] | None] = {"train": train_file, "val": val_file, "test": test_file}
        self.files = {split: file_paths(names) for split, names in files.items()}
        dialect = make_dialect(delimiter, encoding)
        self.dataset, self.columns = dataset, Columns(text_column, label_column, label_separator, dialect)
        self.class_names, self.tokenizer, self.vocab_file = class_names, tokenizer, vocab_file
        self.num_words, self.min_freq = num_words, min_freq
        self.max_length, self.val_fraction = max_length, val_fraction
        self._sources = Sources(self.files, dataset=dataset, columns=self.columns, use_validation=val_fraction > 0)
        self._tokenizer: Tokenizer | None = None
        self._vocab_checksum: dict[str, str] = {}
        self._classes: list[str] | None = class_names
        self._rows: dict[str, tuple[Split, Tensor | None]] = {}
        """For each part that is set up, its source, and the rows of the source; None means all of them."""

    def spec(self) -> DataSpec:
        """Reads the training file, unless class names and tokenizer are known without it. With a checkpoint's tokenizer
        and no file, the model determines the classes."""
        tokenizer, classes = (self._checkpoint_tokenizer(), None) if self._no_classes() else self._known()
        return DataSpec(
            task="classification" if self.columns.separator is None else "multilabel",
            num_classes=None if classes is None else len(classes),
            class_names=None if classes is None else list(classes),
            vocab_size=tokenizer.vocab_size,
            padding_id=tokenizer.padding_id,
            max_length=self._longest(tokenizer),
            tokenizer=self.tokenizer,
            mask_padding=True,
        )

    @property
    def has_validation(self) -> bool:
        return bool(self.files["val"]) or self.val_fraction > 0

    def prepare_data(self) -> None:
        """Fills the data cache, in one process."""
        if self.inputs is not None or not any([self.dataset, *self.files.values()]):
            return
        tokenizer, classes = self._known()
        command = self.trainer.state.fn.value if self.trainer and self.trainer.state.fn else "fit"
        for split in self._splits(command):
            if (source := self._sources.get(split)) is not None:
                encode(source, tokenizer, classes, max_length=self._cut(tokenizer))

    def setup(self, stage: str) -> None:
        self._stage = stage
        if stage == "predict" and self.inputs is not None:
            self._setup_inputs(self.inputs)
            return
        if stage == "fit" and self.train_table is None:
            self._setup_train()
        if stage == "validate" and self.val_table is None:
            self._setup_val()
        if stage in ("test", "predict") and self.test_table is None and self._sources.get("test") is not None:
            self.test_table = self._table("test")
            self._rows["test"] = "test", None
        self.predict_table = self.test_table
        if stage == "predict" and self.test_table is None:
            raise UserError("there is nothing to predict: give --inputs (sentences or files), or a test_file")

    def predict_names(self) -> Sequence[str]:
        """The texts."""
        if self.input_names is None:
            source = self._sources.get("test")
            self.input_names = TextSpool(record.text for record in source.records()) if source else TextSpool()
        return self.input_names

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        tokenizer, _ = self._known()
        return [tokenizer.decode([i]) for i in ids]

    def contents(self, spec: DataSpec) -> Contents:
        """What is in the parts that are set up, with the lengths of the texts."""
        return with_lengths(super().contents(spec), self._lengths())

    def inspect(self) -> Contents:
        self.set_up_all()
        spec, rows = self.spec(), TextRows(len(self._known()[1]))
        for split in self.files:
            parts = {name: indices for name, (source, indices) in self._rows.items() if source == split}
            if parts and (records := self._sources.get(split)) is not None:
                rows.add(records.records(), part_of_row(parts))
        tokenizer = self._known()[0]
        words = Words(tokenizer.unknown_id, (tokenizer.padding_id, *tokenizer.encode_batch([""])[0]))
        batches = {name: read_batches(table) for name, table in self.tables().items()}
        contents = inspected(batches, spec, kind=self.kind, unit=UNITS[self.kind], keys=rows.keys, words=words)
        contents = replace(contents, samples=tuple(rows.samples))
        return with_lengths(contents, {n: each._replace(place=rows.place(n)) for n, each in self._lengths().items()})

    def _lengths(self) -> dict[str, Lengths]:
        """The lengths of the texts of each part that is set up."""
        tables = {name: table for name, table in self.tables().items() if isinstance(table, TokenTable)}
        if not tables:
            return {}
        tokenizer = self._known()[0]
        fewest, cut = len(tokenizer.encode_batch([""])[0]), self._cut(tokenizer) is not None
        return {name: Lengths(t.sizes, fewest, self._longest(tokenizer), cut) for name, t in tables.items()}

    def preprocessing(self) -> Preprocessing:
        tokenizer = self._checkpoint_tokenizer() if self._no_classes() else self._known()[0]
        return of_texts(tokenizer, max_length=self._longest(tokenizer))

    def checksums(self) -> dict[str, str]:
        return {**self._vocab_checksum, **self._sources.checksums()}

    def state_dict(self) -> dict[str, Any]:
        """The tokenizer and the classes, so that a checkpoint can predict without the training file."""
        if self._tokenizer is None or self._classes is None:
            return {}
        return {"tokenizer": self._tokenizer.to_dict(), "class_names": list(self._classes)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not state_dict or state_dict == self.state_dict():
            return
        file = Path(self.vocab_file).expanduser() if self.vocab_file else None
        if file and file.is_file() and read_vocab(file).to_dict() != state_dict["tokenizer"]:
            raise UserError(f"{file} is not the vocabulary that the checkpoint was trained with: leave it out")
        self._tokenizer = tokenizer_from_dict(state_dict["tokenizer"])
        self._classes = list(state_dict["class_names"])
        self.train_table = self.val_table = self.test_table = self.predict_table = None
        if self._stage is not None:  # Lightning restores after setup
            self.setup(self._stage)

    def _splits(self, command: str) -> list[Split]:
        """The splits that a command reads: "fit" (with the test after it), "validate", "test" or "predict"."""
        if command == "fit":
            return ["train", "val", "test"]
        if command != "validate":
            return ["test"]
        return ["train" if self._sources.get("val") is None else "val"]

    def _setup_inputs(self, inputs: list[str]) -> None:
        if self.input_names is None:
            skipped, columns = Skipped(strict=self.strict_inputs), self.columns
            self.input_names = read_texts(inputs, columns.text, skipped, dialect=columns.dialect)
            skipped.report(found=any(text.strip() for text in self.input_names), nothing=NO_TEXT)
            self.num_skipped = skipped.count
        tokenizer, classes = (self._checkpoint_tokenizer(), None) if self._no_classes() else self._known()
        encode = partial(tokenizer.encode_batch, max_length=self._longest(tokenizer))
        shape = (len(self.input_names), len(classes or []))
        labels = None if self.columns.separator is None else np.broadcast_to(np.nan, shape)  # takes no memory
        chunks = map(encode, chunked(self.input_names))
        self.predict_table = TokenTable.from_chunks(chunks, labels, **self._padding(tokenizer))

    def _setup_train(self) -> None:
        table = self._table("train")
        self._rows["train"] = "train", None
        if self.val_fraction == 0 or self._sources.get("val") is not None:
            self.train_table = table
        else:
            num_val = max(1, round(len(table) * self.val_fraction))
            train, val = split_validation(len(table), num_val=num_val, seed=self.seed)
            self.train_table, self.val_table = table.subset(train), table.subset(val)
            self._rows |= {"train": ("train", train), "val": ("train", val)}
        if self._sources.get("val") is not None:
            self._setup_val()

    def _setup_val(self) -> None:
        if self._sources.get("val") is not None:
            self.val_table = self._table("val")
            self._rows["val"] = "val", None
        elif self.val_fraction > 0:
            self._setup_train()

    def _table(self, split: Split) -> TokenTable:
        source = self._sources.get(split)
        if source is None:
            raise UserError(f"there is nothing to train on: {TRAIN_FILE}")
        tokenizer, classes = self._known()
        path = encode(source, tokenizer, classes, max_length=self._cut(tokenizer))
        return TokenTable.open(path, **self._padding(tokenizer))

    def _padding(self, tokenizer: Tokenizer) -> dict[str, Any]:
        return {
            "max_length": self._longest(tokenizer),
            "padding_id": tokenizer.padding_id,
            "pad_front": tokenizer.pad_front,
            "keep_last": tokenizer.keep_last,
        }

    def _longest(self, tokenizer: Tokenizer) -> int:
        """The maximum number of tokens that are kept of a text."""
        return tokenizer.max_length(self.max_length) if isinstance(tokenizer, CheckpointTokenizer) else self.max_length

    def _cut(self, tokenizer: Tokenizer) -> int | None:
        """The maximum number of tokens in the data cache. All words are kept there. With a checkpoint's tokenizer, a
        text is cut before it is cached, because the special tokens are put around the part that is kept."""
        return self._longest(tokenizer) if isinstance(tokenizer, CheckpointTokenizer) else None

    def _known(self) -> tuple[Tokenizer, list[str]]:
        """The tokenizer and the classes: from a loaded checkpoint, from the settings, or learned from the training
        file, in this order of precedence."""
        if self.tokenizer not in WORD_FORMS:
            self._checkpoint_tokenizer()
        elif self._tokenizer is None and self.vocab_file:
            path = Path(self.vocab_file).expanduser()
            self._tokenizer = read_vocab(path)
            self._vocab_checksum = {self.vocab_file: sha256(path)}
        if self._tokenizer is not None and self._classes is not None:
            return self._tokenizer, self._classes
        source = self._sources.get("train")
        if source is None and self._tokenizer is None:
            raise UserError(f"the words are unknown: {TRAIN_FILE}, or --ckpt_path")
        if source is None:
            raise UserError(f"the classes are unknown: {TRAIN_FILE}, or --data.class_names")
        words = None
        if self._tokenizer is None:
            words = WordSettings(WORD_FORMS[self.tokenizer], self.num_words, self.min_freq)
        tokenizer, self._classes = learn(source, words=words, class_names=self._classes)
        self._tokenizer = self._tokenizer or tokenizer
        assert self._tokenizer is not None
        return self._tokenizer, self._classes

    def _checkpoint_tokenizer(self) -> Tokenizer:
        """The tokenizer of a loaded checkpoint, otherwise that of the checkpoint that `tokenizer` names."""
        if self._tokenizer is None:
            self._tokenizer = CheckpointTokenizer.from_checkpoint(self.tokenizer)
        return self._tokenizer

    def _no_classes(self) -> bool:
        """Whether the tokenizer is known, but not the classes."""
        return self._classes is None and self.tokenizer not in WORD_FORMS and self._sources.get("train") is None


def check_labels(class_names: list[str] | None, separator: str | None) -> None:
    """Checks the settings for labels.

    Raises:
        UserError: names the setting.
    """
    if class_names is not None and (len(class_names) < 2 or len(set(class_names)) < len(class_names)):
        raise UserError(f"class_names must be two or more different names, got {class_names}")
    if separator == "":
        raise UserError("label_separator must not be empty: give a text such as ';', or leave it out")


def check_words(tokenizer: str, num_words: int, min_freq: int, vocab_file: str | None) -> None:
    """Checks that the settings for words are in range, and that each of them has an effect.

    Raises:
        UserError: names the setting.
    """
    require_at_least(FIRST_WORD_ID + 1, num_words=num_words)
    require_at_least(1, min_freq=min_freq)
    pieces = tokenizer not in WORD_FORMS
    if pieces and min_freq > 1:
        raise UserError(f"min_freq is for words, but the checkpoint {tokenizer!r} has its own pieces: leave it out")
    if pieces and vocab_file:
        raise UserError(f"give either vocab_file, or the checkpoint {tokenizer!r} as tokenizer")
    if vocab_file and (num_words != NUM_WORDS or min_freq > 1):
        raise UserError(
            "num_words and min_freq are for words that are learned, but vocab_file has them: leave both out"
        )
