"""The arrays of a Keras model's layers: their shapes, and what a network here takes of them."""

import math
from collections.abc import Sequence

import numpy as np

from lit_models.keras.architecture import Architecture
from lit_models.keras.files import Array, Check, Refused
from lit_models.keras.layers import Layer

Shape = tuple[int, ...]
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


def array_shapes(layers: list[Layer]) -> list[tuple[Layer, list[Shape]]]:
    """The layers that have weights, each with the shapes of its arrays in the order of Keras' `get_weights`."""
    found: list[tuple[Layer, list[Shape]]] = []
    shape: Shape = layers[0].settings["batch_shape"][1:]  # of one sample, as it goes through the layers
    for layer in layers[1:]:
        s = layer.settings
        if layer.kind == "Dense":
            found.append((layer, [(shape[-1], s["units"]), (s["units"],)]))
            shape = (*shape[:-1], s["units"])
        elif layer.kind == "Conv2D":
            k, lost = s["kernel_size"], 0 if s["padding"] == "same" else s["kernel_size"] - 1
            found.append((layer, [(k, k, shape[2], s["filters"]), (s["filters"],)]))
            shape = (shape[0] - lost, shape[1] - lost, s["filters"])
        elif layer.kind == "MaxPooling2D":
            shape = (shape[0] // s["pool_size"], shape[1] // s["pool_size"], shape[2])
        elif layer.kind == "Flatten":
            shape = (math.prod(shape),)
        elif layer.kind == "Embedding":
            found.append((layer, [(s["input_dim"], s["output_dim"])]))
            shape = (*shape, s["output_dim"])
        elif layer.kind in GATES:
            directions = 2 if s.get("bidirectional") else 1
            found.append((layer, cell_shapes(layer.kind, shape[-1], s["units"]) * directions))
            shape = (directions * s["units"],)
    return found


def cell_shapes(kind: str, inputs: int, units: int) -> list[Shape]:
    """Kernel, recurrent kernel and bias of one direction."""
    gates = GATES[kind] * units
    return [(inputs, gates), (units, gates), (2, gates) if kind == "GRU" else (gates,)]


def shape_check(layers: list[Layer]) -> Check:
    """The function that compares the shapes of a layer's arrays, by its name, with what the settings say.

    Raises:
        Refused: they differ; names the layer. It is the function that raises it.
    """
    expected = {layer.name: (layer, shapes) for layer, shapes in array_shapes(layers)}

    def check(name: str, there: list[Shape]) -> None:
        layer, shapes = expected[name]
        if there != shapes:
            raise Refused(f"has the {layer} with weights of shape {there}, and its settings say {shapes}")

    return check


def network_arrays(architecture: Architecture, arrays: Sequence[Array]) -> list[Array]:
    """The arrays as `load_keras_weights` takes them for the network: in the model's precision, one output for two
    classes, and for a perceptron on colour images with the channel first."""
    converted = [np.asarray(array, dtype=architecture.dtype) for array in arrays]
    sides = architecture.layers[0].settings["batch_shape"][1:]
    if architecture.model == "LitMLP" and len(sides) == 3:
        rows = converted[0].reshape(*sides, -1)  # (H * W * C, U) -> (H, W, C, U)
        converted[0] = rows.transpose(2, 0, 1, 3).reshape(converted[0].shape)  # (C * H * W, U)
    if architecture.layers[-1].settings["units"] == 2:
        *rest, kernel, bias = converted
        converted = [*rest, kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]]  # (I, 2), (2,) -> (I, 1), (1,)
    return converted
