"""Samples that occur twice: in one part, or in the training part and in another one.

A sample is compared by a hash of 64 bits of its content. Among ten million samples, two different ones have the same
hash with a probability of three in a million.
"""

from array import array
from collections.abc import Callable, Mapping
from hashlib import blake2b

import numpy as np

from datamodules.contents.facts import Array
from datamodules.errors import SHOWN


class Keys:
    """The hashes of the samples of one part, with their places and targets.

    Args:
        place: the place of a sample by its position in the part.
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self.place = place
        self._keys = array("Q")
        self.targets: list[object] = []

    def add(self, content: bytes, target: object = None) -> None:
        """Adds a sample.

        Args:
            content: everything that distinguishes it.
            target: its target, which can be compared.
        """
        self._keys.append(int.from_bytes(blake2b(content, digest_size=8).digest(), "little"))
        self.targets.append(target)

    @property
    def keys(self) -> Array:
        """uint64 `(N,)`."""
        return np.frombuffer(self._keys, dtype=np.uint64) if self._keys else np.empty(0, dtype=np.uint64)


def repeat_notes(parts: Mapping[str, Keys], *, unit: str) -> list[str]:
    """A note about each part with samples that occur twice, and about each part with samples of the training part.

    Args:
        parts: the samples of each part, by name.
        unit: the samples in words.
    """
    notes = []
    for name, keys in parts.items():
        rows, firsts = repeated(keys.keys)
        if len(rows):
            pairs = _pairs(rows, firsts, keys, keys)
            text = f"{len(rows):,} of {len(keys.keys):,} {name} {unit} repeat an earlier one ({pairs})"
            notes.append(text + _contradictions(rows, firsts, keys, keys))
    train = parts.get("train")
    for name, keys in parts.items():
        if train is None or name == "train":
            continue
        rows, firsts = shared(keys.keys, train.keys)
        if len(rows):
            pairs = _pairs(rows, firsts, keys, train)
            text = f"{len(rows):,} of {len(keys.keys):,} {name} {unit} are training {unit}, too ({pairs})"
            notes.append(text + _contradictions(rows, firsts, keys, train))
    return notes


def repeated(keys: Array) -> tuple[Array, Array]:
    """The positions of samples that occurred before, and the first position of each, both int64."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    firsts = first[inverse]
    rows = np.flatnonzero(firsts != np.arange(len(keys)))
    return rows, firsts[rows]


def shared(keys: Array, others: Array) -> tuple[Array, Array]:
    """The positions in `keys` of samples that are among `others`, and the first position of each there, both int64."""
    known, first = np.unique(others, return_index=True)
    rows = np.flatnonzero(np.isin(keys, known))
    return rows, first[np.searchsorted(known, keys[rows])]


def _pairs(rows: Array, firsts: Array, keys: Keys, others: Keys) -> str:
    """The places of the first pairs."""
    pairs = zip(rows[:SHOWN].tolist(), firsts[:SHOWN].tolist(), strict=True)
    return ", ".join(f"{keys.place(i)} = {others.place(j)}" for i, j in pairs) + (", …" if len(rows) > SHOWN else "")


def _contradictions(rows: Array, firsts: Array, keys: Keys, others: Keys) -> str:
    """Says how many of the samples have another target than the first one."""
    pairs = list(zip(rows.tolist(), firsts.tolist(), strict=True))
    differing = [i for i, j in pairs if keys.targets[i] != others.targets[j]]
    if not differing:
        return ""
    return f"; {len(differing):,} of them with another target, as {keys.place(differing[0])}"
