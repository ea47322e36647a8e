"""The state of the optimizer in a `.keras` file: its count of steps, and its numbers for each weight.

Source: `save_own_variables` and `build` of the optimizers in Keras 3.15. The file has a list of arrays: the count of
steps, the learning rate unless it is a schedule, the numbers for each weight, and those that exist once.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.graph_weights import Expected, places
from lit_models.keras.files.hdf5 import check_hdf5
from lit_models.keras.files.reading import (
    WEIGHTS,
    ZIP,
    Array,
    check_link,
    dataset_in,
    group_in,
    is_bomb,
    numbers,
    read_member,
    reading,
)
from lit_models.keras.files.training import Training, file_optimizer
from lit_models.keras.rules.keras_optimizer import COMMON
from lit_models.keras.rules.updates import RULES

DROPPED = "the state of the file's optimizer is dropped: "


class OptimizerState(NamedTuple):
    """What an optimizer has after some steps.

    Args:
        iterations: steps so far.
        slots: by the name of a slot and the name of a layer, the numbers for each of its trained arrays.
        single: numbers that the optimizer has once.
    """

    iterations: int
    slots: dict[str, dict[str, list[Array]]]
    single: dict[str, float]


def read_optimizer_state(
    path: Path, model: Mapping[str, Any], expected: Expected, training: Training
) -> tuple[OptimizerState | None, list[str]]:
    """The state of the optimizer, and a note if there is one that cannot be taken over.

    Args:
        path: path of the file.
        model: the model's JSON, as returned by `read_model`.
        expected: the arrays of each layer.
        training: what was read about the optimizer.

    Raises:
        KerasFileError: the file is damaged.
    """
    _, config = file_optimizer(model.get("compile_config") or {})
    with reading(path) as form:
        import h5py

        if form != ZIP:
            with h5py.File(path, "r") as file:
                return None, [f"{DROPPED}it is only read from .keras files"] if "optimizer_weights" in file else []
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(read_member(archive, WEIGHTS, archive.getinfo(WEIGHTS).file_size))
            check_hdf5(content.getvalue())
        with h5py.File(content, "r") as file:
            if "optimizer" not in file or "vars" not in file["optimizer"]:
                return None, []
            variables = group_in(group_in(file, "optimizer"), "vars")
            iterations = count_of(variables)
            if not iterations:
                return None, []
            if not training.rule:
                return None, []  # a note says that the optimizer was replaced
            first = 1 if isinstance(config.get("learning_rate"), dict) else 2
            datasets = [dataset_in(variables, str(i)) for i in range(first, len(variables))]
            size = sum(math.prod(data.shape) * data.dtype.itemsize for data in datasets)
            if is_bomb(size, len(content.getbuffer())):
                raise KerasFileError(f"the state of the optimizer takes {size:,} bytes; it was not read")
            state = sorted_state(iterations, datasets, model, expected, training)
    return state, [] if state else [f"{DROPPED}it does not fit the trained weights of the model"]


def count_of(variables: Any) -> int:
    """Steps so far; 0 if the optimizer took none."""
    if "0" not in variables:
        return 0
    check_link(variables, "0")
    data = variables["0"]
    if getattr(data, "shape", None) != () or data.dtype.kind not in "iu":
        raise KerasFileError("the optimizer's count of steps is not a whole number")
    return int(data[()])


def sorted_state(
    iterations: int,
    datasets: list[Any],
    model: Mapping[str, Any],
    expected: Expected,
    training: Training,
) -> OptimizerState | None:
    """The numbers by slot and layer; None if their shapes are not those of the trained arrays."""
    rule = RULES[training.rule]
    settings = {**COMMON, **rule.settings, **training.settings}
    trained = [
        (place.name, array.shape)
        for place in places(model, "", "")
        for array in expected.get(place.name, [])
        if array.trained
    ]
    order = [(slot, name, shape) for group in rule.used_slots(settings) for name, shape in trained for slot in group]
    shapes = [shape for _, _, shape in order] + [()] * len(rule.single)
    if [tuple(data.shape) for data in datasets] != shapes:
        return None
    values = [numbers(data) for data in datasets]
    slots: dict[str, dict[str, list[Array]]] = {}
    for (slot, name, _), array in zip(order, values, strict=False):
        slots.setdefault(slot, {}).setdefault(name, []).append(array)
    return OptimizerState(iterations, slots, dict(zip(rule.single, map(float, values[len(order) :]), strict=True)))
