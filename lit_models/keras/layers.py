"""The layers of a Keras model's JSON that have a counterpart here, each with the settings that decide what it computes.

Reading is strict: a setting is read, or has to have the value that torch's layer has, or matters for training's start
only, or is off (null or false); anything else is refused by name. Nothing is looked up in Keras.

Sources: `get_config` of the layers in Keras 2 and 3.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from lit_models.keras.chain import SavedLayer, saved_layer
from lit_models.keras.files import Refused

PRECISIONS = ("float32", "float64")
RECURRENT = ("SimpleRNN", "LSTM", "GRU")


class Layer(NamedTuple):
    """A layer that is known here.

    Args:
        kind: its class in Keras.
        settings: those that decide what it computes; of two equal layers they are equal.
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
        Refused: a setting that changes what is computed, and that no layer here has; names it.
    """
    kind, config = saved.kind, saved.config
    if kind == "Bidirectional":
        return read_bidirectional(saved)
    settings = {}
    readers, fixed = READERS[kind], FIXED.get(kind, {})
    for key in readers.keys() - config.keys():
        raise Refused(f"has the layer {saved.name!r} ({kind}) without the setting {key}")
    for key, value in config.items():
        place = f"has the layer {saved.name!r} ({kind}) with {key} {plain(value)!r}"
        if key in readers:
            try:
                settings[key] = readers[key](value)
            except (TypeError, ValueError) as error:
                raise Refused(f"{place}, which is no {error}") from error
        elif key in fixed and isinstance(value, dict):
            raise Refused(f"{place}, an object; only Keras' own {fixed[key]!r} is known here")
        elif key in fixed:
            default = value is None and key == "data_format"  # any other null has a meaning: linear, no bias, no limit
            if not default and plain(value) != fixed[key]:
                raise Refused(f"{place}; only {fixed[key]!r} is known here")
        elif not (value is None or value is False or value == 0 or matters_not(key)):
            raise Refused(f"{place}, a setting that is not known here")
    return Layer(kind, settings, saved.name)


def read_bidirectional(saved: SavedLayer) -> Layer:
    """The recurrent layer inside, with `bidirectional` among its settings; both directions have to be alike."""
    outer = {k: v for k, v in saved.config.items() if k not in ("layer", "backward_layer", "merge_mode")}
    for key, value in outer.items():
        if value and not matters_not(key):
            raise Refused(f"has the layer {saved.name!r} (Bidirectional) with {key}, a setting that is not known here")
    if (mode := saved.config.get("merge_mode", "concat")) != "concat":
        raise Refused(f"has the layer {saved.name!r} (Bidirectional) with merge_mode {mode!r}; only 'concat' is known")
    forward = inner_layer(saved, saved.config["layer"])
    backward = saved.config.get("backward_layer")
    if backward:
        config = backward["config"]
        alike = inner_layer(saved, {**backward, "config": {**config, "go_backwards": False}})
        if (alike.kind, alike.settings) != (forward.kind, forward.settings) or config.get("go_backwards") is not True:
            raise Refused(f"has the layer {saved.name!r} (Bidirectional) with two directions that are not alike")
    return Layer(forward.kind, {**forward.settings, "bidirectional": True}, saved.name)


def inner_layer(outer: SavedLayer, entry: Any) -> Layer:
    """The recurrent layer of a direction."""
    inner = saved_layer(entry)
    if inner.kind not in RECURRENT:
        raise Refused(
            f"has the layer {outer.name!r} (Bidirectional) around {inner.kind}: {', '.join(RECURRENT)} can be"
        )
    if inner.config.get("return_sequences") and inner.config.get("zero_output_for_mask"):  # as Bidirectional sets it
        inner = inner._replace(config={**inner.config, "zero_output_for_mask": False})
    return read_layer(inner._replace(name=outer.name))


def simplified(layers: list[Layer]) -> tuple[list[Layer], list[str]]:
    """The layers without those that compute nothing here, activations in the layer that they follow; and notes.

    Raises:
        Refused: such a layer in a place where it does compute something.
    """
    kept = [Layer("InputLayer", {"batch_shape": (None, *layers[0].settings["batch_shape"][1:])}, layers[0].name)]
    notes: list[str] = []
    for place, layer in enumerate(layers[1:], start=1):
        before, first = kept[-1], len(kept) == 1
        shape = kept[0].settings["batch_shape"][1:]
        if layer.kind in ("Activation", "ReLU", "Softmax"):
            if before.settings.get("activation") != "linear":
                raise Refused(f"has the {layer} where no linear Dense or Conv2D is before it")
            name = layer.settings.get("activation", layer.kind.lower())
            kept[-1] = before._replace(settings={**before.settings, "activation": name})
        elif layer.kind == "Rescaling":
            if not (first and len(shape) > 1 and abs(layer.settings["scale"] * 255 - 1) <= 1e-6):
                raise Refused(
                    f"has the {layer} that does not bring an input of 0 to 255 to 0 to 1, as images have here"
                )
            notes.append(f"the {layer} is left out: images are 0 to 1 here already")
        elif layer.kind == "Reshape":
            kept = reshaped(kept, layer, layers[place + 1 :])
        elif not (layer.settings.get("rate") == 0 or (layer.kind == "Flatten" and first and len(shape) == 1)):
            kept.append(layer)
    return kept, notes


def reshaped(kept: list[Layer], layer: Layer, behind: list[Layer]) -> list[Layer]:
    """The layers after a Reshape of the input, which flattens it, gives it the form of an image where a Conv2D is
    behind it, or changes nothing where a Flatten is."""
    old, new = kept[0].settings["batch_shape"][1:], layer.settings["target_shape"]
    if len(kept) == 1 and None not in old and math.prod(old) == math.prod(new):
        if len(new) == 1:
            return kept if len(old) == 1 else [*kept, Layer("Flatten", {}, layer.name)]
        if behind and behind[0].kind == "Flatten":
            return kept
        if any(other.kind == "Conv2D" for other in behind) and (len(old) == 1 or new == (*old, 1)):
            return [kept[0]._replace(settings={"batch_shape": (None, *new)})]
    raise Refused(f"has the {layer} to {new}; of the input to one row, or to an image, is known here")


def matters_not(key: str) -> bool:
    """Whether a setting changes no output of a trained model."""
    return key in NO_OUTPUT or key.endswith(("_initializer", "_regularizer", "_constraint"))


def plain(value: Any) -> Any:
    """A value to compare and to show: of numbers, `[k, k]` is k, and an object is its class's name."""
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1] and isinstance(value[0], int):
        return value[0]
    return value.get("class_name", "an object") if isinstance(value, dict) else value


