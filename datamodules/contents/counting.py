"""Counts the samples and the targets of each part, and what a constant answer scores."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from datamodules.contents.facts import Array, Contents, Guess, Part
from datamodules.errors import listed
from datamodules.spec import DataSpec

MOST_CLASSES = 10_000
CHUNK = 100_000
"""Samples whose targets are in memory at once."""


@runtime_checkable
class HasTargets(Protocol):
    """A table that gives its targets without its inputs."""

    def __len__(self) -> int: ...

    def targets_of(self, indices: Tensor) -> Tensor:
        """The targets of the samples `indices`, int64 `(B,)`."""
        ...


class TargetCounts:
    """The targets of one part.

    Args:
        spec: what the data say of their targets.
        rows: number of samples.
    """

    def __init__(self, spec: DataSpec, rows: int = 0) -> None:
        self.spec, self.rows = spec, rows
        self.counts: Array | None = None
        self.known = 0
        self.numbers: list[Array] = []
        """Targets that are numbers, each float `(n, D)`."""

    def add(self, target: Tensor) -> None:
        """Counts the targets of some samples, as `DataModule` documents them."""
        if self.spec.task == "classification" and target.dtype == torch.int64 and target.ndim == 1:
            known = target[target >= 0]
            if len(known) and int(known.max()) >= max(MOST_CLASSES, self.spec.num_classes or 0):
                return  # too many different numbers to be classes
            self._add_counts(torch.bincount(known, minlength=self.spec.num_classes or 0).numpy(), len(known))
        elif self.spec.task == "multilabel" and target.is_floating_point() and target.ndim == 2:
            known = target[~target.isnan().any(dim=1)]
            self._add_counts((known == 1).sum(dim=0).numpy(), len(known))
        elif self.spec.task == "regression" and target.is_floating_point() and target.ndim == 2:
            known = target[target.isfinite().all(dim=1)]
            self.numbers.append(known.double().numpy())
            self.known += len(known)

    def _add_counts(self, counts: Array, known: int) -> None:
        size = max(len(counts), 0 if self.counts is None else len(self.counts))
        before = np.zeros(0, dtype=np.int64) if self.counts is None else self.counts
        self.counts = np.pad(before, (0, size - len(before))) + np.pad(counts, (0, size - len(counts)))
        self.known += known


def targets_of(table: Any, spec: DataSpec) -> TargetCounts:
    """The targets of a table. Of a table that has none apart from its inputs, only the rows are counted."""
    counts = TargetCounts(spec, len(table))
    if isinstance(table, HasTargets):
        for indices in torch.split(torch.arange(len(table)), CHUNK):
            counts.add(table.targets_of(indices))
    return counts


def counted(spec: DataSpec, targets: Mapping[str, TargetCounts], *, unit: str) -> Contents:
    """The parts with their classes or labels, and what a constant answer scores.

    Args:
        spec: what the data say of their targets.
        targets: the targets of each part, by name.
        unit: the samples in words.
    """
    parts = tuple(Part(name, each.rows, each.counts) for name, each in targets.items())
    names = tuple(spec.target_names or () if spec.task == "regression" else spec.class_names or ())
    most = max((len(part.counts) for part in parts if part.counts is not None), default=0)
    if spec.task != "regression" and len(names) < most:
        names = tuple(map(str, range(most)))
    contents = Contents(unit=unit, task=spec.task, names=names, parts=parts, notes=_absent(parts, names))
    return with_guess(contents, targets)


def _absent(parts: Iterable[Part], names: tuple[str, ...]) -> tuple[str, ...]:
    """A note about classes that no training sample has."""
    train = next((part for part in parts if part.name == "train" and part.counts is not None), None)
    if train is None or train.counts is None or not train.counts.any():
        return ()
    absent = [name for name, count in zip(names, train.counts.tolist(), strict=False) if not count]
    return (f"no training sample has the label {listed(absent)}",) if absent else ()


def with_guess(contents: Contents, targets: Mapping[str, TargetCounts]) -> Contents:
    """Adds what a constant answer scores, the best one for the training part."""
    train = targets.get("train")
    if train is None or not train.known:
        return contents
    known = {name: each for name, each in targets.items() if each.known}
    if contents.task == "regression":
        return _with_median(contents, {name: np.concatenate(each.numbers) for name, each in known.items()})
    assert train.counts is not None, "classes and labels are counted"
    if contents.task == "classification":
        best = int(train.counts.argmax())
        scores = {n: _at(each.counts, best) / each.known for n, each in known.items()}
        return replace(contents, guess=Guess(contents.names[best], "acc", scores))
    often = train.counts * 2 > train.known  # (L,)
    scores = {}
    for name, each in known.items():
        assert each.counts is not None, "labels are counted"
        scores[name] = float(np.where(often, each.counts, each.known - each.counts).mean() / each.known)
    chosen = [label for label, has in zip(contents.names, often.tolist(), strict=False) if has]
    return replace(contents, guess=Guess(listed(chosen) or "no label", "acc", scores))


def _with_median(contents: Contents, numbers: Mapping[str, Array]) -> Contents:
    """Adds the ranges of the numbers, and the error of their median."""
    train = numbers["train"]
    middle = np.median(train, axis=0)
    scores = {name: float(np.abs(each - middle).mean()) for name, each in numbers.items()}
    shown = ", ".join(f"{value:.4g}" for value in middle.tolist())
    ranges = tuple((name, range_of(column)) for name, column in zip(contents.names, train.T, strict=False))
    return replace(contents, facts=(*contents.facts, *ranges), guess=Guess(f"the median {shown}", "mae", scores))


def range_of(numbers: Array) -> str:
    """The range of numbers, and their mean."""
    return f"{numbers.min():.4g} to {numbers.max():.4g}, mean {numbers.mean():.4g}"


def _at(counts: Array | None, position: int) -> int:
    return 0 if counts is None or position >= len(counts) else int(counts[position])
