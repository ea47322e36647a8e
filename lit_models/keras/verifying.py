"""The comparison of a model with the Keras file that it came from, on real samples."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.exporting_graph import last_activation
from lit_models.keras.files.reading import Array
from lit_models.keras.importing_graph import BUILD_ERRORS, ImportedGraph, without_numbers
from lit_models.keras.live import quiet_keras
from lit_models.keras.live_graph import build_graph

WORST = 5
"""Samples that are named."""


@dataclass(frozen=True)
class Verification:
    """What was compared.

    Args:
        ours: predictions of the model, `(N, columns)`.
        theirs: those of Keras.
        targets: `(N,)` or `(N, columns)`; classes are -1 and numbers NaN where they are unknown.
        places: of each sample in its split.
        task: "classification", "multilabel" or "regression".
    """

    ours: Array
    theirs: Array
    targets: Array
    places: Any
    task: str

    @property
    def differences(self) -> Array:
        """The largest difference of each sample, `(N,)`."""
        found: Array = np.abs(self.ours - self.theirs).max(axis=1)
        return found

    @property
    def equal(self) -> Any:
        """Whether both give the same answer: the same class, or the same labels; for numbers, equal within rounding."""
        if self.task == "classification":
            return np.asarray(self.ours.argmax(axis=1) == self.theirs.argmax(axis=1))
        if self.task == "multilabel":
            return np.asarray(((self.ours > 0.5) == (self.theirs > 0.5)).all(axis=1))
        return np.asarray(np.isclose(self.ours, self.theirs, rtol=1e-4, atol=1e-4).all(axis=1))

    def correct(self, predictions: Array) -> int | None:
        """How many classes are right; None if this is unknown."""
        if self.task != "classification" or (self.targets < 0).any():
            return None
        return int((predictions.argmax(axis=1) == self.targets).sum())

    def worst(self) -> list[tuple[int, float]]:
        """The places of the samples that differ most, and by how much."""
        order = np.argsort(-self.differences, kind="stable")[:WORST]
        return [(int(self.places[i]), float(self.differences[i])) for i in order]


def verify(
    predict: Callable[[Any], Tensor],
    imported: ImportedGraph,
    batches: Iterable[tuple[Any, Tensor]],
    places: Any,
    *,
    task: str,
) -> Verification:
    """Computes the predictions of both.

    Args:
        predict: gives the predictions of the model, `(B, columns)`, for the inputs of a batch.
        imported: the file.
        batches: inputs and targets.
        places: of each sample in its split, in the order of the batches.
        task: of the model.

    Raises:
        UserError: Keras cannot compute the file, or it has other outputs than the model.
    """
    network = without_numbers(imported.settings["graph"], imported.settings["outputs"])
    network.input_scale = imported.settings["input_scale"]
    activation = last_activation(network, imported.settings["task"])
    ours, theirs, targets = [], [], []
    with quiet_keras() as keras, torch.no_grad():
        try:
            live = build_graph(keras, imported.content, imported.arrays, imported.dtype)
            for inputs, target in batches:
                ours.append(predict(inputs).numpy())
                given = [in_dtype(value, imported.dtype) for value in network.prepared(inputs).values()]
                outputs = live(given if len(given) > 1 else given[0], training=False)
                theirs.append(activated(np.asarray(keras.ops.convert_to_numpy(outputs)), activation))
                targets.append(target.numpy())
        except BUILD_ERRORS as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"{imported.path} cannot be computed on these data: {reason}") from error
    if not ours:
        raise UserError("the data have no sample in this split")
    if ours[0].shape != theirs[0].shape:
        sizes = f"{ours[0].shape[1]} and {theirs[0].shape[1]}"
        raise UserError(f"the model and {imported.path} give {sizes} numbers for a sample: they cannot be compared")
    here, there, wanted = (np.concatenate(part) for part in (ours, theirs, targets))
    return Verification(here, there, wanted, places, task)


def in_dtype(value: Tensor, dtype: str) -> Array:
    """An input as an array in the file's precision; tokens are int32."""
    array: Array = value.numpy()
    return array.astype(dtype if value.is_floating_point() else "int32")


def activated(outputs: Array, activation: str) -> Array:
    """The predictions of Keras' outputs before the activation; of one sigmoid, those of both classes."""
    values = torch.from_numpy(outputs)
    if activation == "softmax":
        return values.softmax(dim=1).numpy()
    if activation == "linear":
        return outputs
    positive = values.sigmoid()
    return (torch.cat([1 - positive, positive], dim=1) if positive.shape[1] == 1 else positive).numpy()
