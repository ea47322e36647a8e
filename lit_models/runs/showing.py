"""Shows the inputs of some evaluated samples in a report: pictures, texts with the words that moved the answer,
numbers, and the predictions over two features.

The words: the text is predicted again without each word in turn, and the weight of the word is by how much the
probability of the predicted answer falls. The number of such predictions is limited, and does not depend on the time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules.base import GlobalBatchSampler
from datamodules.spec import HasTokenTexts
from lit_models.report.evaluation import MOST_STAGES, Array, Evaluation, Mistake, Shown, Surface
from lit_models.runs.resume import random_state, set_random_state
from lit_models.tasks.task import LitTask

MOST_PIXELS = 128
"""Side of a picture; larger ones are reduced."""
MOST_PARTS = 64
"""Parts of a text that are left out in turn."""
MOST_VALUES = 12
"""Numbers of a sample that are shown."""
OPERATIONS = 1e12
"""Arithmetic operations for the words of all texts, which limit the parts if the network is large."""
FEWEST_TEXTS, FEWEST_PREDICTIONS = 3, 48
MOST_POINTS, CELLS, MARGIN = 300, 61, 0.25
"""Of a surface: samples, cells per side, and the margin around the samples as a fraction of their range."""
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """Where inputs come from, and what computes predictions.

    Args:
        trainer: whose devices and precision are used.
        module: the model.
        loader: of the evaluated split.
        numbered: whether the loader's sample i is the sample number i.
        can_compute: whether this process alone can compute predictions.
    """

    trainer: L.Trainer
    module: LitTask
    loader: "DataLoader[Any]"
    numbered: bool
    can_compute: bool

    def inputs(self, indices: Sequence[int]) -> Any:
        """The inputs of some samples, as one batch."""
        dataset: Any = self.loader.dataset
        if isinstance(self.loader.sampler, GlobalBatchSampler):
            return dataset[torch.tensor(indices, dtype=torch.int64)][0]
        return self.loader.collate_fn([dataset[i] for i in indices])[0]

    def predict(self, inputs: Tensor) -> Tensor:
        """Predictions for a batch, `(B, columns)`, on the CPU."""
        trainer, module = self.trainer, self.module
        inputs = trainer.precision_plugin.convert_input(inputs.to(module.device))
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            return module.predictions(module(inputs)).double().cpu()


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Computes with a module as in an evaluation; its mode and the random numbers are the same afterwards."""
    state, training = random_state(), module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
        set_random_state(state)


def with_inputs(evaluation: Evaluation, source: Source, stages: Sequence[tuple[int, Weights]]) -> Evaluation:
    """Adds mistakes and surface."""
    if not source.numbered:
        note = "The loader does not say which sample is which, so no mistakes are shown."
        return replace(evaluation, notes=(*evaluation.notes, note))
    if not len(evaluation.indices) or not np.isfinite(evaluation.predictions).all():
        return evaluation
    with undisturbed(source.module):
        return with_surface(with_mistakes(evaluation, source), source, stages)


def with_mistakes(evaluation: Evaluation, source: Source) -> Evaluation:
    """Adds the surest mistakes, with their inputs."""
    places = evaluation.worst()
    indices = evaluation.indices[places].tolist()
    if not indices:
        inputs: Any = source.inputs(evaluation.indices[:1].tolist())
        return replace(evaluation, shown=form_of(inputs, source))
    inputs = source.inputs(indices)
    shown = form_of(inputs, source)
    mistakes = tuple(Mistake(index) for index in indices)
    if shown == "images":
        return replace(evaluation, shown=shown, mistakes=mistakes, pictures=pictures_of(inputs))
    if shown == "words":
        predictions = torch.from_numpy(evaluation.predictions[places])
        mistakes, method = texts_of(inputs, predictions, mistakes, evaluation, source)
        return replace(evaluation, shown=shown, mistakes=mistakes, method=method)
    if shown == "numbers":
        rows = [[f"{value:.4g}" for value in row[:MOST_VALUES]] for row in inputs.tolist()]
        mistakes = tuple(replace(m, words=tuple(row)) for m, row in zip(mistakes, rows, strict=True))
    return replace(evaluation, shown=shown, mistakes=mistakes)


