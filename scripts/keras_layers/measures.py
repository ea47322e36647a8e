"""What `python -m scripts.keras_layers` measures: the layers of Keras, their settings, and the largest differences."""

import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch._dynamo  # before TensorFlow

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import keeps_outputs
from lit_models.keras.files.settings import NEUTRAL, NEVER
from lit_models.keras.importing_graph import import_graph
from lit_models.keras.layers import LAYERS, settings_of
from lit_models.tasks.keras_graph import LitKeras
from tests.keras.beside import Computed, Values, network_of, ours, random_inputs, randomize, theirs
from tests.keras.examples import EXAMPLES
from tests.keras.graphs import MODELS
from tests.keras.layers.cases import CASES
from tests.parity.keras_runs import float64

SINGLE = "Pooling3D"
"""The layers that TensorFlow has in float32 only."""
ARGUMENTS = ("dtype", "trainable", "activity_regularizer", "weights", "use_cudnn", "quantization_config")
"""Arguments of classes of Keras that are read, or that a file does not have."""


def measured() -> dict[str, Any]:
    """Everything that the page shows, as plain data."""
    import keras

    found = layers(keras)
    for kind, apart in differences(keras):
        if kind in found:
            seen = found[kind].get("differences", [0.0, 0.0])
            found[kind]["differences"] = [max(one, other) for one, other in zip(seen, apart, strict=True)]
    return {"keras": keras.__version__, "layers": found, "examples": examples(keras)}


def layers(keras: Any) -> dict[str, dict[str, Any]]:
    """The public layers of Keras that are here, with the file of each and the settings that it does not take."""
    found: dict[str, dict[str, Any]] = {}
    for name, kind in sorted(vars(keras.layers).items()):
        if not inspect.isclass(kind) or name not in LAYERS:
            continue
        file = f"{LAYERS[name].__module__.replace('.', '/')}.py"
        given = inspect.signature(kind.__init__).parameters.values()
        names = [p.name for p in given if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in ("self", "name")]
        left = [n for n in names if n not in settings_of(LAYERS[name]) and not keeps_outputs(n)]
        left = [n for n in left if n not in NEVER and n not in ARGUMENTS]
        refused = [f"{n} other than {NEUTRAL[n]}" if n in NEUTRAL else n for n in left]
        found[name] = {"file": file, "refused": refused}
    return found


def differences(keras: Any) -> Iterator[tuple[str, tuple[float, float]]]:
    """Layers with the largest differences of outputs and gradients, as fractions of the largest number."""
    alone = set()
    for name, (shape, make) in CASES.items():
        inputs = random_inputs({"x": shape})
        if "masked" in name or "Bidirectional" in name:
            inputs["x"][0, 3:] = inputs["x"][1, :4] = inputs["x"][2, 2:5] = 0  # steps that Masking leaves out
        kind = name.split()[0]
        alone.add(kind)
        if kind.endswith(SINGLE):
            inputs = {"x": inputs["x"].astype("float32")}
            yield kind, apart(keras, keras.Sequential([keras.Input(shape, name="x"), *make(keras.layers)]), inputs)
            continue
        with float64():
            largest = apart(keras, keras.Sequential([keras.Input(shape, name="x"), *make(keras.layers)]), inputs)
        yield from ((one, largest) for one in (kind, *(part for part in name.split() if part.endswith("Cell"))))
    for build in MODELS.values():
        with float64():
            model, inputs = build(keras)
            given = {name: x.astype("float64") if x.dtype.kind == "f" else x for name, x in inputs.items()}
            largest = apart(keras, model, given)
        for kind in kinds(keras, model) - alone:
            yield kind, largest


def kinds(keras: Any, model: Any) -> set[str]:
    """The public names of the classes of layers in a model and in the models inside it."""
    found: set[str] = set()
    for layer in model.layers:
        own = {name for name, kind in vars(keras.layers).items() if kind is type(layer)}
        found |= kinds(keras, layer) if isinstance(layer, keras.Model) else own
    return found


def apart(keras: Any, model: Any, inputs: Values) -> tuple[float, float]:
    """The largest difference of an output and of a gradient."""
    single = any(value.dtype == np.float32 for value in inputs.values())
    network = network_of(keras, randomize(model), torch.float32 if single else torch.float64)
    expected, computed = theirs(keras, model, inputs), ours(network, inputs)
    gradients = [fraction(one, other) for one, other in gradient_pairs(computed, expected)]
    return fraction(computed.output, expected.output), max(gradients, default=0.0)


def gradient_pairs(computed: Computed, expected: Computed) -> Iterator[tuple[Any, Any]]:
    """The gradients of inputs and weights, ours and theirs."""
    for name, gradient in expected.inputs.items():
        yield computed.inputs[name], gradient
    for name, gradients in expected.weights.items():
        for i, gradient in enumerate(gradients):
            yield computed.weights[name][i], gradient


def fraction(one: Any, other: Any) -> float:
    """The largest difference of two arrays, as a fraction of the largest number and of at least 0.001."""
    assert one.shape == other.shape
    return float(np.abs(one - other).max() / max(1e-3, np.abs(other).max()))


def examples(keras: Any) -> list[dict[str, Any]]:
    """Each example with the largest difference of an output after an import in float32, or the refusal."""
    found = []
    for name, example in EXAMPLES.items():
        keras.backend.clear_session()
        entry: dict[str, Any] = {"name": name, "title": example.title, "kind": example.kind}
        with tempfile.TemporaryDirectory() as folder:
            randomize(example.build(keras)).save(path := Path(folder) / "model.keras")
            try:
                imported = import_graph(path)
                network = LitKeras(**imported.settings).network
                entry |= {
                    "difference": imported.transfer(network),
                    "parameters": sum(map(numbers, network.parameters())),
                }
            except KerasFileError as error:
                entry["refused"] = str(error).removeprefix(f"{path}: ")
        found.append(entry)
    return found


def numbers(parameter: torch.Tensor) -> int:
    return parameter.numel()
