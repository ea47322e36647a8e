"""The shapes of the arrays of a Keras model's layers, computed from the layers' settings."""

import math

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import Layer
from lit_models.keras.files.reading import ShapeCheck

Shape = tuple[int, ...]
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


def array_shapes(layers: list[Layer]) -> list[tuple[Layer, list[Shape]]]:
    """The layers that have weights, each with the shapes of its arrays in the order of Keras' `get_weights`."""
    shapes: list[tuple[Layer, list[Shape]]] = []
    shape: Shape = layers[0].settings["batch_shape"][1:]  # of one sample, as it passes through the layers
    for layer in layers[1:]:
        s = layer.settings
        if layer.kind == "Dense":
            shapes.append((layer, [(shape[-1], s["units"]), (s["units"],)]))
            shape = (*shape[:-1], s["units"])
        elif layer.kind == "Conv2D":
            k, lost = s["kernel_size"], 0 if s["padding"] == "same" else s["kernel_size"] - 1
            shapes.append((layer, [(k, k, shape[2], s["filters"]), (s["filters"],)]))
            shape = (shape[0] - lost, shape[1] - lost, s["filters"])
        elif layer.kind == "MaxPooling2D":
            shape = (shape[0] // s["pool_size"], shape[1] // s["pool_size"], shape[2])
        elif layer.kind == "Flatten":
            shape = (math.prod(shape),)
        elif layer.kind == "Embedding":
            shapes.append((layer, [(s["input_dim"], s["output_dim"])]))
            shape = (*shape, s["output_dim"])
        elif layer.kind in GATES:
            directions = 2 if s.get("bidirectional") else 1
            shapes.append((layer, cell_shapes(layer.kind, shape[-1], s["units"]) * directions))
            shape = (directions * s["units"],)
    return shapes


def cell_shapes(kind: str, inputs: int, units: int) -> list[Shape]:
    """Kernel, recurrent kernel and bias of one direction."""
    gates = GATES[kind] * units
    return [(inputs, gates), (units, gates), (2, gates) if kind == "GRU" else (gates,)]


def shape_check(layers: list[Layer]) -> ShapeCheck:
    """The function that compares the shapes of a layer's arrays with what the layer's settings imply.

    The function raises a KerasFileError that names the layer if they differ.
    """
    expected = {layer.name: (layer, shapes) for layer, shapes in array_shapes(layers)}

    def check(name: str, in_file: list[Shape]) -> None:
        layer, shapes = expected[name]
        if in_file != shapes:
            raise KerasFileError(f"{layer} has weights of shape {in_file}, but its settings imply {shapes}")

    return check
