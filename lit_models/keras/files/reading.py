"""The architecture and the weights in a Keras file, read as data.

Nothing in a file is executed, and no class that it names is looked up.

Sources: `keras/src/saving/saving_lib.py` (`.keras`) and `keras/src/legacy/saving/legacy_h5_format.py` (`.h5`) in
Keras 3. A `.keras` file is a zip archive with `config.json` and `model.weights.h5`. In the latter, the group of a layer
is named after its class and numbered in the order of the layers; the layer's own name does not matter. A legacy `.h5`
file has the JSON in an attribute, and one group per layer, named after the layer.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import MissingFileError
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.hdf5 import check_hdf5

Array = NDArray[np.floating[Any]]
ShapeCheck = Callable[[str, list[tuple[int, ...]]], None]
ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_CONFIG_BYTES = 2**24
"""Maximum size of the JSON; a model of 10,000 layers has 10 MB."""
FREE_BYTES, MAX_EXPANSION = 2**26, 100
"""A part of a file may be larger than `FREE_BYTES` only if it expands at most `MAX_EXPANSION` times. Otherwise it may
be a decompression bomb. Keras itself does not compress."""
MAX_ARRAYS = 6
"""Arrays of one layer: kernel, recurrent kernel and bias of two directions."""
GROUPS = {
    "Conv2D": "conv2d",
    "Dense": "dense",
    "Embedding": "embedding",
    "SimpleRNN": "simple_rnn",
    "LSTM": "lstm",
    "GRU": "gru",
    "Bidirectional": "bidirectional",
}
"""Name of the group in a `.keras` file for each class of layers that has weights."""


def read_model(path: Path) -> dict[str, Any]:
    """The JSON that describes the model: `class_name`, `config`, and `compile_config` if the model was compiled.

    Raises:
        MissingFileError: no such file.
        KerasFileError: the file is not a Keras model, is damaged, or has no architecture in it.
    """
    with reading(path) as kind:
        if kind == ZIP:
            with zipfile.ZipFile(path) as archive:
                return as_mapping(json.loads(read_member(archive, CONFIG, MAX_CONFIG_BYTES)))
        import h5py

        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                only_weights = (
                    "layer_names" in file.attrs or "layers" in file or "_layer_checkpoint_dependencies" in file
                )
                raise KerasFileError(
                    "the file holds weights without an architecture; save the whole model with model.save(…)"
                    if only_weights
                    else "the file is HDF5 but not a Keras model: it has no model_config"
                )
            model = as_mapping(json.loads(text_of(file.attrs["model_config"])))
            training = json.loads(text_of(file.attrs.get("training_config", "{}")))
            return {**model, "compile_config": {"optimizer": training.get("optimizer_config"), **training}}


def read_weights(path: Path, layers: Sequence[tuple[str, str]], check: ShapeCheck | None = None) -> list[list[Array]]:
    """The arrays of each layer, in the order of Keras' `get_weights`. A layer whose class is not in `GROUPS` has none.

    Args:
        path: path of the file.
        layers: (class name, own name) of all layers of the model, in their order.
        check: is called with the name of each layer that has weights and the shapes of its arrays. No array is read
            before all calls have returned.

    Raises:
        KerasFileError: the file is damaged, or contains links to other places.
    """
    with reading(path) as kind:
        import h5py

        if kind == HDF5:
            with h5py.File(path, "r") as file:
                top = group_in(file, "model_weights")
                datasets = [
                    legacy_datasets(group_in(top, name)) if class_name in GROUPS else [] for class_name, name in layers
                ]
                return read_datasets(datasets, layers, check, path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            if WEIGHTS not in archive.namelist():
                raise KerasFileError(f"the file has no {WEIGHTS}")
            content = io.BytesIO(read_member(archive, WEIGHTS, archive.getinfo(WEIGHTS).file_size))
            check_hdf5(content.getvalue())
        with h5py.File(content, "r") as file:
            top = group_in(file, "layers" if "layers" in file else "_layer_checkpoint_dependencies")  # Keras 2.12
            datasets = list(numbered_datasets(top, [class_name for class_name, _ in layers]))
            return read_datasets(datasets, layers, check, len(content.getbuffer()))


def read_datasets(
    datasets: list[list[Any]], layers: Sequence[tuple[str, str]], check: ShapeCheck | None, stored: int
) -> list[list[Array]]:
    """The numbers of each layer's datasets.

    Raises:
        KerasFileError: `check` raises it, or the numbers are too large for a file of `stored` bytes.
    """
    for (class_name, name), of_layer in zip(layers, datasets, strict=True):
        if check and class_name in GROUPS:
            check(name, [data.shape for data in of_layer])
    size = sum(math.prod(data.shape) * data.dtype.itemsize for of_layer in datasets for data in of_layer)
    if is_bomb(size, stored):
        raise KerasFileError(f"the weights take {size:,} bytes, but the file has only {stored:,}; they were not read")
    return [[numbers(data) for data in of_layer] for of_layer in datasets]


def numbers(data: Any) -> Array:
    """The numbers of a dataset.

    Raises:
        KerasFileError: some are not finite.
    """
    array: Array = data[()]
    if not np.isfinite(array).all():
        raise KerasFileError(f"the weights {data.name} contain NaN or infinity")
    return array


@contextmanager
def reading(path: Path) -> Iterator[bytes]:
    """Yields the first bytes of the file, `ZIP` or `HDF5`, and turns errors of the readers into a KerasFileError."""
    if path.is_dir():
        raise KerasFileError("this is a folder; save the model as one file with model.save('model.keras')")
    if not path.is_file():
        raise MissingFileError(f"no file {path}")
    with path.open("rb") as file:
        start = file.read(8)
    if start[:4] != ZIP and start != HDF5:
        raise KerasFileError("not a Keras file: it is neither a zip archive (.keras) nor HDF5 (.h5)")
    if start == HDF5:
        check_hdf5(path.read_bytes())
    try:
        yield ZIP if start[:4] == ZIP else HDF5
    except (KerasFileError, ModuleNotFoundError):
        raise
    except Exception as error:  # the readers of zip, JSON and HDF5 fail in many ways on a damaged file
        raise KerasFileError("the file is damaged, cut off, or not a Keras model") from error


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A file of the archive, read into memory; nothing is unpacked to the disk."""
    if name not in archive.namelist():
        raise KerasFileError(f"the file is a zip archive but not a Keras model: it has no {name}")
    info = archive.getinfo(name)
    if info.file_size > limit or is_bomb(info.file_size, info.compress_size):
        sizes = f"from {info.compress_size:,} to {info.file_size:,} bytes"
        raise KerasFileError(f"{name} would expand {sizes}; it was not read")
    with archive.open(info) as member:
        content = member.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise KerasFileError(f"{name} has {len(content):,} bytes, but the archive says {info.file_size:,}")
    return content


