"""A Keras file's layers and weights, read as data: nothing in it is executed, and no class that it names is looked up.

Sources: `keras/src/saving/saving_lib.py` (`.keras`) and `keras/src/legacy/saving/legacy_h5_format.py` (`.h5`) in
Keras 3. A `.keras` file is a zip with `config.json` and `model.weights.h5`, in which a layer's group is named after its
class and numbered in the order of the layers, whatever its own name is. A legacy `.h5` file has the JSON in an
attribute, and a group for each layer by its name.
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

Array = NDArray[np.floating[Any]]
Check = Callable[[str, list[tuple[int, ...]]], None]
ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
LONGEST_CONFIG = 2**24
"""Bytes of JSON; a model of 10,000 layers has 10 MB of it."""
LARGEST_FREE, MOST_EXPANSION = 2**26, 100
"""A part of a file that is larger than this many bytes must fill at least a hundredth of them in the file: it is no
decompression bomb then. Keras itself does not compress."""
MOST_ARRAYS = 6
"""Of a layer: kernel, recurrent kernel and bias of two directions."""
GROUPS = {
    "Conv2D": "conv2d",
    "Dense": "dense",
    "Embedding": "embedding",
    "SimpleRNN": "simple_rnn",
    "LSTM": "lstm",
    "GRU": "gru",
    "Bidirectional": "bidirectional",
}
"""Name of the group of each class of layers that has weights, in a `.keras` file."""


class Refused(Exception):
    """What is wrong with a file, as the rest of a sentence that begins with its name."""


def read_model(path: Path) -> dict[str, Any]:
    """The JSON that says how the model is built: `class_name`, `config`, and `compile_config` where it was compiled.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no Keras model, a damaged one, or one without its architecture.
    """
    with reading(path) as kind:
        if kind == ZIP:
            with zipfile.ZipFile(path) as archive:
                return as_mapping(json.loads(read_member(archive, CONFIG, LONGEST_CONFIG)))
        import h5py

        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                weights_only = (
                    "layer_names" in file.attrs or "layers" in file or "_layer_checkpoint_dependencies" in file
                )
                raise Refused(
                    "holds weights and no architecture: save the whole model, model.save(…)"
                    if weights_only
                    else "is an HDF5 file, and no Keras model: it has no model_config"
                )
            model = as_mapping(json.loads(text_of(file.attrs["model_config"])))
            training = json.loads(text_of(file.attrs.get("training_config", "{}")))
            return {**model, "compile_config": {"optimizer": training.get("optimizer_config"), **training}}


def read_weights(path: Path, layers: Sequence[tuple[str, str]], check: Check | None = None) -> list[list[Array]]:
    """The arrays of each of `layers`, given as (class name, own name), in the order of Keras' `get_weights`. A class
    that is not in `GROUPS` has none.

    Args:
        path: of the file.
        layers: all of the model, in their order.
        check: is called with the name of each layer that has weights, and the shapes of its arrays, before any is read.

    Raises:
        ValueError: a damaged file, or one with links to other places.
    """
    with reading(path) as kind:
        import h5py

        if kind == HDF5:
            with h5py.File(path, "r") as file:
                top = group_in(file, "model_weights")
                found = [legacy_datasets(group_in(top, name)) if made in GROUPS else [] for made, name in layers]
                return read_datasets(found, layers, check, path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            if WEIGHTS not in archive.namelist():
                raise Refused(f"has no {WEIGHTS} in it")
            content = io.BytesIO(read_member(archive, WEIGHTS, archive.getinfo(WEIGHTS).file_size))
        with h5py.File(content, "r") as file:
            top = group_in(file, "layers" if "layers" in file else "_layer_checkpoint_dependencies")  # Keras 2.12
            found = list(numbered_datasets(top, [made for made, _ in layers]))
            return read_datasets(found, layers, check, len(content.getbuffer()))


def read_datasets(
    found: list[list[Any]], layers: Sequence[tuple[str, str]], check: Check | None, stored: int
) -> list[list[Array]]:
    """The numbers of each layer's datasets.

    Raises:
        Refused: `check` does, or they are more than `stored` bytes of a file can honestly hold.
    """
    for (made, name), datasets in zip(layers, found, strict=True):
        if check and made in GROUPS:
            check(name, [data.shape for data in datasets])
    size = sum(math.prod(data.shape) * data.dtype.itemsize for datasets in found for data in datasets)
    if is_bomb(size, stored):
        raise Refused(f"has weights of {size:,} bytes in {stored:,}: they are not read")
    return [[numbers(data) for data in datasets] for datasets in found]


def numbers(data: Any) -> Array:
    """A dataset's numbers.

    Raises:
        Refused: some are not finite.
    """
    array: Array = data[()]
    if not np.isfinite(array).all():
        raise Refused(f"has weights that are no finite numbers, in {data.name}")
    return array


@contextmanager
def reading(path: Path) -> Iterator[bytes]:
    """Gives the first bytes of the file, `ZIP` or `HDF5`, and puts what goes wrong in one sentence."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: save the model as one file, model.save('model.keras')")
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    with path.open("rb") as file:
        start = file.read(8)
    if start[:4] != ZIP and start != HDF5:
        raise ValueError(f"{path} is no Keras file: neither a zip (.keras) nor HDF5 (.h5)")
    try:
        yield ZIP if start[:4] == ZIP else HDF5
    except Refused as error:
        raise ValueError(f"{path} {error}") from error
    except ModuleNotFoundError:
        raise
    except Exception as error:  # the readers of zip, JSON and HDF5 fail in many ways on a file that is not whole
        raise ValueError(f"{path} is damaged or cut off, or no Keras model") from error


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A file of the zip, in memory; nothing is unpacked."""
    if name not in archive.namelist():
        raise Refused(f"is a zip, and no Keras model: there is no {name} in it")
    info = archive.getinfo(name)
    if info.file_size > limit or is_bomb(info.file_size, info.compress_size):
        raise Refused(f"has a {name} of {info.file_size:,} bytes in {info.compress_size:,}: it is not read")
    with archive.open(info) as member:
        content = member.read(info.file_size + 1)
    if len(content) != info.file_size:
        raise Refused(f"has a {name} of another size than it says")
    return content


def is_bomb(size: int, stored: int) -> bool:
    """Whether so many bytes cannot honestly come from so few."""
    return size > LARGEST_FREE and size > MOST_EXPANSION * stored


def as_mapping(value: Any) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Refused("is no Keras model: its JSON is no object")
    return value


def text_of(attribute: Any) -> str:
    """An attribute's text, which is bytes in old files."""
    return attribute.decode("utf-8") if isinstance(attribute, bytes) else str(attribute)


