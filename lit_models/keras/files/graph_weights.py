"""The weights of a graph in a Keras file, for each layer in the order of Keras' `get_weights`.

Sources: `keras/src/saving/saving_lib.py` (`.keras`) and `keras/src/legacy/saving/legacy_h5_format.py` (`.h5`) in
Keras 3. In a `.keras` file, the group of a layer is named after its class, and numbered among the layers of its model.
In an `.h5` file, a nested model has one list of arrays: first those that are trained, then all others.
"""

import io
import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lit_models.keras.files.chain import PUBLIC_NAMES
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.graph import MODELS, is_operation, layer_name
from lit_models.keras.files.hdf5 import check_hdf5
from lit_models.keras.files.reading import (
    HDF5,
    WEIGHTS,
    Array,
    dataset_in,
    group_in,
    is_bomb,
    numbers,
    read_member,
    reading,
    text_of,
)

CELL = ("cell",)
HEADS = ("query_dense", "key_dense", "value_dense", "output_dense")
PLACES: dict[str, tuple[str, ...]] = {
    "SimpleRNN": CELL,
    "LSTM": CELL,
    "GRU": CELL,
    "Bidirectional": ("forward_layer/cell", "backward_layer/cell"),
    "RNN": CELL,
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), CELL),
    "MultiHeadAttention": HEADS,
    "GroupQueryAttention": HEADS,
}
"""Groups inside the group of a layer that hold its arrays, in the order of `get_weights`; the group itself if not
named."""
CLASS_NAMES = {public: name for name, public in PUBLIC_NAMES.items()}


class ArrayShape(NamedTuple):
    """What a layer expects: a shape, and whether the array is trained."""

    shape: tuple[int, ...]
    trained: bool


Expected = Mapping[str, Sequence[ArrayShape]]


class Place(NamedTuple):
    """A layer with weights: its name in the graph, its group, and the groups inside it."""

    name: str
    group: str
    inside: tuple[str, ...]


