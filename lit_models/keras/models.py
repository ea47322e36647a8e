"""A Keras model built from known layers, for comparing its outputs and for saving it.

Of a file's own JSON, only numbers, words and lists of them come here, as arguments of Keras' own layers; no object that
it describes is made. Keras leaves nothing behind: while it is imported, its settings lie in a temporary folder. The
backend is that of `KERAS_BACKEND`, torch where it is not set.
"""

import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_models.keras.chain import SavedLayer
from lit_models.keras.files import Array, read_weights
from lit_models.keras.layers import FIXED, READERS, RECURRENT, Layer, word

NUM_SAMPLES, MOST_STEPS = 32, 100
MOST_NUMBERS = 2**24
"""Of all samples together, 64 MiB in float32: a tiny file may say that its images are as large as memory."""
PROBABILITY, LOGIT = 1e-5, 1e-4
"""Largest difference that rounding explains: in float32, sums of some thousands of terms come out to within 1e-6 of
their size in another order, and a probability moves by at most a quarter of what its logit moves. Of a logit, it is a
fraction of the largest one."""
Outputs = Callable[[Any], tuple[Array, Array]]


def require_keras(what: str) -> None:
    """Checks that Keras is there.

    Raises:
        ValueError: it is not; says how to install it.
    """
    for package in ("keras", "h5py"):
        if find_spec(package) is None:
            raise ValueError(f"{what} needs {package}: pip install 'lit-models[keras]'")
    if "keras" not in sys.modules and find_spec(backend()) is None:
        raise ValueError(f"KERAS_BACKEND is {backend()}, which is not installed; unset it, and torch computes")


def backend() -> str:
    """What Keras computes with."""
    return os.environ.get("KERAS_BACKEND") or "torch"


@contextmanager
def quiet_keras() -> Iterator[Any]:
    """Gives the package `keras`, computing on the CPU, with nothing written outside a temporary folder."""
    with (
        tempfile.TemporaryDirectory() as home,
        environment(KERAS_HOME=home, KERAS_TORCH_DEVICE="cpu", KERAS_BACKEND=backend()),
    ):
        # With another backend, Keras asks whether TensorFlow is there too, and that alone takes seconds.
        hidden = os.environ["KERAS_BACKEND"] != "tensorflow" and "tensorflow" not in sys.modules
        if hidden:
            sys.modules["tensorflow"] = None  # type: ignore[assignment]
        try:
            import keras

            with keras.device("cpu"):
                yield keras
        finally:
            if hidden:
                del sys.modules["tensorflow"]


@contextmanager
def environment(**wanted: str) -> Iterator[None]:
    """Environment variables that are as before afterwards."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
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
    """One layer. Channels come last, whatever Keras' own settings say."""
    settings = {k: v for k, v in layer.settings.items() if k != "bidirectional"}
    if layer.kind == "InputLayer":
        tokens = any(other.kind == "Embedding" for other in layers)
        return keras.Input(settings["batch_shape"][1:], dtype="int32" if tokens else dtype)
    if layer.kind in ("Conv2D", "MaxPooling2D", "Flatten"):
        settings["data_format"] = "channels_last"
    made = getattr(keras.layers, layer.kind)(**settings, dtype=dtype)
    if layer.kind in RECURRENT and layer.settings.get("bidirectional"):
        return keras.layers.Bidirectional(made, dtype=dtype)
    return made


def build_saved(keras: Any, saved: Sequence[SavedLayer], weights: Sequence[Array], dtype: str) -> Any:
    """A Sequential model of layers as a file has them, with the weights in it. The values of their settings come from
    the file and not from our reading, so that a misreading shows in the outputs. Without what `as_saved` does."""
    tokens = any(layer.kind == "Embedding" for layer in saved)
    inputs = keras.Input(saved[0].config["batch_shape"][1:], dtype="int32" if tokens else dtype)
    computing = [layer for layer in saved[1:] if layer.kind in (*READERS.keys() - {"Rescaling"}, "Bidirectional")]
    model = keras.Sequential([inputs, *(as_keras_layer(keras, layer.kind, layer.config, dtype) for layer in computing)])
    model.set_weights(list(weights))
    return model


def as_keras_layer(keras: Any, kind: str, config: dict[str, Any], dtype: str) -> Any:
    """A layer with each setting of its file that decides what it computes; what matters for training only, such as
    initialisers, stays out."""
    if kind == "Bidirectional":
        sides = {key: config[key] for key in ("layer", "backward_layer") if config.get(key)}
        made = {key: as_keras_layer(keras, side["class_name"], side["config"], dtype) for key, side in sides.items()}
        return keras.layers.Bidirectional(**made, merge_mode=config.get("merge_mode", "concat"), dtype=dtype)
    computing = {*READERS[kind], *FIXED.get(kind, {}), "go_backwards"}
    settings = {key: value for key, value in config.items() if key in computing}
    if "activation" in settings:
        settings["activation"] = word(settings["activation"])
    return getattr(keras.layers, kind)(**settings, dtype=dtype)


