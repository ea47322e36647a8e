"""Finds the network here that equals a Keras model, and its settings.

The adapter of a network takes the settings from the file's layers, and lists the layers of a network with these
settings. The two lists are compared layer by layer, and any difference is refused, so that nothing in a file is
overlooked.
"""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from lit_models.keras.adapters import Adapter, Settings, adapter_for
from lit_models.keras.files.chain import SavedLayer, saved_layers
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import CELL_RATES, DROPOUTS, READERS, Layer, dtype_of, read_layer
from lit_models.keras.files.simplify import simplified
from lit_models.keras.files.training import layer_notes, loss_of, read_training


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The network here that equals a Keras model.

    Args:
        adapter: the network's adapter.
        settings: arguments of the network's `Lit` class, plain values.
        layers: the model's layers as we have read them, the input first.
        saved: the same layers as the file has them.
        dtype: "float32" or "float64".
        notes: one sentence for each difference from the file.
    """

    adapter: Adapter
    settings: Settings
    layers: list[Layer]
    saved: list[SavedLayer]
    dtype: str
    notes: list[str]


def understand(content: dict[str, Any], *, model: str | None = None, dropout: float | None = None) -> Architecture:
    """Finds the network here that equals a Keras model.

    Args:
        content: the model's JSON, as returned by `read_model`.
        model: name of the required `Lit` class; None for any.
        dropout: the network's rate of dropout; replaces every rate in the file.

    Raises:
        KerasFileError: a layer or a setting has no counterpart; names it.
    """
    saved = saved_layers(content)
    compiled = content.get("compile_config") or {}
    adapter = adapter_for([layer.kind for layer in saved], model=model)
    if dropout is not None:
        saved = [layer for layer in saved if layer.kind not in DROPOUTS]
    check_kinds(saved, adapter)
    dtype = precision(saved)
    layers, notes = simplified([read_layer(layer) for layer in saved])
    if dropout is not None:
        layers = [Layer(k, s | dict.fromkeys(s.keys() & set(CELL_RATES), 0.0), n) for k, s, n in layers]
        notes.append(f"{adapter.name} has dropout {dropout} in its own places; the rates of the file are dropped")
    notes += check_output(layers[-1], compiled, adapter)
    settings = adapter.settings_from(layers)
    compare(layers, network_layers(adapter, settings, inputs=layers[0], output=layers[-1]), adapter)
    if dropout is not None:
        if dropout and not adapter.has_dropout(settings):
            raise KerasFileError(f"--dropout {dropout} has no effect: {adapter.name} has no dropout here; leave it out")
        settings["dropout"] = dropout
    training = read_training(compiled, default_optimizer=adapter.default_optimizer)
    settings |= {"num_classes": max(2, layers[-1].settings["units"])}
    settings |= {"optimizer": training.optimizer, "lr": training.lr, **adapter.training}
    settings |= {"optimizer_settings": training.settings} if training.settings else {}
    notes += [*layer_notes(saved), *training.notes]
    return Architecture(adapter=adapter, settings=settings, layers=layers, saved=saved, dtype=dtype, notes=notes)


def network_layers(adapter: Adapter, settings: Settings, *, inputs: Layer, output: Layer) -> list[Layer]:
    """The layers of a network in Keras, from the given input layer to the given output layer."""
    return [inputs, *adapter.hidden_layers(settings, inputs), output]


def check_kinds(saved: list[SavedLayer], adapter: Adapter) -> None:
    """Refuses a layer of a class that is not supported."""
    for layer in saved:
        if layer.kind not in (*READERS, "Bidirectional"):
            text = (
                f"layer {layer.name!r} ({layer.kind}) is not supported; {adapter.name} consists of {adapter.built_of}"
            )
            raise KerasFileError(text + advice(about_dropout=layer.kind in DROPOUTS))


def precision(saved: list[SavedLayer]) -> str:
    """The precision of all layers.

    Raises:
        KerasFileError: the layers differ in precision.
    """
    dtypes = sorted({dtype_of(layer) for layer in saved[1:]})
    if len(dtypes) != 1:
        raise KerasFileError(f"the layers compute in {' and '.join(dtypes)}; they must all have one precision")
    return dtypes[0]


def check_output(layer: Layer, compiled: Any, adapter: Adapter) -> list[str]:
    """Checks that the last layer predicts one class of several; returns notes about it.

    Raises:
        KerasFileError: it does something else.
    """
    if layer.kind != "Dense":
        raise KerasFileError(f"the last layer is the {layer}; {adapter.name} ends with a Dense layer of class outputs")
    units, activation, loss = layer.settings["units"], layer.settings["activation"], loss_of(compiled)
    if activation not in ("linear", "sigmoid" if units == 1 else "softmax"):
        needed = "1 output needs sigmoid" if units == 1 else f"{units} outputs need softmax"
        raise KerasFileError(f"{layer} has activation {activation!r}; {needed} or linear")
    if activation == "linear" and loss and "crossentropy" not in loss.lower().replace("_", ""):
        raise KerasFileError(f"the loss on the linear {layer} is {loss}; {adapter.name} supports cross-entropy")
    if activation == "linear" and units > 1 and "binary" in loss.lower():
        labels = f"the loss on the {units} linear outputs of {layer} is {loss}, so each output is a separate label"
        raise KerasFileError(f"{labels}; {adapter.name} predicts one class of several")
    notes = []
    if activation == "linear" and not loss:
        notes.append(f"the file names no loss; the linear outputs of {layer} are read as logits of classes")
    if units == 2:
        notes.append(f"the two outputs of {layer} become one, their difference; the probabilities are the same")
    return notes


def compare(in_file: list[Layer], expected: list[Layer], adapter: Adapter) -> None:
    """Compares a file's layers with those of a network.

    Raises:
        KerasFileError: names the first layer that differs.
    """
    for theirs, ours in zip_longest(in_file, expected):
        if theirs is None or ours is None or theirs.kind != ours.kind:
            drops = any(layer and layer.kind in DROPOUTS for layer in (theirs, ours))
            model_part = "the model ends" if theirs is None else f"the model has the {theirs}"
            network_part = f"{adapter.name} ends" if ours is None else f"{adapter.name} has {ours.kind}"
            text = f"{model_part} where {network_part}; {adapter.name} consists of {adapter.built_of}"
            raise KerasFileError(text + advice(about_dropout=drops))
        for key in theirs.settings | ours.settings:
            value, wanted = theirs.settings.get(key), ours.settings.get(key)
            if value != wanted:
                text = f"{theirs} has {key} {value!r} where {adapter.name} has {wanted!r}"
                raise KerasFileError(text + advice(about_dropout=key in ("rate", *CELL_RATES)))


def advice(*, about_dropout: bool) -> str:
    """Advice for a file whose dropout rates the network cannot have."""
    return "; use --dropout RATE to replace all rates by one" if about_dropout else ""