def read_graph_weights(path: Path, model: Mapping[str, Any], expected: Expected) -> dict[str, list[Array]]:
    """The arrays of each layer.

    Args:
        path: path of the file.
        model: the model's JSON, as returned by `read_model`.
        expected: the shapes of the arrays of each layer, by its name in the graph. Nothing else is read.

    Raises:
        KerasFileError: the file is damaged, contains links to other places, or arrays of other shapes.
    """
    with reading(path) as kind:
        import h5py

        if kind == HDF5:
            with h5py.File(path, "r") as file:
                datasets = legacy(group_in(file, "model_weights"), model, expected)
                return checked(datasets, expected, path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            if WEIGHTS not in archive.namelist():
                raise KerasFileError(f"the file has no {WEIGHTS}")
            content = io.BytesIO(read_member(archive, WEIGHTS, archive.getinfo(WEIGHTS).file_size))
            check_hdf5(content.getvalue())
        with h5py.File(content, "r") as file:
            top = "layers" if "layers" in file else "_layer_checkpoint_dependencies"  # Keras 2.12
            found = {place.name: stored(file, place) for place in places(model, "", top) if place.name in expected}
            return checked(found, expected, len(content.getbuffer()))


def places(model: Mapping[str, Any], prefix: str, folder: str) -> Iterator[Place]:
    """The layers of a model and of the models inside it."""
    counts: dict[str, int] = {}
    config = model["config"]
    for entry in config if isinstance(config, list) else config["layers"]:
        kind, name = PUBLIC_NAMES.get(entry["class_name"], entry["class_name"]), layer_name(entry)
        if is_operation(entry) or (kind == "InputLayer" and model["class_name"] == "Sequential"):
            continue
        title = "Functional" if kind == "Model" else CLASS_NAMES.get(kind, kind)
        number = counts[title] = counts.get(title, -1) + 1
        group = f"{folder}/{snake_case(title)}" + (f"_{number}" if number else "")
        if kind in MODELS:
            yield from places(entry, f"{prefix}{name}/", f"{group}/layers")
            continue
        inside = PLACES.get(kind, ("",))
        if kind == "TimeDistributed":
            inside = tuple(
                f"layer/{place}".rstrip("/") for place in PLACES.get(entry["config"]["layer"]["class_name"], ("",))
            )
        yield Place(prefix + name, group, inside)


def snake_case(name: str) -> str:
    """Keras' `to_snake_case`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def stored(file: Any, place: Place) -> list[Any]:
    """The datasets of a layer of a `.keras` file. Whole numbers, such as counts of samples, are left out."""
    layer = walked(file, place.group)
    return [data for inside in place.inside for data in numbered(walked(layer, inside))]


def walked(group: Any, path: str) -> Any:
    """A group inside a group. Keras before 3.13 had an underscore before the names of parts of attention."""
    for name in path.split("/") if path else []:
        group = group_in(group, f"_{name}" if name in HEADS and name not in group else name)
    return group


def numbered(group: Any) -> list[Any]:
    """The datasets 0, 1, … in the group `vars`."""
    if "vars" not in group:
        return []
    variables = group_in(group, "vars")
    present = (str(i) for i in range(len(variables)))
    return [dataset_in(variables, name) for name in present if is_float(variables, name)]


def is_float(group: Any, name: str) -> bool:
    """Whether a name stands for numbers of a network, and not for a count or a state of random numbers."""
    dtype = getattr(group.get(name), "dtype", None)
    return dtype is None or dtype.kind not in "iu"


def legacy(top: Any, model: Mapping[str, Any], expected: Expected) -> dict[str, list[Any]]:
    """The datasets of each layer of an `.h5` file."""
    found: dict[str, list[Any]] = {}
    config = model["config"]
    for entry in config if isinstance(config, list) else config["layers"]:
        name = layer_name(entry)
        inside = [layer for layer in expected if layer == name or layer.startswith(f"{name}/")]
        if not inside:
            continue
        layer = group_in(top, name)
        paths = [text_of(weight).split("/") for weight in layer.attrs["weight_names"]]
        groups = [(walked_path(layer, path[:-1]), path[-1]) for path in paths]
        datasets = [dataset_in(group, last) for group, last in groups if is_float(group, last)]
        found |= divided(datasets, inside, expected)
    return found


def walked_path(group: Any, path: Sequence[str]) -> Any:
    for name in path:
        group = group_in(group, name)
    return group


def divided(datasets: list[Any], layers: Sequence[str], expected: Expected) -> dict[str, list[Any]]:
    """The datasets of a nested model for each of its layers: first those that are trained, then the others."""
    found: dict[str, list[Any]] = {layer: [] for layer in layers}
    order = [(layer, i) for layer in layers for i, array in enumerate(expected[layer]) if array.trained]
    order += [(layer, i) for layer in layers for i, array in enumerate(expected[layer]) if not array.trained]
    if len(order) != len(datasets):
        raise KerasFileError(
            f"{layers[0]!r} has {len(datasets)} arrays of weights, but its settings imply {len(order)}"
        )
    by_place = dict(zip(order, datasets, strict=True))
    for layer in layers:
        found[layer] = [by_place[layer, i] for i in range(len(expected[layer]))]
    return found


def checked(datasets: Mapping[str, list[Any]], expected: Expected, size: int) -> dict[str, list[Array]]:
    """The numbers of each layer's datasets.

    Raises:
        KerasFileError: a shape is another one, or the numbers are too large for a file of `size` bytes.
    """
    for layer, arrays in expected.items():
        shapes = [tuple(data.shape) for data in datasets.get(layer, [])]
        if shapes != [array.shape for array in arrays]:
            wanted = [array.shape for array in arrays]
            raise KerasFileError(f"layer {layer!r} has weights of shape {shapes}, but its settings imply {wanted}")
    total = sum(math.prod(data.shape) * data.dtype.itemsize for of_layer in datasets.values() for data in of_layer)
    if is_bomb(total, size):
        raise KerasFileError(f"the weights take {total:,} bytes, but the file has only {size:,}; they were not read")
    return {layer: [numbers(data) for data in of_layer] for layer, of_layer in datasets.items()}
