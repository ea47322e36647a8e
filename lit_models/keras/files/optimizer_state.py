"""The state of the optimizer in a Keras file: its count of steps, and its numbers for each weight.

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
from lit_models.keras.files.graph_weights import Expected, places, walked_path
from lit_models.keras.files.hdf5 import check_hdf5
from lit_models.keras.files.reading import (
    HDF5,
    WEIGHTS,
    Array,
    check_link,
    dataset_in,
    group_in,
    is_bomb,
    numbers,
    read_member,
    reading,
    text_of,
)
from lit_models.keras.files.training import Training
from lit_models.keras.rules.keras_optimizer import COMMON
from lit_models.keras.rules.updates import RULES

DROPPED = "the state of the file's optimizer is dropped: "
Variables = list[tuple[Any, str]]
"""Arrays that are not read yet: each as its group, and its name in it."""


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
    with reading(path) as form:
        import h5py

        if form == HDF5:
            with h5py.File(path, "r") as file:
                return state_in(legacy_variables(file), model, expected, training, path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(read_member(archive, WEIGHTS, archive.getinfo(WEIGHTS).file_size))
            check_hdf5(content.getvalue())
        with h5py.File(content, "r") as file:
            return state_in(native_variables(file), model, expected, training, len(content.getbuffer()))


def native_variables(file: Any) -> Variables:
    """The optimizer's arrays in the weights of a `.keras` file: each as its group, and its name in it."""
    if "optimizer" not in file or "vars" not in file["optimizer"]:
        return []
    variables = group_in(group_in(file, "optimizer"), "vars")
    return [(variables, str(i)) for i in range(len(variables))]


def legacy_variables(file: Any) -> Variables:
    """The optimizer's arrays in an `.h5` file, where a long list of names is in several attributes."""
    if "optimizer_weights" not in file:
        return []
    top = group_in(file, "optimizer_weights")
    keys = ["weight_names", *(f"weight_names{i}" for i in range(len(top.attrs)))]
    paths = [text_of(name).split("/") for key in keys if key in top.attrs for name in top.attrs[key]]
    return [(walked_path(top, path[:-1]), path[-1]) for path in paths]


def state_in(
    variables: Variables, model: Mapping[str, Any], expected: Expected, training: Training, size: int
) -> tuple[OptimizerState | None, list[str]]:
    """The state of the optimizer in a file of `size` bytes, and a note if it cannot be taken over."""
    iterations = count_of(variables)
    if not iterations or not training.rule:  # a note says that an optimizer was replaced
        return None, []
    first = 1 if "learning_rate" in training.settings else 2
    datasets = [dataset_in(group, name) for group, name in variables[first:]]
    if is_bomb(total := sum(math.prod(data.shape) * data.dtype.itemsize for data in datasets), size):
        raise KerasFileError(f"the optimizer's state takes {total:,} bytes, but the file has only {size:,}")
    state = sorted_state(iterations, datasets, model, expected, training)
    return state, [] if state else [f"{DROPPED}it does not fit the trained weights of the model"]


def count_of(variables: Variables) -> int:
    """Steps so far; 0 if the optimizer took none.

    Raises:
        KerasFileError: the first array is not a whole number.
    """
    if not variables:
        return 0
    group, name = variables[0]
    check_link(group, name)
    data = group[name]
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
