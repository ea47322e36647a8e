"""The calls of the layers in a Keras model's JSON: which layer reads what. Nested models become part of the graph.

Sources: `get_config` of Sequential and functional models in Keras 2 and 3, and `inbound_nodes` of functional models.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lit_models.keras.files.chain import SavedLayer, saved_layer
from lit_models.keras.files.errors import KerasFileError

MODELS = ("Sequential", "Functional", "Model")
OPERATIONS = "keras.src.ops"
"""The package of functions, in the JSON of a `.keras` file."""
LAYER_INPUTS = {
    "MultiHeadAttention": ("query", "value", "key"),
    "GroupQueryAttention": ("query", "value", "key"),
}
"""Names of the tensors that a layer reads, in the order of `reads`, where they may be given by name."""
SETTINGS_OF_CALLS = ("use_causal_mask",)
"""Arguments of a call that are like settings."""


class Call(NamedTuple):
    """One call of a layer as the file has it.

    Args:
        name: its own name in the graph: that of the layer, after those of the models that it is in.
        layer: the layer; None if an earlier call has it.
        of: name of the call that has the layer.
        reads: names of the outputs that it reads.
        mask: name of the output that is the mask, or None.
        arguments: positional arguments, with None for each tensor; only for operations.
        keywords: arguments of the call that are not tensors.
        path: the models that the layer is in, and its place among the layers of each.
    """

    name: str
    layer: SavedLayer | None
    of: str
    reads: list[str]
    mask: str | None
    arguments: list[Any]
    keywords: dict[str, Any]


class SavedGraph(NamedTuple):
    """The calls of a model in computing order, and the names of its outputs."""

    calls: list[Call]
    outputs: list[str]


def saved_graph(model: Mapping[str, Any]) -> SavedGraph:
    """The graph of a model.

    Raises:
        KerasFileError: another kind of model, or a class that is not Keras' own.
    """
    reader = Reader()
    outputs = reader.model(model, prefix="", inputs=None, keywords={})
    return SavedGraph(reader.calls, outputs)


class Reader:
    """Reads nested models one inside the other, and counts how often each layer is called."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.times: dict[str, int] = {}

    def model(
        self, entry: Mapping[str, Any], *, prefix: str, inputs: list[str] | None, keywords: dict[str, Any]
    ) -> list[str]:
        """Adds the calls of a model; returns the names of its outputs.

        Args:
            entry: the model's JSON.
            prefix: before the names of its layers.
            inputs: what it reads; None for the outermost model.
            keywords: arguments of the call of the model.
        """
        kind, config = entry.get("class_name"), entry.get("config")
        if kind not in MODELS:
            raise KerasFileError(f"the model is of class {kind}; only Sequential and functional models are supported")
        layers = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
        if not layers or not isinstance(layers, list):
            raise KerasFileError("the model has no layers")
        if kind == "Sequential":
            shape = config.get("build_input_shape") if isinstance(config, dict) else None
            return self.sequence(layers, shape, prefix=prefix, inputs=inputs, keywords=keywords)
        if not isinstance(config, dict):
            raise KerasFileError("the functional model has no inputs and outputs")
        return self.functional(layers, config, prefix=prefix, inputs=inputs, keywords=keywords)

    def sequence(
        self, layers: list[Any], shape: Any, *, prefix: str, inputs: list[str] | None, keywords: dict[str, Any]
    ) -> list[str]:
        """Adds the layers of a Sequential model."""
        first = layers[0]["config"]
        if layers[0]["class_name"] == "InputLayer":
            layers, name = layers[1:], str(first.get("name", "input"))
        else:
            name = "input"
        if inputs is None:
            shape = first.get("batch_shape") or first.get("batch_input_shape") or shape
            inputs = [self.input(prefix + name, {**first, "batch_shape": shape})]
        current = inputs
        for layer in layers:
            current = self.call(layer, prefix=prefix, reads=current, mask=None, arguments=[], keywords=keywords)
        return current

    def functional(
        self,
        layers: list[Any],
        config: Mapping[str, Any],
        *,
        prefix: str,
        inputs: list[str] | None,
        keywords: dict[str, Any],
    ) -> list[str]:
        """Adds the layers of a functional model, each after those that it reads."""
        found: dict[tuple[str, int, int], str] = {}
        names = [end[0] for end in ends_of(config["input_layers"])]
        given = dict(zip(names, inputs or [], strict=True)) if inputs is not None else {}
        first = first_nodes(layers, config)
        pending = [(layer, i, node) for layer in layers for i, node in enumerate(layer.get("inbound_nodes") or [])]
        ordered = sorted(layers, key=lambda layer: names.index(layer_name(layer)) if layer_name(layer) in names else -1)
        for layer in ordered:
            if layer["class_name"] == "InputLayer":
                name = layer_name(layer)
                found[name, 0, 0] = given[name] if name in given else self.input(prefix + name, layer["config"])
                pending = [item for item in pending if item[0] is not layer]
        while pending:
            ready = [item for item in pending if all(source in found for source in sources_of(item[2]))]
            if not ready:
                raise KerasFileError(f"the connections of layer {pending[0][0].get('name')!r} have no beginning")
            for layer, i, node in ready:
                name = layer_name(layer)
                outputs = self.node(layer, node, found, prefix=prefix, keywords=keywords)
                index = first.get(name, 0) + i
                found |= {(name, index, k): output for k, output in enumerate(outputs)}
                if len(outputs) == 1:  # further outputs of a layer, such as its states
                    found |= {(name, index, k): f"{outputs[0]}:{k}" for k in range(1, 8)}
            pending = [item for item in pending if not any(item is other for other in ready)]
        return [found[end[0], int(end[1]), int(end[2])] for end in ends_of(config["output_layers"])]

    def node(
        self,
        layer: Mapping[str, Any],
        node: Any,
        found: Mapping[tuple[str, int, int], str],
        *,
        prefix: str,
        keywords: dict[str, Any],
    ) -> list[str]:
        """Adds one call of a layer in a functional model."""
        arguments, own = arguments_of(node)
        reads: list[str] = []
        constants = [replaced(argument, found, reads) for argument in arguments]
        for name in LAYER_INPUTS.get(str(layer["class_name"]), ()):
            if is_tensor(own.get(name)):
                replaced(own.pop(name), found, reads)
        mask = found[history(own.pop("mask"))] if is_tensor(own.get("mask")) else None
        if "initial_state" in own:
            replaced(own.pop("initial_state"), found, reads)
        if own.get("mask") is not None:
            raise KerasFileError(f"layer {layer.get('name')!r} is called with a mask that is not computed")
        left = [name for name, value in own.items() if any(True for _ in tensors_in(value))]
        if left:
            raise KerasFileError(f"layer {layer.get('name')!r} is called with {left[0]}, which is not supported")
        own = {name: value for name, value in own.items() if value is not None and name != "mask"}
        return self.call(
            layer, prefix=prefix, reads=reads, mask=mask, arguments=constants, keywords={**keywords, **own}
        )

    def input(self, name: str, config: Mapping[str, Any]) -> str:
        """Adds an input of the whole model."""
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        layer = SavedLayer("InputLayer", name, {"batch_shape": shape, "dtype": config.get("dtype")})
        self.calls.append(Call(name, layer, name, [], None, [], {}))
        return name

    def call(
        self,
        entry: Mapping[str, Any],
        *,
        prefix: str,
        reads: list[str],
        mask: str | None,
        arguments: list[Any],
        keywords: dict[str, Any],
    ) -> list[str]:
        """Adds a call of a layer, or of all layers of a nested model; returns the names of its outputs."""
        kind, config = entry["class_name"], entry["config"]
        if kind in MODELS:
            name = str(entry.get("name") or config.get("name") or kind)
            if config.get("trainable") is False:
                keywords = {**keywords, "trainable": False}
            return self.model(entry, prefix=f"{prefix}{name}/", inputs=reads, keywords=keywords)
        layer = operation(entry) if is_operation(entry) else saved_layer(entry)
        of = prefix + layer.name
        self.times[of] = times = self.times.get(of, 0) + 1
        name = of if times == 1 else f"{of}@{times}"
        self.calls.append(Call(name, layer if times == 1 else None, of, reads, mask, arguments, keywords))
        return [name]


