"""LitCNN in Keras.

Arrays in the order of Keras' `get_weights`:

- kernel `(height, width, in, out)` and bias `(out,)` of each Conv2D; torch's weight is `(out, in, height, width)`;
- kernel `(inputs, units)` and bias `(units,)` of each Dense. The rows of the first kernel after Flatten are ordered
  height, width, channel; torch's are ordered channel, height, width.

`rules/weights.py` converts all of them.
"""

from collections.abc import Iterator
from itertools import pairwise, takewhile
from typing import Any

from lit_models.keras.adapters.base import (
    Adapter,
    Settings,
    activation_of,
    dense_layers,
    dropout_layers,
    first_rate,
    hidden_sizes,
    of_kind,
)
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import Layer

PADDINGS = ("valid", "same")


class CNNAdapter(Adapter):
    """Convolutions with or without pooling after each, then Dense layers."""

    name = "LitCNN"
    marks = ("Conv2D",)
    built_of = "Conv2D with or without MaxPooling2D after it, Flatten, Dense with Dropout after each, the output Dense"

    def input_shape(self, settings: Settings) -> tuple[int | None, ...]:
        size = settings["image_size"]
        return (*(size if isinstance(size, list) else (size, size)), settings["num_channels"])

    def hidden_layers(self, settings: Settings, inputs: Layer) -> Iterator[Layer]:
        activation, dropout = settings["activation"], settings["dropout"]
        for i, filters in enumerate(settings["filters"]):
            kernel, padding, pool = (value_at(settings[key], i) for key in ("kernel_size", "padding", "pool_size"))
            convolution = {"filters": filters, "kernel_size": kernel, "padding": padding, "activation": activation}
            yield Layer("Conv2D", convolution)
            if pool > 1:
                yield Layer("MaxPooling2D", {"pool_size": pool, "strides": pool, "padding": "valid"})
                yield from dropout_layers(settings["pool_dropout"])
        yield Layer("Flatten", {})
        yield from dense_layers(settings["dense_sizes"], activation, rate=dropout)
        if not settings["dense_sizes"]:
            yield from dropout_layers(dropout)

    def settings_from(self, layers: list[Layer]) -> Settings:
        shape = layers[0].settings["batch_shape"][1:]
        if len(shape) != 3 or None in shape:
            raise KerasFileError(f"the input has shape {shape}; {self.name} needs images of one size: (28, 28, 1)")
        maps = list(takewhile(lambda layer: layer.kind != "Flatten", layers))
        convolutions = of_kind(layers, "Conv2D")
        after = [second for first, second in pairwise(layers) if first.kind == "Conv2D"]
        return {
            "num_channels": shape[2],
            "image_size": one_or_each(list(shape[:2])),
            "filters": [layer.settings["filters"] for layer in convolutions],
            "kernel_size": one_or_each([layer.settings["kernel_size"] for layer in convolutions]),
            "padding": one_or_each([padding_of(layer) for layer in convolutions]),
            "pool_size": one_or_each([layer.settings.get("pool_size", 1) for layer in after]),
            "dense_sizes": hidden_sizes(layers),
            "activation": activation_of(convolutions[0]),
            "dropout": first_rate(layers[len(maps) :]),
            "pool_dropout": first_rate(maps),
        }


def value_at(setting: Any, i: int) -> Any:
    """The value of a setting for convolution `i`; a single value applies to all."""
    return setting[i] if isinstance(setting, list) else setting


def one_or_each(values: list[Any]) -> Any:
    """The single value if all are equal, otherwise the list."""
    return values[0] if len(set(values)) == 1 else values


def padding_of(layer: Layer) -> str:
    """The padding of a convolution.

    Raises:
        KerasFileError: neither "valid" nor "same".
    """
    padding = str(layer.settings["padding"])
    if padding not in PADDINGS:
        raise KerasFileError(f"{layer} has padding {padding!r}; {' and '.join(PADDINGS)} are supported")
    return padding
