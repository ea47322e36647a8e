"""Reads the batches of any data once, and says what can be counted in them."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.contents.counting import TargetCounts, counted
from datamodules.contents.facts import Array, Contents, Histogram, Sample, percent
from datamodules.contents.repeats import Keys, repeat_notes
from datamodules.errors import listed
from datamodules.spec import DataSpec, Kind

CHUNK = 256
"""Samples that are read at once."""
MOST_SAMPLES = 12
MOST_SIDE = 128
"""Pixels of the longer side of an image that is shown; larger ones are reduced."""
MOST_VALUES = 12
MOST_BINS = 40


class Chosen:
    """Chooses the samples that are shown: the first ones of each label.

    Args:
        num_labels: number of classes or labels; None if it is unknown.
    """

    def __init__(self, num_labels: int | None) -> None:
        self.most = max(1, MOST_SAMPLES // num_labels) if num_labels else MOST_SAMPLES
        self.counts: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether no more are shown."""
        return self.counts.total() == MOST_SAMPLES

    def takes(self, label: str) -> bool:
        """Whether a sample with this label is shown."""
        if self.full or self.counts[label] == self.most:
            return False
        self.counts[label] += 1
        return True


class Seen:
    """What the batches of one part contain.

    Args:
        name: name of the part.
        spec: what the data say of themselves.
        kind: the type of one sample; None if it is unknown.
        hashed: whether samples are compared with each other.
    """

    def __init__(self, name: str, spec: DataSpec, kind: Kind | None, *, hashed: bool) -> None:
        self.name, self.spec, self.kind, self.hashed = name, spec, kind, hashed
        self.targets = TargetCounts(spec)
        self.keys = Keys(lambda i: f"{name}[{i}]")
        self.tokens = np.zeros(spec.vocab_size or 0, dtype=np.int64)
        self.infinite = 0
        self.low: Tensor | None = None
        self.high: Tensor | None = None
        self.samples: list[Sample] = []
        self._chosen = Chosen(spec.num_classes)

    def add(self, inputs: Any, target: Any) -> None:
        """Counts a batch."""
        rows = rows_of(inputs, target)
        if isinstance(target, Tensor):
            self.targets.add(target)
        each = isinstance(target, Tensor) and target.ndim and len(target) == rows
        plain = target.tolist() if each else [None] * rows
        if self.hashed:
            for content, value in zip(contents_of(inputs, rows), plain, strict=False):
                self.keys.add(content, value)
        if isinstance(inputs, Tensor) and inputs.ndim > 1:
            self._look_at(inputs, plain)
        self.targets.rows += rows

    def _look_at(self, inputs: Tensor, targets: list[Any]) -> None:
        if inputs.is_floating_point():
            rows = inputs.flatten(1)
            finite = rows.isfinite().all(dim=1)
            self.infinite += int((~finite).sum())
            if finite.any():
                low, high = rows[finite].amin(dim=0), rows[finite].amax(dim=0)
                self.low = low if self.low is None else torch.minimum(self.low, low)
                self.high = high if self.high is None else torch.maximum(self.high, high)
        elif self.kind == "tokens":
            self.tokens += torch.bincount(inputs.flatten(), minlength=len(self.tokens)).numpy()[: len(self.tokens)]
        if self.kind in ("images", "features"):
            self._keep(inputs, targets)

    def _keep(self, inputs: Tensor, targets: list[Any]) -> None:
        """Keeps the first samples of each class."""
        for i, target in enumerate(targets):
            if self._chosen.full:
                return
            label = answer(self.spec, target)
            if self._chosen.takes(label):
                place = f"{self.name}[{self.targets.rows + i}]"
                self.samples.append(shown(inputs[i], label, place, self.kind))

    def notes(self, unit: str) -> list[str]:
        """What may be a mistake."""
        notes = []
        if self.infinite:
            total = f"{self.targets.rows:,} {self.name} {unit}"
            notes.append(f"{self.infinite:,} of {total} have numbers that are NaN or infinite")
        if self.kind == "features" and self.low is not None and self.high is not None:
            constant = torch.nonzero(self.low == self.high).flatten().tolist()
            if constant:
                inputs = listed(list(map(str, constant)))
                notes.append(f"inputs with the same number in each of the {self.name} {unit}: {inputs}")
        return notes


def rows_of(inputs: Any, target: Any) -> int:
    """The number of samples in a batch."""
    for part in (*(inputs.values() if isinstance(inputs, Mapping) else [inputs]), target):
        if isinstance(part, Tensor) and part.ndim:
            return len(part)
    return 0


def contents_of(inputs: Any, rows: int) -> Iterator[bytes]:
    """The bytes of each sample of a batch; nothing if the samples are not tensors."""
    parts = [inputs[name] for name in sorted(inputs, key=str)] if isinstance(inputs, Mapping) else [inputs]
    if not all(isinstance(part, Tensor) and len(part) == rows for part in parts):
        return iter([])
    wide = [part.detach().cpu().reshape(rows, math.prod(part.shape[1:])).contiguous() for part in parts]
    arrays = [part.view(torch.uint8).numpy() for part in wide]  # (rows, bytes)
    return (b"".join(array[i].tobytes() for array in arrays) for i in range(rows))