def layer_name(entry: Mapping[str, Any]) -> str:
    """The name of a layer in a model's JSON."""
    return str(entry.get("name") or entry["config"].get("name"))


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a function of `keras.ops`. An `.h5` file does not say so, but only layers have a type."""
    if "module" in entry:
        return str(entry["module"]).startswith(OPERATIONS)
    return isinstance(entry["config"], Mapping) and not {"dtype", "trainable"} & entry["config"].keys()


def operation(entry: Mapping[str, Any]) -> SavedLayer:
    """A function of `keras.ops`."""
    config = entry["config"]
    name = str(config.get("name", entry.get("name")))
    return SavedLayer("Operation", name, {"function": entry["class_name"], **config})


def ends_of(ends: Any) -> list[Any]:
    """The inputs or outputs of a functional model, as a list of [layer, call, output]."""
    if isinstance(ends, Mapping):
        return list(ends.values())
    return list(ends) if isinstance(ends[0], list) else [ends]


def first_nodes(layers: list[Any], config: Mapping[str, Any]) -> dict[str, int]:
    """The number of the first call of each nested model: a functional model has a call of its own before."""
    nested = {layer_name(layer) for layer in layers if layer["class_name"] in MODELS}
    used: dict[str, list[int]] = {name: [] for name in nested}
    every = [source for layer in layers for node in layer.get("inbound_nodes") or [] for source in sources_of(node)]
    for name, index, _ in [*every, *((end[0], int(end[1]), 0) for end in ends_of(config["output_layers"]))]:
        if name in used:
            used[name].append(index)
    return {name: min(indices) for name, indices in used.items() if indices}


def arguments_of(node: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional and other arguments of a call, with tensors as Keras 3 has them."""
    if isinstance(node, Mapping):
        return list(node["args"]), dict(node["kwargs"])
    keywords: dict[str, Any] = {}
    tensors = []
    for name, index, output, *more in node:  # Keras 2
        tensors.append({"class_name": "__keras_tensor__", "config": {"keras_history": [name, index, output]}})
        for mapping in more:
            keywords |= mapping
    return [tensors], {name: legacy_value(value) for name, value in keywords.items()}


def legacy_value(value: Any) -> Any:
    """An argument of a call in Keras 2: a list [layer, call, output] is a tensor."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return {"class_name": "__keras_tensor__", "config": {"keras_history": value}}
    return [legacy_value(part) for part in value] if isinstance(value, list) else value


def is_tensor(value: Any) -> bool:
    """Whether an argument is the output of a layer."""
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def history(value: Mapping[str, Any]) -> tuple[str, int, int]:
    """The layer that a tensor comes from, the number of its call, and that of its output."""
    name, index, output = value["config"]["keras_history"]
    return str(name), int(index), int(output)


def tensors_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """All tensors in an argument."""
    if is_tensor(value):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)


def sources_of(node: Any) -> list[tuple[str, int, int]]:
    """What a call reads."""
    return [history(tensor) for argument in arguments_of(node) for tensor in tensors_in(argument)]


def replaced(argument: Any, found: Mapping[tuple[str, int, int], str], reads: list[str]) -> Any:
    """An argument with None for each tensor, whose name is added to `reads`."""
    if is_tensor(argument):
        reads.append(found[history(argument)])
        return None
    if isinstance(argument, list):
        return [replaced(part, found, reads) for part in argument]
    return argument