def form_of(inputs: Any, source: Source) -> Shown:
    """How such inputs are shown."""
    if not isinstance(inputs, Tensor):
        return "nothing"
    if inputs.ndim == 4 and inputs.is_floating_point() and inputs.shape[1] in (1, 3):
        return "images"
    if inputs.ndim != 2:
        return "nothing"
    if inputs.is_floating_point():
        return "numbers"
    return "words" if isinstance(cast(Any, source.trainer).datamodule, HasTokenTexts) else "nothing"


def pictures_of(images: Tensor) -> Array:
    """Float images `(K, C, H, W)` as uint8, `(K, H, W)` or `(K, H, W, 3)`. Pixels outside of 0 to 1 are scaled."""
    images = images.detach().float().cpu()
    side = max(images.shape[2:])
    if side > MOST_PIXELS:
        size = [max(1, round(length * MOST_PIXELS / side)) for length in images.shape[2:]]
        images = nn.functional.interpolate(images, size=size, mode="area")
    if float(images.min()) < 0 or float(images.max()) > 1:
        low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
        images = (images - low) / (high - low).clamp(min=1e-12)
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1)  # (K, H, W, C)
    return np.ascontiguousarray((pixels[..., 0] if pixels.shape[3] == 1 else pixels).numpy())


def texts_of(
    tokens: Tensor, predictions: Tensor, mistakes: tuple[Mistake, ...], evaluation: Evaluation, source: Source
) -> tuple[tuple[Mistake, ...], str]:
    """Adds the words to the mistakes, and their weights to as many of them as the limit allows; returns the method in
    words, too."""
    data = cast(HasTokenTexts, cast(Any, source.trainer).datamodule)
    texts, parts = limits(source.module, tokens.shape[1], len(mistakes))
    texts = texts if source.can_compute and evaluation.task != "regression" else 0
    shown = []
    for i, (row, prediction, mistake) in enumerate(zip(tokens, predictions, mistakes, strict=True)):
        words = data.token_texts(row.tolist())
        places = [place for place, word in enumerate(words) if word.strip()]
        weights: tuple[float, ...] = ()
        if i < texts and places:
            column = evaluation.predictions.shape[1] - 1 if evaluation.task == "multilabel" else 0
            column = (
                int(prediction.argmax()) if evaluation.task == "classification" else most_wrong(evaluation, mistake)
            )
            weights = tuple(weights_of(row, places, column, parts, source))
        shown.append(replace(mistake, words=tuple(words[place] for place in places), weights=weights))
    if not texts:
        return tuple(shown), ""
    some = "" if texts == len(mistakes) else f" of the first {texts} texts"
    method = (
        f"Each text is predicted again without each of its words{some} (in long texts, without up to {parts} groups of "
        "neighbouring words). A number is by how much the probability of the predicted answer falls then."
    )
    return tuple(shown), method


def most_wrong(evaluation: Evaluation, mistake: Mistake) -> int:
    """The label whose probability is farthest from the truth."""
    place = int(np.flatnonzero(evaluation.indices == mistake.index)[0])
    return int(np.abs(evaluation.predictions[place] - evaluation.targets[place]).argmax())