def as_saved(inputs: Any, saved: Sequence[SavedLayer]) -> Any:
    """Inputs in the saved model's shape, behind its Rescaling of images of 0 to 255: Keras' own needs TensorFlow."""
    if any(layer.kind == "Embedding" for layer in saved):
        return inputs
    for layer in saved:
        if layer.kind == "Rescaling":
            inputs = (inputs * (255 * layer.config["scale"])).astype(inputs.dtype)
    return inputs.reshape(len(inputs), *saved[0].config["batch_shape"][1:])


def compare_outputs(
    layers: list[Layer],
    weights: Sequence[Array],
    ours: Outputs,
    *,
    dtype: str,
    saved: Sequence[SavedLayer] | None = None,
) -> float:
    """Largest difference of a probability between a Keras model and a network, on random inputs.

    Args:
        layers: of the Keras model, the input first.
        weights: in the order of its `set_weights`.
        ours: the network, from inputs in Keras' layout to logits and probabilities of the classes.
        dtype: of the model.
        saved: the layers as a file has them; Keras builds its model of these then, and of `layers` otherwise.

    Raises:
        ValueError: they differ by more than rounding.
    """
    inputs = random_inputs(layers, dtype)
    logits, probabilities = ours(inputs)
    units = layers[-1].settings["units"]

    def outputs(keras: Any, activation: str) -> Array:
        if saved is None:
            model = build_keras(keras, [*layers[:-1], with_activation(layers[-1], activation)], weights, dtype=dtype)
            return computed(keras, model, inputs)
        place = max(i for i, layer in enumerate(saved) if layer.kind == "Dense")  # behind it is its activation at most
        output = saved[place]._replace(config={**saved[place].config, "activation": activation})
        return computed(keras, build_saved(keras, [*saved[:place], output], weights, dtype), as_saved(inputs, saved))

    with quiet_keras() as keras:
        their_logits, theirs = (outputs(keras, end) for end in ("linear", "sigmoid" if units == 1 else "softmax"))
    if units == 1:
        probabilities = probabilities[:, 1:]
    elif logits.shape[1] == 1:  # one output here for two there
        their_logits = their_logits[:, 1:] - their_logits[:, :1]
    apart, logits_apart = (float(np.abs(a - b).max()) for a, b in ((theirs, probabilities), (their_logits, logits)))
    if not (apart <= PROBABILITY and logits_apart <= LOGIT * max(1.0, float(np.abs(their_logits).max()))):
        raise ValueError(f"the outputs differ from Keras' on random inputs: probabilities by {apart:.2g}")
    return apart


def with_activation(layer: Layer, activation: str) -> Layer:
    """The output layer with another activation."""
    return layer._replace(settings={**layer.settings, "activation": activation})


def computed(keras: Any, model: Any, inputs: Any) -> Array:
    """What a Keras model gives."""
    return np.asarray(keras.ops.convert_to_numpy(model(inputs, training=False)))


def random_inputs(layers: list[Layer], dtype: str) -> NDArray[Any]:
    """`(32, …)` samples in Keras' layout, fewer where they are large, the same each time: images of 0 to 1, features of
    a normal distribution, tokens with padding at both ends, in between, and everywhere.

    Raises:
        ValueError: one sample is too large.
    """
    rng = np.random.default_rng(0)
    shape = layers[0].settings["batch_shape"][1:]
    embedding = next((layer for layer in layers if layer.kind == "Embedding"), None)
    if embedding is None:
        size = math.prod(shape)
        if size > MOST_NUMBERS:
            raise ValueError(
                f"inputs of {size:,} numbers are too large to compare outputs on: at most {MOST_NUMBERS:,}"
            )
        several = (min(NUM_SAMPLES, MOST_NUMBERS // size), *shape)
        drawn = rng.random(several) if len(shape) > 1 else rng.standard_normal(several)
        return drawn.astype(dtype)
    steps = min(shape[0] or 20, MOST_STEPS)
    tokens = rng.integers(0, embedding.settings["input_dim"], (NUM_SAMPLES, steps), dtype=np.int32)
    for row, length in enumerate(rng.integers(1, steps + 1, NUM_SAMPLES // 2)):
        tokens[row, length:] = 0
        tokens[-1 - row, : steps - length] = 0
    tokens[0] = 0
    tokens[1, steps // 3 : steps // 2] = 0
    return tokens


def save_keras(layers: list[Layer], weights: Sequence[Array], path: Path, *, dtype: str) -> None:
    """Writes a `.keras` file, whole or not at all, and reads its weights again.

    Raises:
        ValueError: Keras' backend has changed the weights, as JAX does with float64.
    """
    kinds = [("Bidirectional" if layer.settings.get("bidirectional") else layer.kind, layer.name) for layer in layers]
    with quiet_keras() as keras, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        build_keras(keras, layers, weights, dtype=dtype).save(part)
        kept = [array for arrays in read_weights(part, kinds) for array in arrays]
        if not all(np.array_equal(a, b) for a, b in zip(kept, weights, strict=True)):
            raise ValueError(
                f"Keras does not keep {dtype} weights with the backend {backend()}: set KERAS_BACKEND=torch"
            )
        part.rename(path)
