"""Writes a text dataset to the data cache: its words, its label names, and the token ids of its rows."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import UserError
from datamodules.storage.cache import cached_file
from datamodules.storage.progress import progress
from datamodules.words.labels import MOST_LABELS, WRONG_COLUMN, LabelNumbers, in_order, require_different
from datamodules.words.sources import Source
from datamodules.words.tokenizers import Tokenizer, WordForm, learn_words, split_words, tokenizer_from_dict
from datamodules.words.tokens import Rows, chunked, read_metadata, write_rows


class WordSettings(NamedTuple):
    """Settings for learning words; see `learn_words`."""

    form: WordForm
    num_words: int
    min_freq: int


def learn(
    source: Source, *, words: WordSettings | None, class_names: list[str] | None
) -> tuple[Tokenizer | None, list[str]]:
    """The tokenizer of the words in the rows, and the names of their classes or labels, in order.

    Args:
        source: the training rows.
        words: how words are learned; if None, words are not counted and the tokenizer is None.
        class_names: known names; if None, they are collected from the rows.

    Raises:
        UserError: a mistake in a row, or labels that cannot be classes.
    """
    settings = {**_content(source), "words": words._asdict() if words else None, "class_names": class_names}
    write = partial(_write_learned, source=source, words=words, class_names=class_names)
    learned = read_metadata(cached_file("words", settings, write))
    tokenizer = tokenizer_from_dict(learned["tokenizer"]) if words else None
    return tokenizer, learned["class_names"]


def encode(source: Source, tokenizer: Tokenizer, class_names: list[str], *, max_length: int | None) -> Path:
    """The file with the token ids and targets of all rows, in the data cache.

    Args:
        source: the rows.
        tokenizer: makes the ids.
        class_names: the classes or labels, in order.
        max_length: tokens of a text that are kept; all if None.

    Raises:
        UserError: a mistake in a row, or a label that is not among `class_names`.
    """
    fingerprint = hashlib.sha256(json.dumps(tokenizer.to_dict(), sort_keys=True).encode()).hexdigest()
    settings = {**_content(source), "tokenizer": fingerprint, "classes": class_names, "max_length": max_length}
    encode_batch: Callable[[list[str]], list[list[int]]] = partial(tokenizer.encode_batch, max_length=max_length)
    num_labels = None if source.columns.separator is None else len(class_names)

    def write(path: Path) -> None:
        write_rows(path, _encoded(source, encode_batch, class_names), metadata={}, num_labels=num_labels)

    return cached_file("text", settings, write)


def _content(source: Source) -> dict[str, Any]:
    """Values that identify the content of a source."""
    return {"files": source.checksums(), "name": source.name, "columns": list(source.columns)}


def _write_learned(path: Path, *, source: Source, words: WordSettings | None, class_names: list[str] | None) -> None:
    """Counts words and labels of all rows, and writes the tokenizer and the names."""
    counts: Counter[str] = Counter()
    labels: dict[str, str] = {}  # the first place of each, in order of appearance
    rows = 0
    for record in progress(source.records(), doing="counting words in" if words else "reading labels of", unit="texts"):
        rows += 1
        if class_names is None:
            for label in record.labels:
                labels.setdefault(label, record.place)
            if len(labels) > MOST_LABELS:
                raise UserError(f"{record.place}: more than {MOST_LABELS:,} different labels; {WRONG_COLUMN}")
        if words is not None:
            counts.update(split_words(record.text, words.form))
    names = class_names if class_names is not None else _names_of(list(labels), rows, source)
    require_different(labels, advice=", or list them in --data.class_names")
    if words is not None:
        _require_words(counts, words.min_freq, source)
    tokenizer = None if words is None else learn_words(counts, **words._asdict()).to_dict()
    write_rows(path, [], metadata={"tokenizer": tokenizer, "class_names": names})


def _require_words(counts: Counter[str], min_freq: int, source: Source) -> None:
    """Checks that there is a word that is frequent enough.

    Raises:
        UserError: there is none.
    """
    if not counts:
        raise UserError(f"{_name_of(source)}: no text has a word; --data.text_column names another column")
    word, times = counts.most_common(1)[0]
    if times < min_freq:
        often = f"the most frequent one, {word!r}, occurs {times:,} times"
        raise UserError(f"min_freq {min_freq:,} leaves no words: {often}; lower it")


def _name_of(source: Source) -> str:
    """The first file of a source, for messages."""
    return next(iter(source.checksums()), source.name)


def _names_of(labels: list[str], rows: int, source: Source) -> list[str]:
    """The names of the classes or labels, in order.

    Raises:
        UserError: there are fewer than two names, or every row has a different one.
    """
    name = _name_of(source)
    if source.columns.separator is None:
        if len(labels) == rows > 20:
            raise UserError(f"{name}: {rows} different labels in {rows} rows; {WRONG_COLUMN}")
        if len(labels) < 2:
            raise UserError(f"{name}: every label is {labels[0]!r}, expected at least two classes")
    elif len(labels) < 2:
        only = f"{labels[0]!r} is the only label" if labels else "no row has a label"
        raise UserError(f"{name}: {only}, expected at least two labels")
    return in_order(labels)


def _encoded(source: Source, encode_batch: Callable[[list[str]], list[list[int]]], names: list[str]) -> Iterator[Rows]:
    """Token ids and label numbers of all rows, in chunks."""
    numbers = LabelNumbers(names)
    for chunk in chunked(progress(source.records(), doing="tokenizing", unit="texts")):
        labels = [[numbers.of(label, record.place) for label in record.labels] for record in chunk]
        ids = encode_batch([record.text for record in chunk])
        yield ids, labels if source.columns.separator is not None else [number for (number,) in labels]
