"""LitMLP in Keras.

Arrays in the order of Keras' `get_weights`: kernel `(inputs, units)` and bias `(units,)` of each Dense layer. A kernel
is the transpose of torch's weight. If the Keras model flattens images of several channels, the rows of its first kernel
are ordered height, width, channel; LitMLP flattens images in the order channel, height, width.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lit_models.keras.adapters.base import (
    Adapter,
    Settings,
    activation_of,
    dense_layers,
    first_rate,
    hidden_sizes,
    of_kind,
)
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import Layer

if TYPE_CHECKING:
    from lit_models.keras.files.reading import Array


class MLPAdapter(Adapter):
    """Dense layers with one activation and one rate of dropout."""

    name = "LitMLP"
    marks = ("Dense",)
    built_of = "Flatten, Dense layers of one activation with a Dropout of one rate after each, the output Dense"
    training: ClassVar[Mapping[str, Any]] = {"init": "keras", "loss": "cross_entropy"}

    def input_shape(self, settings: Settings) -> tuple[int | None, ...]:
        return (settings["num_features"],)

    def hidden_layers(self, settings: Settings, inputs: Layer) -> Iterator[Layer]:
        if len(inputs.settings["batch_shape"]) > 2:
            yield Layer("Flatten", {})
        yield from dense_layers(settings["hidden_sizes"], settings["activation"], rate=settings["dropout"])

    def settings_from(self, layers: list[Layer]) -> Settings:
        shape = layers[0].settings["batch_shape"][1:]
        if None in shape:
            raise KerasFileError(f"the input has shape {shape}; {self.name} needs a fixed size")
        hidden = of_kind(layers, "Dense")[:-1]
        return {
            "num_features": math.prod(shape),
            "hidden_sizes": hidden_sizes(layers),
            "activation": activation_of(hidden[0]) if hidden else "relu",
            "dropout": first_rate(layers),
        }

    def network_arrays(self, arrays: "Sequence[Array]", layers: list[Layer]) -> "list[Array]":
        first, *others = arrays
        shape = layers[0].settings["batch_shape"][1:]
        if len(shape) == 3:
            maps = first.reshape(*shape, -1)  # (H * W * C, U) -> (H, W, C, U)
            first = maps.transpose(2, 0, 1, 3).reshape(first.shape)  # (C, H, W, U) -> (C * H * W, U)
        return [first, *others]

    def has_dropout(self, settings: Settings) -> bool:
        return bool(settings["hidden_sizes"])  # dropout follows hidden layers only

    def export_notes(self, settings: Settings) -> list[str]:
        rows = f"the model reads rows of {settings['num_features']} numbers"
        return [f"{rows}; flatten an image of several channels in the order channel, height, width"]