def limits(module: nn.Module, length: int, texts: int) -> tuple[int, int]:
    """Texts whose words are weighed, and the parts of each text that are left out in turn. A large network gets fewer,
    by its parameters outside of embeddings."""
    embedded = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    size = sum(p.numel() for p in module.parameters() if id(p) not in embedded)
    predictions = int(OPERATIONS / max(1, 2 * size * length))
    predictions = max(FEWEST_PREDICTIONS, min(predictions, texts * MOST_PARTS))
    texts = texts if predictions >= texts * MOST_PARTS / 4 else min(texts, FEWEST_TEXTS)
    return texts, min(MOST_PARTS, max(1, predictions // max(1, texts)))


def weights_of(row: Tensor, places: Sequence[int], column: int, parts: int, source: Source) -> list[float]:
    """For each word of a text, by how much the prediction in `column` falls without it.

    Args:
        row: its token ids, int64 `(T,)`.
        places: places of the words in it.
        column: the class or label.
        parts: parts that are left out in turn; neighbouring words share one if there are more words.
        source: what computes predictions.
    """
    size = -(-len(places) // parts)
    groups = [places[i : i + size] for i in range(0, len(places), size)]
    rows = torch.stack([row, *(without(row, group, source.module) for group in groups)])
    predictions = torch.cat([source.predict(chunk)[:, column] for chunk in torch.split(rows, 32)])
    falls = (predictions[0] - predictions[1:]).tolist()
    return [round(fall / len(group), 6) for fall, group in zip(falls, groups, strict=True) for _ in group]


def without(row: Tensor, places: Sequence[int], module: LitTask) -> Tensor:
    """A text without some of its tokens, filled up with padding on the side where the text has its padding; in front
    if it has none."""
    padding = int(module.hparams.get("padding_id") or 0)
    kept = torch.ones(len(row), dtype=torch.bool)
    kept[list(places)] = False
    filling = torch.full((len(places),), padding, dtype=row.dtype)
    behind = int(row[-1]) == padding and int(row[0]) != padding
    return torch.cat([row[kept], filling] if behind else [filling, row[kept]])


def with_surface(evaluation: Evaluation, source: Source, stages: Sequence[tuple[int, Weights]]) -> Evaluation:
    """Adds the predictions over two features, if the model has two."""
    module = source.module
    usual = type(module).forward is LitTask.forward
    single = evaluation.task == "classification" or (evaluation.task == "regression" and len(evaluation.names) == 1)
    if evaluation.shown != "numbers" or not usual or not single or not source.can_compute:
        return evaluation
    points = source.inputs(evaluation.indices[:MOST_POINTS].tolist())
    if points.shape[1] != 2:
        return evaluation
    low, high = points.min(dim=0).values, points.max(dim=0).values
    margin = (high - low).clamp(min=1e-6) * MARGIN
    limits = ((low - margin).tolist(), (high + margin).tolist())
    sides = [torch.linspace(limits[0][i], limits[1][i], CELLS, dtype=points.dtype) for i in range(2)]
    second, first = torch.meshgrid(sides[1], sides[0], indexing="ij")  # (n, n), the second feature in rows
    grid = torch.stack([first, second], dim=2).reshape(-1, 2)  # (n * n, 2)
    chosen = chosen_stages(stages) or [(-1, module.network.state_dict())]
    values = torch.stack([over(grid, weights, source) for _, weights in chosen])
    targets = evaluation.targets[: len(points)]
    surface = Surface(
        np.array([step for step, _ in chosen]),
        values.reshape(len(chosen), CELLS, CELLS, -1).float().numpy(),
        (limits[0][0], limits[1][0], limits[0][1], limits[1][1]),
        points.numpy(),
        targets if targets.ndim == 1 else targets[:, 0],
    )
    return replace(evaluation, surface=surface)


def chosen_stages(stages: Sequence[tuple[int, Weights]]) -> list[tuple[int, Weights]]:
    """At most `MOST_STAGES` of the stages: the first one and the last ones."""
    return list(stages) if len(stages) <= MOST_STAGES else [stages[0], *stages[1 - MOST_STAGES :]]


def over(grid: Tensor, weights: Weights, source: Source) -> Tensor:
    """The predictions on a grid with other weights."""
    module = source.module
    network = deepcopy(module.network)
    network.load_state_dict(weights)
    inputs = source.trainer.precision_plugin.convert_input(grid.to(module.device))
    with torch.no_grad():
        return module.predictions(network.eval()(inputs)).cpu()
