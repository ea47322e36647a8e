"""Live Keras models of supported layers, for comparing outputs and for an export.

From a file's JSON, only numbers, strings and lists of them become arguments of Keras' own layers. No object that a file
describes is created. Keras writes nothing to the home folder: while it is imported, its settings are in a temporary
folder. Keras computes with the backend of `KERAS_BACKEND`, or with torch if that is not set.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.errors import UserError
from lit_models.keras.files.chain import SavedLayer
from lit_models.keras.files.layers import FIXED, READERS, RECURRENT, Layer, function_name
from lit_models.keras.files.reading import Array, read_weights


def require_keras(user: str) -> None:
    """Checks that Keras is installed.

    Args:
        user: name of the command that needs it, for the message.

    Raises:
        UserError: it is not installed; the message says how to install it.
    """
    for package in ("keras", "h5py"):
        if find_spec(package) is None:
            raise UserError(f"{user} needs {package}: pip install 'lit-models[keras]'")
    if "keras" not in sys.modules and find_spec(backend()) is None:
        raise UserError(f"KERAS_BACKEND is {backend()}, which is not installed; unset it to compute with torch")


def backend() -> str:
    """Name of the package that Keras computes with."""
    return os.environ.get("KERAS_BACKEND") or "torch"


@contextmanager
def quiet_keras() -> Iterator[Any]:
    """Yields the package `keras`, which computes on the CPU and writes only to a temporary folder."""
    with (
        tempfile.TemporaryDirectory() as home,
        environment(KERAS_HOME=home, KERAS_TORCH_DEVICE="cpu", KERAS_BACKEND=backend()),
    ):
        # With another backend, Keras only checks whether TensorFlow can be imported, which takes seconds.
        hidden = os.environ["KERAS_BACKEND"] != "tensorflow" and "tensorflow" not in sys.modules
        if hidden:
            sys.modules["tensorflow"] = None  # type: ignore[assignment]
        try:
            import keras
        finally:
            if hidden:  # Keras' layers for images take an entry for TensorFlow itself
                del sys.modules["tensorflow"]
        with keras.device("cpu"):
            yield keras


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Sets environment variables, and restores them afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def build_keras(keras: Any, layers: list[Layer], weights: Sequence[Array], *, dtype: str = "float32") -> Any:
    """A Sequential model of the layers, with the weights in it."""
    model = keras.Sequential([keras_layer(keras, layer, layers, dtype) for layer in layers])
    model.set_weights(list(weights))
    return model


def keras_layer(keras: Any, layer: Layer, layers: list[Layer], dtype: str) -> Any:
    """One layer of Keras, channels last."""
    settings = {k: v for k, v in layer.settings.items() if k != "bidirectional"}
    if layer.kind == "InputLayer":
        tokens = any(other.kind == "Embedding" for other in layers)
        return keras.Input(settings["batch_shape"][1:], dtype="int32" if tokens else dtype)
    if layer.kind in ("Conv2D", "MaxPooling2D", "Flatten"):
        settings["data_format"] = "channels_last"
    built = getattr(keras.layers, layer.kind)(**settings, dtype=dtype)
    if layer.kind in RECURRENT and layer.settings.get("bidirectional"):
        return keras.layers.Bidirectional(built, dtype=dtype)
    return built


def build_saved(keras: Any, saved: Sequence[SavedLayer], weights: Sequence[Array], dtype: str) -> Any:
    """A Sequential model of layers as a file has them, with the weights in it.

    The values of the settings come from the file and not from our reading of it, so that an error in our reading
    changes the outputs. The model takes inputs that `inputs_as_saved` has prepared.
    """
    tokens = any(layer.kind == "Embedding" for layer in saved)
    inputs = keras.Input(saved[0].config["batch_shape"][1:], dtype="int32" if tokens else dtype)
    computing = [layer for layer in saved[1:] if layer.kind in (*READERS.keys() - {"Rescaling"}, "Bidirectional")]
    model = keras.Sequential(
        [inputs, *(saved_keras_layer(keras, layer.kind, layer.config, dtype) for layer in computing)]
    )
    model.set_weights(list(weights))
    return model


def saved_keras_layer(keras: Any, kind: str, config: dict[str, Any], dtype: str) -> Any:
    """One layer of Keras with each setting of the file that decides what it computes.

    Settings that matter only for training, such as initialisers, are left out.
    """
    if kind == "Bidirectional":
        directions = {
            key: saved_keras_layer(keras, config[key]["class_name"], config[key]["config"], dtype)
            for key in ("layer", "backward_layer")
            if config.get(key)
        }
        return keras.layers.Bidirectional(**directions, merge_mode=config.get("merge_mode", "concat"), dtype=dtype)
    names = {*READERS[kind], *FIXED.get(kind, {}), "go_backwards"}
    settings = {key: value for key, value in config.items() if key in names}
    if "activation" in settings:
        settings["activation"] = function_name(settings["activation"])
    return getattr(keras.layers, kind)(**settings, dtype=dtype)


def inputs_as_saved(inputs: Any, saved: Sequence[SavedLayer]) -> Any:
    """Inputs in the saved model's shape, after its Rescaling of images of 0 to 255.

    Keras' own Rescaling needs TensorFlow, so it is computed here.
    """
    if any(layer.kind == "Embedding" for layer in saved):
        return inputs
    for layer in saved:
        if layer.kind == "Rescaling":
            inputs = (inputs * (255 * layer.config["scale"])).astype(inputs.dtype)
    return inputs.reshape(len(inputs), *saved[0].config["batch_shape"][1:])


def computed(keras: Any, model: Any, inputs: Any) -> Array:
    """The outputs of a Keras model."""
    return np.asarray(keras.ops.convert_to_numpy(model(inputs, training=False)))


def save_keras(layers: list[Layer], weights: Sequence[Array], path: Path, *, dtype: str) -> None:
    """Writes a `.keras` file, completely or not at all, and checks the weights in it.

    Raises:
        UserError: the backend of Keras has changed the weights, as JAX does with float64.
    """
    kinds = [("Bidirectional" if layer.settings.get("bidirectional") else layer.kind, layer.name) for layer in layers]
    with quiet_keras() as keras, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        build_keras(keras, layers, weights, dtype=dtype).save(part)
        written = [array for arrays in read_weights(part, kinds) for array in arrays]
        if not all(np.array_equal(a, b) for a, b in zip(written, weights, strict=True)):
            raise UserError(
                f"Keras does not keep {dtype} weights with the backend {backend()}; set KERAS_BACKEND=torch"
            )
        part.rename(path)
