"""Which network here a Keras model is, with which settings; and which Keras layers a network is.

One function a class says which layers a network with given settings is. A file is understood by taking the sizes from
its layers, asking that function, and comparing the answer with the file, layer by layer: what differs anywhere is
refused, so that nothing in a file is overlooked.
"""

import math
from collections.abc import Callable
from itertools import pairwise, takewhile, zip_longest
from typing import Any, NamedTuple

from lit_models.keras.chain import SavedLayer, saved_layers
from lit_models.keras.files import Refused
from lit_models.keras.layers import (
    READERS,
    RECURRENT,
    Layer,
    dtype_of,
    read_layer,
    simplified,
    training_notes,
)

Settings = dict[str, Any]
BUILT_OF = {
    "LitMLP": "Flatten, Dense of one activation with one Dropout rate behind each, the output's Dense",
    "LitCNN": "Conv2D, MaxPooling2D behind it or not, Flatten, Dense with Dropout behind each, the output's Dense",
    "LitRNN": "Embedding, SimpleRNN, LSTM or GRU with Dropout between, Dense with relu, Dropout, the output's Dense",
}
CELLS = {"simple": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
ACTIVATIONS = ("relu", "tanh", "sigmoid")
DROPOUTS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D")
CELL_RATES = {"dropout": 0.0, "recurrent_dropout": 0.0}


class Architecture(NamedTuple):
    """A Keras model as a network here.

    Args:
        model: name of the class.
        settings: arguments of its constructor, plain values.
        layers: the model's layers as they were understood, the input first.
        saved: the same as the file has them.
        dtype: "float32" or "float64".
        notes: what is not as in the file, a sentence each.
    """

    model: str
    settings: Settings
    layers: list[Layer]
    saved: list[SavedLayer]
    dtype: str
    notes: list[str]


def understand(model: dict[str, Any], *, wanted: str | None = None, dropout: float | None = None) -> Architecture:
    """The network that a Keras model is.

    Args:
        model: its JSON, as `read_model` gives it.
        wanted: the class that it has to be, where that is known.
        dropout: the network's dropout, in place of every rate in the file.

    Raises:
        Refused: a layer or a setting that has no counterpart; names it.
    """
    saved = saved_layers(model)
    name = family([layer.kind for layer in saved], wanted)
    if dropout is not None:
        saved = [layer for layer in saved if layer.kind not in DROPOUTS]
    for layer in saved:
        if layer.kind not in (*READERS, "Bidirectional"):
            text = f"has the layer {layer.name!r} ({layer.kind}), and {name} is {BUILT_OF[name]}"
            raise Refused(text + advice(about_dropout=layer.kind in DROPOUTS))
    dtypes = sorted({dtype_of(layer) for layer in saved[1:]})
    if len(dtypes) != 1:
        raise Refused(f"computes in {' and '.join(dtypes)}, and a network here in one precision")
    layers, notes = simplified([read_layer(layer) for layer in saved])
    if dropout is not None:
        layers = [Layer(k, s | dict.fromkeys(s.keys() & CELL_RATES, 0.0), n) for k, s, n in layers]
        notes.append(f"dropout is {dropout} at {name}'s own places, whatever the file has")
    output = checked_output(layers[-1], model.get("compile_config"), name)
    if output.settings["activation"] == "linear" and not loss_of(model.get("compile_config")):
        notes.append(f"the file names no loss: the linear output of the {output} is read as logits of classes")
    if output.settings["units"] == 2:
        notes.append(f"the {output} has two outputs, and here one, their difference: the same probabilities")
    settings = SETTINGS[name](layers)
    compare(layers, network_layers(name, settings, layers[0], output), name)
    if dropout and name == "LitMLP" and not settings["hidden_sizes"]:
        raise Refused(
            f"has no hidden layer, and LitMLP has dropout behind those alone: --dropout {dropout} has no place"
        )
    settings |= {"num_classes": max(2, output.settings["units"])} | ({} if dropout is None else {"dropout": dropout})
    return Architecture(name, settings, layers, saved, dtypes[0], notes + training_notes(saved))


def family(kinds: list[str], wanted: str | None) -> str:
    """The class whose layers these are.

    Raises:
        Refused: none, or another one than `wanted`.
    """
    signs = (("LitRNN", ("Embedding", "Bidirectional", *RECURRENT)), ("LitCNN", ("Conv2D",)), ("LitMLP", ("Dense",)))
    for name, marks in signs:
        sign = next((kind for kind in kinds if kind in marks), None)
        if sign and wanted in (None, name):
            return name
        if sign:
            raise Refused(f"has layers of the class {sign}, so it is a {name} and no {wanted}")
    raise Refused(f"has none of the layers that networks here are made of: {', '.join(kinds[1:])}")


def checked_output(layer: Layer, compiled: Any, name: str) -> Layer:
    """The last layer, if it tells classes apart.

    Raises:
        Refused: it does something else.
    """
    if layer.kind != "Dense":
        raise Refused(f"ends with the {layer}, and {name} with a Dense of one output a class")
    units, activation = layer.settings["units"], layer.settings["activation"]
    if activation not in ("linear", "sigmoid" if units == 1 else "softmax"):
        what = "sigmoid or linear for one output" if units == 1 else "softmax or linear for several"
        raise Refused(f"ends with the {layer} of {units} {activation} outputs, and {name} has {what}")
    loss = loss_of(compiled)
    if activation == "linear" and loss and "crossentropy" not in loss.lower().replace("_", ""):
        raise Refused(f"was trained with {loss} on the linear {layer}, and {name} classifies")
    if activation == "linear" and units > 1 and "binary" in loss.lower():
        text = f"was trained with {loss} on the {units} linear outputs of the {layer}: each is a label of its own"
        raise Refused(f"{text}, and {name} gives one class of several")
    return layer


def loss_of(compiled: Any) -> str:
    """Name of the loss that the model was compiled with, or nothing."""
    loss = compiled.get("loss") if isinstance(compiled, dict) else None
    if isinstance(loss, dict) and "class_name" not in loss and len(loss) == 1:  # by the output's name
        (loss,) = loss.values()
    if isinstance(loss, list) and len(loss) == 1:
        (loss,) = loss
    if isinstance(loss, dict):
        loss = loss["config"] if isinstance(loss.get("config"), str) else loss.get("class_name")
    return str(loss or "")


def compare(found: list[Layer], expected: list[Layer], name: str) -> None:
    """Compares a file's layers with a network's.

    Raises:
        Refused: the first that differs.
    """
    for theirs, ours in zip_longest(found, expected):
        if theirs is None or ours is None or theirs.kind != ours.kind:
            there = "ends" if theirs is None else f"has the {theirs}"
            here = f"has ended; it is {BUILT_OF[name]}" if ours is None else f"has {ours.kind}; it is {BUILT_OF[name]}"
            drops = any(layer and layer.kind in DROPOUTS for layer in (theirs, ours))
            raise Refused(f"{there} where {name} {here}{advice(about_dropout=drops)}")
        for key in theirs.settings | ours.settings:
            value, wanted = theirs.settings.get(key), ours.settings.get(key)
            if value != wanted:
                text = f"has the {theirs} with {key} {value!r} where {name} has {wanted!r}"
                raise Refused(text + advice(about_dropout=key in ("rate", *CELL_RATES)))


def advice(*, about_dropout: bool) -> str:
    """What to do where rates of dropout cannot be held."""
    return "; --dropout RATE takes one rate at its own places instead" if about_dropout else ""


def network_layers(name: str, settings: Settings, inputs: Layer, output: Layer) -> list[Layer]:
    """The layers of a network in Keras, from the given input to the given output."""
    return [inputs, *LAYERS[name](settings, inputs), output]


def exported_layers(name: str, settings: Settings) -> list[Layer]:
    """The layers of a network of ours in Keras.

    Raises:
        ValueError: it has no counterpart.
    """
    if name not in LAYERS:
        raise ValueError(f"{name} has no counterpart among Keras' layers; {', '.join(LAYERS)} have")
    units = 1 if settings["num_classes"] == 2 else settings["num_classes"]
    if settings["loss"] == "half_squared_error" and units > 1:
        raise ValueError(f"{units} classes with loss half_squared_error are independent outputs: no classes for Keras")
    if settings.get("mask_padding") and settings["padding_id"] != 0:
        raise ValueError(
            f"mask_padding works in Keras for the padding token 0, and here it is {settings['padding_id']}"
        )
    side = settings.get("image_size")
    shapes = {"LitMLP": (settings.get("num_features"),), "LitCNN": (side, side, settings.get("num_channels"))}
    inputs = Layer("InputLayer", {"batch_shape": (None, *shapes.get(name, (None,)))})
    output = Layer("Dense", {"units": units, "activation": "sigmoid" if units == 1 else "softmax"})
    return network_layers(name, settings, inputs, output)


def dense(units: int, activation: str) -> Layer:
    return Layer("Dense", {"units": units, "activation": activation})


def dropout(rate: float) -> list[Layer]:
    return [Layer("Dropout", {"rate": rate})] if rate else []


def mlp_layers(s: Settings, inputs: Layer) -> list[Layer]:
    flat = len(inputs.settings["batch_shape"]) == 2
    layers = [] if flat else [Layer("Flatten", {})]
    for size in s["hidden_sizes"]:
        layers += [dense(size, s["activation"]), *dropout(s["dropout"])]
    return layers


def mlp_settings(layers: list[Layer]) -> Settings:
    hidden = of_kind(layers, "Dense")[:-1]
    sides = layers[0].settings["batch_shape"][1:]
    if None in sides:
        raise Refused(f"reads inputs of shape {sides}, and LitMLP of a known size")
    return {
        "num_features": math.prod(sides),
        "hidden_sizes": [layer.settings["units"] for layer in hidden],
        "activation": activation_of(hidden) if hidden else "relu",
        "dropout": first_rate(layers),
    }


def cnn_layers(s: Settings, inputs: Layer) -> list[Layer]:
    layers = []
    for i, filters in enumerate(s["filters"]):
        kernel, padding, pool = (
            s[key][i] if isinstance(s[key], list) else s[key] for key in ("kernel_size", "padding", "pool_size")
        )
        settings = {"filters": filters, "kernel_size": kernel, "padding": padding, "activation": s["activation"]}
        layers.append(Layer("Conv2D", settings))
        if pool > 1:
            layers.append(Layer("MaxPooling2D", {"pool_size": pool, "strides": pool, "padding": "valid"}))
            layers += dropout(s["pool_dropout"])
    layers.append(Layer("Flatten", {}))
    for size in s["dense_sizes"]:
        layers += [dense(size, s["activation"]), *dropout(s["dropout"])]
    return layers if s["dense_sizes"] else layers + dropout(s["dropout"])


def cnn_settings(layers: list[Layer]) -> Settings:
    maps = list(takewhile(lambda layer: layer.kind != "Flatten", layers))
    convolutions = of_kind(layers, "Conv2D")
    sides = layers[0].settings["batch_shape"][1:]
    if len(sides) != 3 or None in sides or sides[0] != sides[1]:
        raise Refused(f"reads inputs of shape {sides}, and LitCNN images as high as wide, such as (28, 28, 1)")
    behind = [second for first, second in pairwise(layers) if first.kind == "Conv2D"]
    pools = [layer.settings.get("pool_size", 1) for layer in behind]
    return {
        "num_channels": sides[2],
        "image_size": sides[0],
        "filters": [layer.settings["filters"] for layer in convolutions],
        "kernel_size": one_or_each([layer.settings["kernel_size"] for layer in convolutions]),
        "padding": one_or_each([padding_of(layer) for layer in convolutions]),
        "pool_size": one_or_each(pools),
        "dense_sizes": [layer.settings["units"] for layer in of_kind(layers, "Dense")[:-1]],
        "activation": activation_of(convolutions),
        "dropout": first_rate(layers[len(maps) :]),
        "pool_dropout": first_rate(maps),
    }


def rnn_layers(s: Settings, inputs: Layer) -> list[Layer]:
    embedding = {"input_dim": s["vocab_size"], "output_dim": s["embedding_size"], "mask_zero": s["mask_padding"]}
    layers = [Layer("Embedding", embedding)]
    sizes = [s["hidden_size"]] * s["num_layers"] + s["upper_sizes"]
    for i, size in enumerate(sizes):
        last = i == len(sizes) - 1
        cell = {"units": size, "return_sequences": not last, **CELL_RATES}
        layers.append(Layer(CELLS[s["cell"]], cell | ({"bidirectional": True} if s["bidirectional"] else {})))
        layers += [] if last else dropout(s["dropout"])
    return [*layers, *(dense(size, "relu") for size in s["dense_sizes"]), *dropout(s["dropout"])]


def rnn_settings(layers: list[Layer]) -> Settings:
    cells = [layer for layer in layers if layer.kind in RECURRENT]
    embeddings = of_kind(layers, "Embedding")
    if not cells or not embeddings:
        raise Refused(f"has no {'recurrent layer' if embeddings else 'Embedding'}, and LitRNN is {BUILT_OF['LitRNN']}")
    sizes = [layer.settings["units"] for layer in cells]
    equal = len(list(takewhile(lambda size: size == sizes[0], sizes)))
    embedding = embeddings[0].settings
    return {
        "vocab_size": embedding["input_dim"],
        "cell": next(name for name, kind in CELLS.items() if kind == cells[0].kind),
        "embedding_size": embedding["output_dim"],
        "hidden_size": sizes[0],
        "num_layers": equal,
        "upper_sizes": sizes[equal:],
        "dense_sizes": [layer.settings["units"] for layer in of_kind(layers, "Dense")[:-1]],
        "bidirectional": "bidirectional" in cells[0].settings,
        "dropout": first_rate(layers),
        "mask_padding": embedding["mask_zero"],
        **({"padding_id": 0} if embedding["mask_zero"] else {}),
    }


def of_kind(layers: list[Layer], kind: str) -> list[Layer]:
    return [layer for layer in layers if layer.kind == kind]


def first_rate(layers: list[Layer]) -> float:
    """The first rate of dropout; where others differ from it, comparing the layers finds them."""
    return next((float(layer.settings["rate"]) for layer in layers if layer.kind == "Dropout"), 0.0)


def one_or_each(values: list[Any]) -> Any:
    """One value where all are equal, else the list."""
    return values[0] if len(set(values)) == 1 else values


def activation_of(layers: list[Layer]) -> str:
    activation = str(layers[0].settings["activation"])
    if activation not in ACTIVATIONS:
        raise Refused(f"has the {layers[0]} with activation {activation!r}; {', '.join(ACTIVATIONS)} are there")
    return activation


def padding_of(layer: Layer) -> str:
    padding = str(layer.settings["padding"])
    if padding not in ("valid", "same"):
        raise Refused(f"has the {layer} with padding {padding!r}; valid and same are there")
    return padding


SETTINGS: dict[str, Callable[[list[Layer]], Settings]] = {
    "LitMLP": mlp_settings,
    "LitCNN": cnn_settings,
    "LitRNN": rnn_settings,
}
LAYERS: dict[str, Callable[[Settings, Layer], list[Layer]]] = {
    "LitMLP": mlp_layers,
    "LitCNN": cnn_layers,
    "LitRNN": rnn_layers,
}