def answer(spec: DataSpec, target: Any) -> str:
    """A target in words."""
    if spec.task == "classification" and isinstance(target, int):
        names = spec.class_names or []
        return names[target] if 0 <= target < len(names) else str(target)
    if not isinstance(target, list):
        return "" if target is None else f"{target:g}"
    if spec.task == "multilabel":
        names = spec.class_names or list(map(str, range(len(target))))
        return ", ".join(name for name, has in zip(names, target, strict=False) if has == 1) or "no label"
    return ", ".join(f"{number:.4g}" for number in target)


def shown(inputs: Tensor, label: str, place: str, kind: Kind | None) -> Sample:
    """An image as a picture, and other numbers as a text."""
    if kind == "images" and inputs.ndim == 3 and inputs.shape[0] in (1, 3):
        return Sample(label, place, pixels=picture((inputs.float().clamp(0, 1) * 255).round().to(torch.uint8)))
    values = inputs.flatten().tolist()
    more = " …" if len(values) > MOST_VALUES else ""
    return Sample(label, place, ", ".join(f"{value:.4g}" for value in values[:MOST_VALUES]) + more)


def picture(pixels: Tensor) -> Array:
    """An image uint8 `(C, H, W)`, reduced to at most `MOST_SIDE`, as uint8 `(H, W)` or `(H, W, 3)`."""
    longest = max(pixels.shape[1:])
    if longest > MOST_SIDE:
        size = [max(1, round(side * MOST_SIDE / longest)) for side in pixels.shape[1:]]
        resized = torch.nn.functional.interpolate(pixels[None].float(), size=size, mode="area")[0]
        pixels = resized.round().to(torch.uint8)
    array = pixels.permute(1, 2, 0).numpy()  # (H, W, C)
    return np.ascontiguousarray(array[..., 0] if array.shape[2] == 1 else array)


def read_batches(table: Any) -> Iterator[tuple[Any, Tensor]]:
    """The batches of a table, in its order."""
    for indices in torch.split(torch.arange(len(table)), CHUNK):
        yield table[indices]


def histogram(title: str, numbers: Array, *, limit: float | None = None, limit_name: str = "") -> Histogram:
    """How often whole numbers occur, in at most `MOST_BINS` bins.

    If a few numbers are much larger than the others, they are in the last bin. A limit far above all numbers is left
    out.
    """
    low, high, usual = int(numbers.min()), int(numbers.max()), float(np.quantile(numbers, 0.99))
    top = high if high <= 2 * usual else int(usual)
    if limit is not None and limit <= 1.5 * top:
        top = max(top, int(limit))
    else:
        limit = None
    width = -(-(top + 1 - low) // MOST_BINS)
    edges = np.arange(low, top + width + 1, width)
    counts, _ = np.histogram(np.minimum(numbers, top), edges)
    return Histogram(title, counts, edges, limit, limit_name, clipped=top < high)


class Words(NamedTuple):
    """Token ids with a meaning.

    Args:
        unknown: the id of unknown words; None if the vocabulary has no such id.
        others: ids that do not stand for words, such as padding.
    """

    unknown: int | None
    others: tuple[int, ...]


def inspected(
    parts: Mapping[str, Iterable[tuple[Any, Any]]],
    spec: DataSpec,
    *,
    kind: Kind | None,
    unit: str,
    keys: Mapping[str, Keys] | None = None,
    words: Words | None = None,
) -> Contents:
    """What is in the batches of each part.

    Args:
        parts: the batches, by the name of the part.
        spec: what the data say of themselves.
        kind: the type of one sample; None if it is unknown.
        unit: the samples in words.
        keys: hashes and places of the samples; those of their tensors if None.
        words: the token ids of unknown words and of padding; None if there are none.
    """
    seen = {name: Seen(name, spec, kind, hashed=keys is None) for name in parts}
    for name, batches in parts.items():
        for inputs, target in batches:
            seen[name].add(inputs, target)
    contents = counted(spec, {name: each.targets for name, each in seen.items()}, unit=unit)
    repeats = repeat_notes(keys or {name: each.keys for name, each in seen.items()}, unit=unit)
    notes = [*contents.notes, *repeats, *(note for each in seen.values() for note in each.notes(unit))]
    facts = [*contents.facts, *(_unknown(seen, words) if words is not None and words.unknown is not None else [])]
    return replace(contents, notes=tuple(notes), facts=tuple(facts), samples=joined_samples(seen.values()))


def _unknown(seen: Mapping[str, Seen], words: Words) -> list[tuple[str, str]]:
    """The share of unknown words in each part."""
    shares = []
    for name, each in seen.items():
        total = int(each.tokens.sum()) - sum(int(each.tokens[i]) for i in words.others)
        if total:
            shares.append(f"{percent(int(each.tokens[words.unknown]) / total)} of {name}")
    return [("unknown words", ", ".join(shares))] if shares else []


def joined_samples(seen: Iterable[Seen]) -> tuple[Sample, ...]:
    """The samples of the first part that has some."""
    return next((tuple(each.samples) for each in seen if each.samples), ())