def numbered_datasets(top: Any, classes: list[str]) -> Iterator[list[Any]]:
    """Datasets of each layer of a `.keras` file: its own, then its cell's, or those of both directions."""
    counts: dict[str, int] = {}
    for made in classes:
        if made not in GROUPS:
            yield []
            continue
        number = counts[made] = counts.get(made, -1) + 1
        layer = group_in(top, GROUPS[made] + (f"_{number}" if number else ""))
        places = [("vars",), ("cell", "vars")]
        places += [(side, "cell", "vars") for side in ("forward_layer", "backward_layer")]
        yield [data for place in places for data in variables(layer, place)]


def variables(layer: Any, place: tuple[str, ...]) -> list[Any]:
    """The datasets 0, 1, … of a group, or none where there is no such group."""
    for name in place:
        if name not in layer:
            return []
        layer = group_in(layer, name)
    check_number(len(layer), layer)
    return [dataset_in(layer, str(i)) for i in range(len(layer))]


def legacy_datasets(layer: Any) -> list[Any]:
    """Datasets of a layer's group in an `.h5` file, by the list of names in its attribute."""
    found = []
    check_number(len(layer.attrs["weight_names"]), layer)
    for name in layer.attrs["weight_names"]:
        group = layer
        *folders, last = text_of(name).split("/")
        for folder in folders:
            group = group_in(group, folder)
        found.append(dataset_in(group, last))
    return found


def group_in(parent: Any, name: str) -> Any:
    """A group inside a group of this same file.

    Raises:
        Refused: it is missing, a link, or no group.
    """
    import h5py

    check_link(parent, name)
    group = parent[name]
    if not isinstance(group, h5py.Group):
        raise Refused(f"has no group {name!r} of weights")
    return group


def check_number(number: int, layer: Any) -> None:
    """Refuses more arrays than any layer has."""
    if number > MOST_ARRAYS:
        raise Refused(f"has {number:,} arrays of weights in {layer.name}, and no layer has more than {MOST_ARRAYS}")


def dataset_in(parent: Any, name: str) -> Any:
    """A dataset of numbers that lie in this same file; they are not read.

    Raises:
        Refused: it is missing, a link, elsewhere, no floating-point numbers, or larger than what is stored.
    """
    import h5py

    check_link(parent, name)
    data = parent[name]
    if not isinstance(data, h5py.Dataset) or data.dtype.kind != "f":
        raise Refused(f"has no floating-point weights in {data.name}")
    if data.external or data.is_virtual:
        raise Refused(f"keeps the weights {data.name} in another file: it is not followed")
    if is_bomb(math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()):
        raise Refused(f"has weights {data.name} of shape {data.shape} in {data.id.get_storage_size():,} bytes")
    return data


def check_link(parent: Any, name: str) -> None:
    """Refuses what lies elsewhere under a name of this file."""
    import h5py

    if name not in parent:
        raise Refused(f"lacks the weights of {name!r}")
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise Refused(f"has a link {name!r} in place of weights: it is not followed")
