"""The layers in a Keras model's JSON in computing order. Each layer must read only the one before it.

Sources: `get_config` of Sequential and functional models in Keras 2 and 3, and `inbound_nodes` of functional models.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from lit_models.keras.files.errors import KerasFileError

PUBLIC_NAMES = {"GroupedQueryAttention": "GroupQueryAttention"}
"""Classes that have another name in `keras.layers` than in Keras' source, which an `.h5` file has."""


class SavedLayer(NamedTuple):
    """A layer as the file has it: its class, its own name, and its settings."""

    kind: str
    name: str
    config: dict[str, Any]


def saved_layers(model: dict[str, Any]) -> list[SavedLayer]:
    """The layers of a Sequential model, or of a functional model that is a plain chain; the input comes first.

    Raises:
        KerasFileError: another kind of model, a branch, or a class that is not Keras' own.
    """
    config, kind = model.get("config"), model.get("class_name")
    if kind not in ("Sequential", "Functional", "Model"):
        raise KerasFileError(f"the model is of class {kind}; only Sequential and functional models are supported")
    entries = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
    if not entries or not isinstance(entries, list):
        raise KerasFileError("the model has no layers")
    if kind != "Sequential":
        entries = chained(entries, config)
    layers = [saved_layer(entry) for entry in entries]
    if len({layer.name for layer in layers}) < len(layers):
        raise KerasFileError("two layers have the same name")
    first = layers[0].config
    shape = first.get("batch_shape") or first.get("batch_input_shape")
    if shape is None and isinstance(config, dict):  # the model got its shape from the first batch
        shape = config.get("build_input_shape")
    name = layers.pop(0).name if layers[0].kind == "InputLayer" else "input"
    return [SavedLayer("InputLayer", name, {"batch_shape": shape}), *layers]


def saved_layer(entry: Any) -> SavedLayer:
    """One entry of a model's list of layers.

    Raises:
        KerasFileError: a class that is not Keras' own.
    """
    config, kind = entry["config"], entry["class_name"]
    name = str(config.get("name", entry.get("name", kind)))
    module, registered = entry.get("module"), entry.get("registered_name")
    foreign = module is not None and str(module).split(".")[0] not in ("keras", "tf_keras")
    if foreign or registered not in (None, kind) or ">" in kind:
        raise KerasFileError(f"layer {name!r} is of class {registered or kind}, which is not one of Keras' own")
    return SavedLayer(PUBLIC_NAMES.get(kind, kind), name, config)


def chained(entries: list[dict[str, Any]], config: Any) -> list[dict[str, Any]]:
    """The layers of a functional model, without the layer that computes the mask of an Embedding.

    Raises:
        KerasFileError: a layer reads anything but the layer before it.
    """
    masks = [entry["name"] for entry in entries if is_mask(entry, entries)]
    chain = [entry for entry in entries if entry["name"] not in masks]
    names = [entry["name"] for entry in chain]
    for i, entry in enumerate(chain):
        expected = [names[i - 1]] if i else []
        try:
            inputs = list(sources(entry, masks))
        except ValueError as error:
            raise KerasFileError(f"the connections of layer {names[i]!r} are not those of a Keras model") from error
        if inputs != expected:
            raise KerasFileError(
                f"layer {names[i]!r} must read the layer before it and nothing else; "
                "only a plain chain of layers is supported"
            )
    for key, expected_name in (("input_layers", names[0]), ("output_layers", names[-1])):
        ends = config[key]
        if [end[0] for end in (ends if isinstance(ends[0], list) else [ends])] != [expected_name]:
            what = key.replace("_", " ")
            raise KerasFileError(f"the model's {what} are {ends}; only a plain chain of layers is supported")
    return chain


def is_mask(entry: dict[str, Any], entries: list[dict[str, Any]]) -> bool:
    """Whether an entry is the comparison of the input with 0 that Keras 3 adds for an Embedding with mask_zero."""
    masked = any(e["class_name"] == "Embedding" and e["config"].get("mask_zero") for e in entries)
    if entry["class_name"] != "NotEqual" or not masked:
        return False
    nodes = entry["inbound_nodes"]
    if len(nodes) != 1 or not isinstance(nodes[0], dict):
        return False
    node = nodes[0]
    return [source_of(argument) for argument in node["args"]] == [entries[0]["name"], None] and node["args"][1] == 0


def sources(entry: dict[str, Any], masks: list[str]) -> Iterator[str]:
    """The names of the layers that a layer reads, once per call of the layer."""
    for node in entry.get("inbound_nodes") or []:
        if isinstance(node, dict):  # Keras 3
            yield from (source_of(argument) or "a constant" for argument in node["args"])
            values = {name: value for name, value in node["kwargs"].items() if value}
            yield from (name for name, value in values.items() if name != "mask" or source_of(value) not in masks)
        else:
            for name, _, _, *arguments in node:
                yield name
                yield from (key for mapping in arguments for key, value in mapping.items() if value)


def source_of(argument: Any) -> str | None:
    """The layer that an argument comes from; None if the argument is not a tensor."""
    tensor = isinstance(argument, dict) and argument.get("class_name") == "__keras_tensor__"
    return str(argument["config"]["keras_history"][0]) if tensor else None