def is_bomb(size: int, stored: int) -> bool:
    """Whether `stored` bytes that expand to `size` bytes look like a decompression bomb."""
    return size > FREE_BYTES and size > MAX_EXPANSION * stored


def as_mapping(value: Any) -> dict[str, Any]:
    """The value, which must be a JSON object."""
    if not isinstance(value, dict):
        raise KerasFileError("not a Keras model: its JSON is not an object")
    return value


def text_of(attribute: Any) -> str:
    """The text of an attribute, which is bytes in old files."""
    return attribute.decode("utf-8") if isinstance(attribute, bytes) else str(attribute)


def numbered_datasets(top: Any, classes: list[str]) -> Iterator[list[Any]]:
    """The datasets of each layer of a `.keras` file: the layer's own, then those of its cell or of both directions."""
    counts: dict[str, int] = {}
    for class_name in classes:
        if class_name not in GROUPS:
            yield []
            continue
        number = counts[class_name] = counts.get(class_name, -1) + 1
        layer = group_in(top, GROUPS[class_name] + (f"_{number}" if number else ""))
        places = [("vars",), ("cell", "vars")]
        places += [(side, "cell", "vars") for side in ("forward_layer", "backward_layer")]
        yield [data for place in places for data in variables(layer, place)]


def variables(layer: Any, place: tuple[str, ...]) -> list[Any]:
    """The datasets 0, 1, … of a group; none if the group does not exist."""
    for name in place:
        if name not in layer:
            return []
        layer = group_in(layer, name)
    check_number(len(layer), layer)
    return [dataset_in(layer, str(i)) for i in range(len(layer))]


def legacy_datasets(layer: Any) -> list[Any]:
    """The datasets of a layer's group in an `.h5` file, in the order of the names in its attribute."""
    datasets = []
    check_number(len(layer.attrs["weight_names"]), layer)
    for name in layer.attrs["weight_names"]:
        group = layer
        *folders, last = text_of(name).split("/")
        for folder in folders:
            group = group_in(group, folder)
        datasets.append(dataset_in(group, last))
    return datasets


def group_in(parent: Any, name: str) -> Any:
    """A group inside a group of the same file.

    Raises:
        KerasFileError: it is missing, a link, or not a group.
    """
    import h5py

    check_link(parent, name)
    group = parent[name]
    if not isinstance(group, h5py.Group):
        raise KerasFileError(f"{group.name} is not a group of weights")
    return group


def check_number(number: int, layer: Any) -> None:
    """Refuses more arrays than any layer has."""
    if number > MAX_ARRAYS:
        raise KerasFileError(f"{layer.name} has {number:,} arrays of weights; a layer has at most {MAX_ARRAYS}")


def dataset_in(parent: Any, name: str) -> Any:
    """A dataset of numbers that are stored in the same file. The numbers are not read.

    Raises:
        KerasFileError: it is missing, a link, in another file, not floating-point, or larger than what is stored.
    """
    import h5py

    check_link(parent, name)
    data = parent[name]
    if not isinstance(data, h5py.Dataset) or data.dtype.kind != "f":
        raise KerasFileError(f"{data.name} does not hold floating-point weights")
    if data.external or data.is_virtual:
        raise KerasFileError(f"the weights {data.name} are in another file, which is not read")
    stored = data.id.get_storage_size()
    if is_bomb(math.prod(data.shape) * data.dtype.itemsize, stored):
        raise KerasFileError(f"the weights {data.name} of shape {data.shape} take only {stored:,} bytes in the file")
    return data


def check_link(parent: Any, name: str) -> None:
    """Refuses a name that is missing, or that leads to another place."""
    import h5py

    if name not in parent:
        raise KerasFileError(f"the weights of {name!r} are missing")
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise KerasFileError(f"{name!r} is a link instead of weights; links are not followed")
