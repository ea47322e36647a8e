"""Texts: their lengths, those without words, and their places in the files."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from datamodules.contents.batches import Chosen, histogram
from datamodules.contents.facts import Array, Contents, Sample, percent
from datamodules.contents.repeats import Keys
from datamodules.errors import listed
from datamodules.storage.progress import progress
from datamodules.storage.spool import TextSpool
from datamodules.words.records import Record

MOST_LETTERS = 300
"""Letters of a text that is shown."""


class Lengths(NamedTuple):
    """The lengths of the texts of one part.

    Args:
        tokens: tokens of each text, int64 `(N,)`.
        fewest: tokens of a text without words, such as a start token.
        most: tokens that are kept of a text.
        cut: whether `tokens` counts the tokens that are kept only.
        place: the place of a text by its position; None if places are not named.
    """

    tokens: Array
    fewest: int
    most: int
    cut: bool = False
    place: Callable[[int], str] | None = None


def with_lengths(contents: Contents, parts: Mapping[str, Lengths]) -> Contents:
    """Adds how long the training texts are, how many of them are cut, and which texts have no words."""
    notes = []
    for name, lengths in parts.items():
        empty = np.flatnonzero(lengths.tokens <= lengths.fewest)
        if len(empty):
            place = lengths.place
            where = "data-check lists them" if place is None else listed([place(i) for i in empty.tolist()])
            notes.append(f"{len(empty):,} of {len(lengths.tokens):,} {name} texts have no words ({where})")
    contents = replace(contents, notes=(*contents.notes, *notes))
    train = parts.get("train")
    if train is None or not len(train.tokens):
        return contents
    long = train.tokens >= train.most if train.cut else train.tokens > train.most
    share = f"{percent(long.mean())} {'reach' if train.cut else 'are longer than'} max_length {train.most:,}"
    longest = "" if train.cut else f", longest {train.tokens.max():,}"
    fact = ("tokens of a training text", f"median {np.median(train.tokens):,.0f}{longest}; {share}")
    bars = histogram("tokens of a training text", train.tokens, limit=train.most, limit_name="max_length")
    return replace(contents, facts=(*contents.facts, fact), histograms=(*contents.histograms, bars))


class TextRows:
    """The texts of all parts: their hashes and places, and some of them to look at.

    Args:
        num_labels: number of classes or labels.
    """

    def __init__(self, num_labels: int | None) -> None:
        self.keys: dict[str, Keys] = {}
        self.samples: list[Sample] = []
        self._places: dict[str, TextSpool] = {}
        self._chosen = Chosen(num_labels)

    def add(self, records: Iterable[Record], part_of: Callable[[int], str]) -> None:
        """Reads the rows of a source.

        Args:
            records: the rows.
            part_of: the part of a row by its position.
        """
        for position, record in enumerate(progress(records, doing="reading", unit="texts")):
            part, label = part_of(position), ", ".join(record.labels) or "no label"
            if part not in self.keys:
                self._places[part] = TextSpool()
                self.keys[part] = Keys(self._places[part].__getitem__)
            self._places[part].append(record.place)
            text = record.text.strip() or f"\0{position}"  # texts without a word do not repeat each other
            self.keys[part].add(text.encode(), record.labels)
            if part == "train" and record.text.strip() and self._chosen.takes(label):
                self.samples.append(Sample(label, record.place, shortened(record.text)))

    def place(self, part: str) -> Callable[[int], str]:
        """The place of a text of a part by its position."""
        return self.keys[part].place


def shortened(text: str) -> str:
    """The beginning of a text."""
    text = " ".join(text.split())
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def part_of_row(parts: Mapping[str, Tensor | None]) -> Callable[[int], str]:
    """The part of each row of a source.

    Args:
        parts: the rows of each part, int64; None if the part has all of them.
    """
    whole = next((name for name, rows in parts.items() if rows is None), None)
    if whole is not None:
        return lambda position: whole
    drawn = {name: rows for name, rows in parts.items() if rows is not None}
    owner = np.zeros(sum(map(len, drawn.values())), dtype=np.int8)
    for number, rows in enumerate(drawn.values()):
        owner[rows.numpy()] = number
    names = list(drawn)
    return lambda position: names[owner[position]]
