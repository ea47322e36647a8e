"""The settings of a layer in a Keras file, as the layers here take them.

Reading is strict. A setting is accepted if the layer here takes it, if it matters only for training, or if it is off
(null, false or 0). Any other setting is refused, and the error names it. No class is looked up in Keras.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from lit_models.keras.files.chain import SavedLayer, saved_layer
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.graph import Call
from lit_models.keras.files.layers import dtype_of, function_name, keeps_outputs, plain
from lit_models.keras.files.limits import limits_of
from lit_models.keras.layers import LAYERS, KerasLayer, settings_of
from lit_models.keras.layers.refused import REFUSED

NEUTRAL: dict[str, Any] = {
    "use_cudnn": "auto",
    "groups": 1,
    "renorm_momentum": 0.99,
    "loss_weight": None,
    "dilation_rate": 1,
    "fill_mode": "constant",
    "zero_output_for_mask": True,
}
"""Values of settings that have no effect on a layer that does not take them."""
NEVER = {"unroll", "implementation", "seed", "autocast", "sparse", "ragged", "optional", "flash_attention"}
"""Settings that do not change the outputs."""
OLD_NAMES = {("LeakyReLU", "alpha"): "negative_slope"}
"""Settings that had another name in Keras 2."""
WRAPPED = ("layer", "backward_layer", "cell")


def graph_call(call: Call) -> dict[str, Any]:
    """A call as plain data; see `network`.

    Raises:
        KerasFileError: the layer or one of its settings is not supported; names it.
    """
    entry: dict[str, Any] = {"name": call.name}
    if call.layer is None:
        entry["layer"] = call.of
    else:
        entry |= {"kind": call.layer.kind, "settings": call_settings(call), **limits_of(call.layer).settings}
    if call.reads:
        entry["reads"] = call.reads
    if call.mask is not None:
        entry["mask"] = call.mask
    own = call.layer.config.get("trainable") if call.layer else None
    if own is False or call.keywords.get("trainable") is False:
        entry["trainable"] = False
    return entry


def call_settings(call: Call) -> dict[str, Any]:
    """The settings of a call's layer, with those that Keras takes in the call.

    Raises:
        KerasFileError: one is not supported.
    """
    assert call.layer is not None
    # Keras 3 ignores the `training` of a call in a graph, once the model itself trains or evaluates.
    own = {name: value for name, value in call.keywords.items() if name not in ("training", "trainable")}
    if call.layer.kind == "Operation":
        config = {k: v for k, v in call.layer.config.items() if k not in ("name", "dtype", "function")}
        keywords = {name: value for name, value in {**config, **own}.items() if value is not None}
        return {"function": call.layer.config["function"], "arguments": call.arguments, "keywords": keywords}
    if call.layer.kind == "InputLayer":
        shape = call.layer.config["batch_shape"]
        if not isinstance(shape, list | tuple):
            raise KerasFileError("the model does not say the shape of its input; build it before it is saved")
        return {"shape": list(shape[1:])}
    return {**layer_settings(call.layer), **{name: value for name, value in own.items() if value}}


def layer_settings(saved: SavedLayer) -> dict[str, Any]:
    """The settings of a layer as the layer here takes them.

    Raises:
        KerasFileError: the layer or a setting is not supported.
    """
    place = f"layer {saved.name!r} ({saved.kind})"
    if saved.kind not in LAYERS:
        reason = f": {REFUSED[saved.kind]}" if saved.kind in REFUSED else ""
        raise KerasFileError(f"{place} is not supported{reason}")
    dtype_of(saved)
    taken, settings = settings_of(LAYERS[saved.kind]), {}
    for key, value in saved.config.items():
        key = OLD_NAMES.get((saved.kind, key), key)
        if key in taken:
            settings[key] = setting(saved, key, value)
        elif not is_neutral(key, value):
            raise KerasFileError(f"{place} has {key} {plain(value)!r}; this setting is not supported")
    return settings


def setting(saved: SavedLayer, key: str, value: Any) -> Any:
    """One setting as plain data."""
    place = f"layer {saved.name!r} ({saved.kind})"
    if key in WRAPPED:
        limits = [
            k for k, v in (value or {}).get("config", {}).items() if v and k.endswith(("_regularizer", "_constraint"))
        ]
        if key == "cell" and limits:
            raise KerasFileError(f"{place} has a cell with {limits[0]}; this is supported in SimpleRNN, LSTM and GRU")
        return None if value is None else wrapped(saved, value)
    if key.endswith("activation"):
        try:
            return function_name(value)
        except ValueError as error:
            raise KerasFileError(f"{place} has {key} {plain(value)!r}; expected {error}") from error
    hint = hints_of(saved.kind)[key]
    if not fits(value, hint):
        shown = f"{plain(value)!r}, an object" if isinstance(value, Mapping) else repr(value)
        raise KerasFileError(f"{place} has {key} {shown}; {hint_text(hint)} is supported")
    return list(value) if isinstance(value, tuple) else value


@cache
def hints_of(kind: str) -> dict[str, Any]:
    """The types of the settings of a layer."""
    found: dict[str, Any] = {}
    for base in reversed(LAYERS[kind].__mro__):
        if "__init__" in vars(base) and issubclass(base, KerasLayer):
            found |= get_type_hints(vars(base)["__init__"])
    return found


def fits(value: Any, hint: Any) -> bool:
    """Whether plain data have a type. A whole number counts as a `float`; true and false do not count as numbers."""
    if hint is Any or hint is None:
        return hint is Any or value is None
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin in (list, Sequence):
        return isinstance(value, list | tuple) and all(fits(part, arguments[0]) for part in value)
    if hint in (int, float):
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint)


def hint_text(hint: Any) -> str:
    """A type in words."""
    words = {int: "a whole number", float: "a number", str: "a name", bool: "true or false", type(None): "null"}
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(dict.fromkeys(hint_text(argument) for argument in get_args(hint)))
    return words.get(hint, "a list of numbers")


def wrapped(outer: SavedLayer, entry: Any) -> dict[str, Any]:
    """The layer inside another one."""
    inner = saved_layer(entry)
    return {"kind": inner.kind, "settings": layer_settings(inner._replace(name=outer.name))}


def is_neutral(key: str, value: Any) -> bool:
    """Whether a setting that a layer does not take has no effect on its outputs."""
    off = value is None or value is False or value == 0 or value == []
    return off or keeps_outputs(key) or key in NEVER or (key in NEUTRAL and plain(value) == NEUTRAL[key])
