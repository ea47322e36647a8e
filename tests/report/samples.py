"""Random samples for the tests of a page."""

from dataclasses import replace
from typing import Any

import numpy as np

from lit_models.report.evaluation import Evaluation, Mistake

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
"""A text that a page must show as it is."""


def classes(names: tuple[str, ...] = ("cat", "dog", "owl"), *, size: int = 60, seed: int = 0) -> Evaluation:
    """Samples of a classification. The predictions are better than chance."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(len(names), size=size)
    outputs = rng.normal(size=(size, len(names))) + 1.5 * np.eye(len(names))[targets]
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return of(names, targets, probabilities, task="classification")


def labels(names: tuple[str, ...] = ("red", "blue"), *, size: int = 60) -> Evaluation:
    """Samples with sets of labels."""
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=(size, len(names))).astype(np.float64)
    return of(names, targets, np.clip(0.6 * targets + rng.uniform(0, 0.5, targets.shape), 0, 1), task="multilabel")


def numbers(names: tuple[str, ...] = ("price",), *, size: int = 60, noise: float = 0.3) -> Evaluation:
    """Samples of a regression."""
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(size, len(names)))
    return of(names, targets, targets + noise * rng.normal(size=targets.shape), task="regression")


def of(names: tuple[str, ...], targets: Any, predictions: Any, *, task: Any, **more: Any) -> Evaluation:
    """Samples, all of them kept."""
    indices = np.arange(len(targets))
    settings: dict[str, Any] = {"split": "test", "total": len(targets)} | more
    return Evaluation(task=task, names=names, targets=targets, predictions=predictions, indices=indices, **settings)


def with_mistakes(evaluation: Evaluation, words: tuple[str, ...] = ("fine", HOSTILE)) -> Evaluation:
    """The same samples with their mistakes, each with these words."""
    mistakes = tuple(Mistake(int(evaluation.indices[i]), words, (0.25, -0.5)[: len(words)]) for i in evaluation.worst())
    return replace(evaluation, mistakes=mistakes, shown="words", method="Each word is left out in turn.")
