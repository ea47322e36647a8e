"""The Keras layers that are supported, each with the settings that decide what it computes.

Reading is strict. Four kinds of settings are accepted: those that are read, those that have the value of torch's layer,
those that matter only for training, and those that are off (null, false or 0). Any other setting is refused, and the
error names it. No class is looked up in Keras.

Source: `get_config` of the layers in Keras 2 and 3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from lit_models.keras.files.chain import SavedLayer, saved_layer
from lit_models.keras.files.errors import KerasFileError

PRECISIONS = ("float32", "float64")
RECURRENT = ("SimpleRNN", "LSTM", "GRU")
DROPOUTS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D")
CELL_RATES = ("dropout", "recurrent_dropout")
"""Settings of a recurrent layer that are rates of dropout."""


class Layer(NamedTuple):
    """A supported layer.

    Args:
        kind: its class in Keras.
        settings: the settings that decide what it computes. Layers that compute the same have equal settings.
        name: its own name in the file.
    """

    kind: str
    settings: dict[str, Any]
    name: str = ""

    def __str__(self) -> str:
        return f"layer {self.name!r} ({self.kind})"


def read_layer(saved: SavedLayer) -> Layer:
    """A layer with its settings.

    Raises:
        KerasFileError: a setting changes what is computed and is not supported; names it.
    """
    kind, config = saved.kind, saved.config
    if kind == "Bidirectional":
        return read_bidirectional(saved)
    settings = {}
    readers, fixed = READERS[kind], FIXED.get(kind, {})
    for key in readers.keys() - config.keys():
        raise KerasFileError(f"layer {saved.name!r} ({kind}) has no setting {key}")
    for key, value in config.items():
        setting = f"layer {saved.name!r} ({kind}) has {key} {plain(value)!r}"
        if key in readers:
            try:
                settings[key] = readers[key](value)
            except ValueError as error:
                raise KerasFileError(f"{setting}; expected {error}") from error
        elif key in fixed:
            if value is None and key == "data_format":  # the default; any other null has a meaning, such as no bias
                continue
            if isinstance(value, dict) or plain(value) != fixed[key]:
                described = f"{setting}, an object" if isinstance(value, dict) else setting
                raise KerasFileError(f"{described}; only {fixed[key]!r} is supported")
        elif not (value is None or value is False or value == 0 or keeps_outputs(key)):
            raise KerasFileError(f"{setting}; this setting is not supported")
    return Layer(kind, settings, saved.name)


def read_bidirectional(saved: SavedLayer) -> Layer:
    """The recurrent layer inside a Bidirectional, with `bidirectional` among its settings.

    Raises:
        KerasFileError: the two directions have different settings, or a setting is not supported.
    """
    place = f"layer {saved.name!r} (Bidirectional)"
    outer = {k: v for k, v in saved.config.items() if k not in ("layer", "backward_layer", "merge_mode")}
    for key, value in outer.items():
        if value and not keeps_outputs(key):
            raise KerasFileError(f"{place} has {key} {plain(value)!r}; this setting is not supported")
    if (mode := saved.config.get("merge_mode", "concat")) != "concat":
        raise KerasFileError(f"{place} has merge_mode {mode!r}; only 'concat' is supported")
    forward = inner_layer(saved, saved.config["layer"])
    backward = saved.config.get("backward_layer")
    if backward:
        config = backward["config"]
        reversed_layer = inner_layer(saved, {**backward, "config": {**config, "go_backwards": False}})
        alike = (reversed_layer.kind, reversed_layer.settings) == (forward.kind, forward.settings)
        if not alike or config.get("go_backwards") is not True:
            raise KerasFileError(f"{place} has two directions with different settings; they must be the same")
    return Layer(forward.kind, {**forward.settings, "bidirectional": True}, saved.name)


def inner_layer(outer: SavedLayer, entry: Any) -> Layer:
    """The recurrent layer of one direction of a Bidirectional."""
    inner = saved_layer(entry)
    if inner.kind not in RECURRENT:
        raise KerasFileError(
            f"layer {outer.name!r} (Bidirectional) wraps {inner.kind}; only {', '.join(RECURRENT)} are supported"
        )
    if inner.config.get("return_sequences") and inner.config.get("zero_output_for_mask"):  # Bidirectional sets it
        inner = inner._replace(config={**inner.config, "zero_output_for_mask": False})
    return read_layer(inner._replace(name=outer.name))


def keeps_outputs(key: str) -> bool:
    """Whether a setting has no effect on the outputs of a trained model."""
    return key in NO_OUTPUT or key.endswith(("_initializer", "_regularizer", "_constraint"))


def plain(value: Any) -> Any:
    """A value for comparisons and messages: `[k, k]` becomes k, and an object becomes the name of its class."""
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1] and isinstance(value[0], int):
        return value[0]
    return value.get("class_name", "an object") if isinstance(value, dict) else value


def dtype_of(saved: SavedLayer) -> str:
    """The precision that a layer computes in.

    Raises:
        KerasFileError: neither float32 nor float64.
    """
    value = saved.config.get("dtype") or "float32"
    name = value.get("config", {}).get("name") if isinstance(value, dict) else value
    if name not in PRECISIONS:
        supported = " and ".join(PRECISIONS)
        raise KerasFileError(f"layer {saved.name!r} ({saved.kind}) computes in {name}; {supported} are supported")
    return str(name)


def count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a whole number above 0")
    return value


def square(value: Any) -> int:
    pair = value if isinstance(value, list) else [value, value]
    if len(pair) != 2 or pair[0] != pair[1]:
        raise ValueError("the same number for height and width")
    return count(pair[0])


def rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError("a number from 0 to below 1")
    return float(value)


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    return float(value)


def function_name(value: Any) -> str:
    if value is None:
        return "linear"
    if not isinstance(value, str):
        raise ValueError("the name of a Keras function (code in a file is never run)")
    return "softmax" if value == "softmax_v2" else value  # the name of TensorFlow's function in old files


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def shape(value: Any) -> tuple[int | None, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("a shape")
    return tuple(None if side is None else count(side) for side in value)


Readers = dict[str, Callable[[Any], Any]]
CELL: Readers = {"units": count, "return_sequences": flag, **dict.fromkeys(CELL_RATES, rate)}
READERS: dict[str, Readers] = {
    "InputLayer": {"batch_shape": shape},
    "Reshape": {"target_shape": shape},
    "Rescaling": {"scale": number},
    "Flatten": {},
    "Dense": {"units": count, "activation": function_name},
    "Conv2D": {"filters": count, "kernel_size": square, "padding": function_name, "activation": function_name},
    "MaxPooling2D": {"pool_size": square, "strides": square, "padding": function_name},
    "Dropout": {"rate": rate},
    "Activation": {"activation": function_name},
    "ReLU": {},
    "Softmax": {},
    "Embedding": {"input_dim": count, "output_dim": count, "mask_zero": flag},
    **dict.fromkeys(RECURRENT, CELL),
}
"""The settings of each layer that are read. A reader raises ValueError with what it expects."""
MAPS = {"data_format": "channels_last"}
STEPS = {"activation": "tanh", "use_bias": True}
FIXED: dict[str, dict[str, Any]] = {
    "Flatten": MAPS,
    "Dense": {"use_bias": True},
    "Conv2D": {**MAPS, "strides": 1, "dilation_rate": 1, "groups": 1, "use_bias": True},
    "MaxPooling2D": MAPS,
    "ReLU": {"max_value": None, "negative_slope": 0, "threshold": 0},
    "Softmax": {"axis": -1},
    "SimpleRNN": STEPS,
    "LSTM": {**STEPS, "recurrent_activation": "sigmoid"},
    "GRU": {**STEPS, "recurrent_activation": "sigmoid", "reset_after": True},
}
"""The settings of each layer that must have the same value as in torch's layer."""
NO_OUTPUT = {"name", "trainable", "dtype", "batch_input_shape", "input_length", "seed", "unroll", "implementation"}
NO_OUTPUT |= {"unit_forget_bias"}
"""Settings that have no effect on the outputs of a trained model."""