def training_notes(layers: list[SavedLayer]) -> list[str]:
    """What the layers say of training alone, which nothing here has: a sentence each."""
    configs = [(repr(layer.name), config) for layer in layers for config in configs_of(layer)]
    frozen = dict.fromkeys(name for name, config in configs if config.get("trainable") is False)
    notes = [f"frozen in Keras, and trained on here: {', '.join(frozen)}"] if frozen else []
    limits = ("_regularizer", "_constraint")
    held = dict.fromkeys(name for name, config in configs if any(v and k.endswith(limits) for k, v in config.items()))
    return notes + ([f"regularizers and constraints are not taken over: {', '.join(held)}"] if held else [])


def configs_of(layer: SavedLayer) -> list[dict[str, Any]]:
    """A layer's settings, and those of the directions inside it."""
    inner = [layer.config.get(key) for key in ("layer", "backward_layer")]
    return [layer.config, *(entry["config"] for entry in inner if isinstance(entry, dict))]


def dtype_of(saved: SavedLayer) -> str:
    """The precision that a layer computes in."""
    value = saved.config.get("dtype") or "float32"
    name = value.get("config", {}).get("name") if isinstance(value, dict) else value
    if name not in PRECISIONS:
        raise Refused(f"has the layer {saved.name!r} ({saved.kind}) in {name}; {' and '.join(PRECISIONS)} can be read")
    return str(name)


def count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("whole number above 0")
    return value


def square(value: Any) -> int:
    pair = value if isinstance(value, list) else [value, value]
    if len(pair) != 2 or pair[0] != pair[1]:
        raise ValueError("square")
    return count(pair[0])


def rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError("number from 0 to below 1")
    return float(value)


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("number")
    return float(value)


def word(value: Any) -> str:
    if value is None:
        return "linear"
    if not isinstance(value, str):
        raise ValueError("name of Keras' own, and code is never run")
    return "softmax" if value == "softmax_v2" else value  # TensorFlow's function, as old files have it


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def shape(value: Any) -> tuple[int | None, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("shape that the model says of its input")
    return tuple(None if side is None else count(side) for side in value)


Readers = dict[str, Callable[[Any], Any]]
CELL: Readers = {"units": count, "return_sequences": flag, "dropout": rate, "recurrent_dropout": rate}
READERS: dict[str, Readers] = {
    "InputLayer": {"batch_shape": shape},
    "Reshape": {"target_shape": shape},
    "Rescaling": {"scale": number},
    "Flatten": {},
    "Dense": {"units": count, "activation": word},
    "Conv2D": {"filters": count, "kernel_size": square, "padding": word, "activation": word},
    "MaxPooling2D": {"pool_size": square, "strides": square, "padding": word},
    "Dropout": {"rate": rate},
    "Activation": {"activation": word},
    "ReLU": {},
    "Softmax": {},
    "Embedding": {"input_dim": count, "output_dim": count, "mask_zero": flag},
    **dict.fromkeys(RECURRENT, CELL),
}
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
NO_OUTPUT = {"name", "trainable", "dtype", "batch_input_shape", "input_length", "seed", "unroll", "implementation"}
NO_OUTPUT |= {"unit_forget_bias"}
