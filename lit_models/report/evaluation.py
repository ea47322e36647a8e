"""The evaluated samples of a run, and the `.npz` file that keeps them: targets, predictions, mistakes and surfaces.

The file holds plain arrays, and one JSON text with the names. The same samples give the same bytes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from datamodules.errors import UserError
from datamodules.spec import TaskName
from datamodules.storage.npz import read_npz

Array = npt.NDArray[Any]
Shown = Literal["images", "words", "numbers", "nothing"]
"""How a sample is shown: as a picture, as a text, as numbers, or by its number only."""
MOST_SAMPLES = 50_000
"""Samples of a split that are kept, those with the smallest numbers."""
MOST_NUMBERS = 5_000_000
"""Predicted numbers that are kept: with many classes, there are fewer samples."""
MOST_MISTAKES = 12
ROUNDING = 1e-3
"""How far a probability may be outside of 0 to 1."""
MOST_STAGES = 6


def most_samples(columns: int) -> int:
    """Samples that are kept if a prediction has `columns` numbers."""
    return min(MOST_SAMPLES, max(1, MOST_NUMBERS // max(1, columns)))


@dataclass(frozen=True)
class Mistake:
    """A sample whose prediction is wrong, or far off.

    Args:
        index: its number in the split, from 0.
        words: the words of a text, or its numbers as texts.
        weights: for each word, how far the prediction falls without it; empty if that is unknown.
    """

    index: int
    words: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Surface:
    """The predictions on a grid over two features, after several numbers of steps.

    Args:
        steps: optimizer steps of each stage, `(S,)`.
        values: predictions on the grid, `(S, n, n, columns)`; the first axis of the grid is the second feature.
        limits: smallest and largest value of the first and of the second feature on the grid.
        points: samples, `(N, 2)`.
        targets: their targets, `(N,)`.
    """

    steps: Array
    values: Array
    limits: tuple[float, float, float, float]
    points: Array
    targets: Array


@dataclass(frozen=True)
class Evaluation:
    """The evaluated samples of one split.

    Args:
        split: "test" or "val".
        task: the kind of target.
        names: one name per class, label or number.
        targets: classes, int64 `(N,)`; labels or numbers, float `(N, L)`.
        predictions: probabilities of classes or labels, or numbers, float `(N, columns)`.
        indices: number of each sample in the split, int64 `(N,)`, increasing.
        total: samples of the split that were evaluated; more than N if the split is larger than the limit.
        shown: how a sample is shown.
        step: optimizer steps of the weights.
        mistakes: the surest mistakes, or the largest errors of a regression.
        pictures: their pictures, uint8 `(K, H, W)` or `(K, H, W, 3)`; None if they are none.
        method: how the weights of the words were computed, one sentence; empty without weights.
        surface: predictions over two features; None for other data.
        notes: what the page must say about these samples.
    """

    split: str
    task: TaskName
    names: tuple[str, ...]
    targets: Array
    predictions: Array
    indices: Array
    total: int
    shown: Shown = "nothing"
    step: int = 0
    mistakes: tuple[Mistake, ...] = ()
    pictures: Array | None = None
    method: str = ""
    surface: Surface | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def predicted(self) -> Array:
        """The predicted class, int64 `(N,)`; labels as 0 and 1, `(N, L)`; or the numbers."""
        if self.task == "classification":
            return np.asarray(self.predictions.argmax(axis=1))
        return np.asarray(self.predictions > 0.5) if self.task == "multilabel" else self.predictions

    @property
    def confidence(self) -> Array:
        """The probability of the predicted class; for labels, the largest distance of a probability from the truth; for
        numbers, the mean absolute error. Float `(N,)`."""
        if self.task == "classification":
            return np.asarray(self.predictions.max(axis=1))
        distance = np.abs(self.predictions - self.targets)
        return np.asarray(distance.max(axis=1) if self.task == "multilabel" else distance.mean(axis=1))

    @property
    def correct(self) -> Array:
        """Whether a sample is right: the class, or all of its labels. Bool `(N,)`."""
        same = self.predicted == self.targets
        return np.asarray(same if same.ndim == 1 else same.all(axis=1))

    def worst(self) -> Array:
        """Positions of the surest mistakes, or of the largest errors of a regression, at most `MOST_MISTAKES`. Equally
        sure ones are in the order of the split."""
        order = np.argsort(-self.confidence, kind="stable")
        if self.task != "regression":
            order = order[~self.correct[order]]
        return np.asarray(order[:MOST_MISTAKES])


WORDS = {"task": get_args(TaskName), "split": ("test", "val"), "shown": get_args(Shown)}
KINDS = {"total": int, "step": int, "method": str}
ARRAYS = ("targets", "predictions", "indices", "pictures")
LARGEST_PICTURE = 4096
"""Pixels of a side of a picture."""
PLAIN = ("split", "task", "names", "total", "shown", "step", "method", "notes")


def to_arrays(evaluation: Evaluation) -> dict[str, Array]:
    """The arrays of the file."""
    about: dict[str, Any] = {name: getattr(evaluation, name) for name in PLAIN}
    about["mistakes"] = [asdict(mistake) for mistake in evaluation.mistakes]
    arrays = {name: getattr(evaluation, name) for name in ("targets", "predictions", "indices")}
    if evaluation.pictures is not None:
        arrays["pictures"] = evaluation.pictures
    if evaluation.surface is not None:
        about["limits"] = evaluation.surface.limits
        arrays |= {f"surface_{n}": getattr(evaluation.surface, n) for n in ("steps", "values", "points", "targets")}
    return {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8), **arrays}


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Writes the file."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **to_arrays(evaluation))


def read_evaluation(path: Path) -> Evaluation:
    """Reads the file, which may come from anybody.

    Raises:
        MissingFileError: no such file.
        UserError: the file is damaged, or is not one of these.
    """
    arrays = read_npz(path)
    try:
        return _checked(from_arrays(arrays))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged, or does not have the samples of a run") from error


def from_arrays(arrays: Mapping[str, Array]) -> Evaluation:
    """The samples in the arrays of a file."""
    about = json.loads(arrays["about"].tobytes())
    surface = None
    if "surface_values" in arrays:
        parts = {name: arrays[f"surface_{name}"] for name in ("steps", "values", "points", "targets")}
        low_x, high_x, low_y, high_y = map(float, about["limits"])
        surface = Surface(**parts, limits=(low_x, high_x, low_y, high_y))
    mistakes = tuple(
        Mistake(int(m["index"]), tuple(map(str, m["words"])), tuple(map(float, m["weights"])))
        for m in about["mistakes"]
    )
    plain: dict[str, Any] = {name: about[name] for name in PLAIN} | {
        "names": tuple(map(str, about["names"])),
        "notes": tuple(map(str, about["notes"])),
    }
    plain |= {name: arrays[name] for name in ARRAYS if name in arrays}
    return Evaluation(**plain, surface=surface, mistakes=mistakes)


def _checked(evaluation: Evaluation) -> Evaluation:
    """Checks types, shapes and ranges.

    Raises:
        ValueError: something does not fit.
    """
    targets, predictions, indices = evaluation.targets, evaluation.predictions, evaluation.indices
    columns = len(evaluation.names)
    wanted = (len(indices),) if evaluation.task == "classification" else (len(indices), columns)
    fits = (
        all(getattr(evaluation, name) in values for name, values in WORDS.items())
        and all(type(getattr(evaluation, name)) is kind for name, kind in KINDS.items())
        and predictions.shape == (len(indices), columns)
        and predictions.dtype.kind == "f"
        and targets.shape == wanted
        and indices.dtype.kind == "i"
        and bool((np.diff(indices) > 0).all())
        and evaluation.total >= len(indices)
        and len(evaluation.mistakes) <= MOST_MISTAKES
        and all(_is_whole(mistake) for mistake in evaluation.mistakes)
        and {m.index for m in evaluation.mistakes} <= set(indices.tolist())
    )
    if fits and evaluation.task == "classification":
        fits = targets.dtype.kind == "i" and bool(((targets >= 0) & (targets < columns)).all())
    if fits and evaluation.task != "classification":
        fits = targets.dtype.kind in "fiub"
    if fits and evaluation.task != "regression":
        finite = predictions[np.isfinite(predictions)]
        fits = bool(((finite >= -ROUNDING) & (finite <= 1 + ROUNDING)).all())
    fits = fits and (evaluation.pictures is None or _are_pictures(evaluation.pictures, len(evaluation.mistakes)))
    fits = fits and (evaluation.surface is None or _is_surface(evaluation.surface))
    if not fits:
        raise ValueError("a part does not fit")
    return evaluation


def _is_whole(mistake: Mistake) -> bool:
    """Whether each word has a weight, or none has one."""
    return len(mistake.weights) in (0, len(mistake.words)) and all(map(math.isfinite, mistake.weights))


def _are_pictures(pictures: Array, count: int) -> bool:
    shape = pictures.shape
    form = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    return (
        pictures.dtype == np.uint8 and form and shape[0] == count and all(0 < n <= LARGEST_PICTURE for n in shape[1:])
    )


def _is_surface(surface: Surface) -> bool:
    low_x, high_x, low_y, high_y = surface.limits
    numbers = (surface.values, surface.points, surface.targets)
    return (
        surface.values.ndim == 4
        and surface.values.size > 0
        and len(surface.values) == len(surface.steps) <= MOST_STAGES
        and surface.steps.dtype.kind == "i"
        and surface.points.shape == (len(surface.targets), 2)
        and all(part.dtype.kind in "fiub" and bool(np.isfinite(part).all()) for part in numbers)
        and -math.inf < low_x < high_x < math.inf
        and -math.inf < low_y < high_y < math.inf
    )
