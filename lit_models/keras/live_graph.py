"""The live Keras model of a graph in a file, for comparing outputs.

Keras reads the connections and the values of the settings from the file, and not from our reading of it. Before that,
everything is removed that is not a setting which a layer here takes: no other object that a file describes is created.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lit_models.keras.files.chain import PUBLIC_NAMES
from lit_models.keras.files.graph import MODELS, is_operation, layer_name
from lit_models.keras.files.layers import function_name
from lit_models.keras.files.reading import Array
from lit_models.keras.files.settings import OLD_NAMES, WRAPPED
from lit_models.keras.layers import LAYERS, settings_of
from lit_models.keras.operations import OPERATIONS

APPLICATIONS = {
    "LayerScale": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}
"""Layers that are not in `keras.layers`, and their modules."""
NEURAL = {"Sigmoid", "Relu", "Relu6", "Silu", "HardSigmoid", "Softplus", "Gelu", "Softmax"}
"""Functions of `keras.ops.nn`; the others are of `keras.ops.numpy`."""


def build_graph(keras: Any, model: Mapping[str, Any], weights: Mapping[str, Sequence[Array]], dtype: str) -> Any:
    """The Keras model of a file, with the weights in it.

    Args:
        keras: the package.
        model: the model's JSON, whose layers and settings were all read before.
        weights: the arrays of each layer by its name in the graph.
        dtype: precision of all layers.
    """
    own = {f"lit_models>{kind}": layer for kind, layer in scaling_layers(keras).items()}
    live = keras.saving.deserialize_keras_object(clean_model(model, dtype), custom_objects=own, safe_mode=True)
    for name, layer in named_layers(keras, live, ""):
        variables = [variable for variable in layer.weights if "int" not in str(variable.dtype)]
        for variable, array in zip(variables, weights.get(name, []), strict=True):
            variable.assign(array)
    return live


def scaling_layers(keras: Any) -> dict[str, Any]:
    """Keras' Rescaling and Normalization, which need TensorFlow, as plain layers of Keras."""

    class Rescaling(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, *, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.scale, self.offset = (np.asarray(value, self.compute_dtype) for value in (scale, offset))

        def call(self, x: Any) -> Any:
            return x * self.scale + self.offset

    class Normalization(keras.layers.Layer):  # type: ignore[misc]
        def __init__(
            self, *, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
        ) -> None:
            super().__init__(**kwargs)
            self.axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
            self.given, self.invert = (mean, variance), invert

        def build(self, shape: Any) -> None:
            kept = sorted(axis % len(shape) for axis in self.axes)
            self.spread = [shape[i] if i in kept else 1 for i in range(len(shape))]
            sizes = tuple(shape[i] for i in kept)
            if self.given[0] is None:
                self.mean = self.add_weight(name="mean", shape=sizes, initializer="zeros", trainable=False)
                self.variance = self.add_weight(name="variance", shape=sizes, initializer="ones", trainable=False)
            else:
                given = (np.broadcast_to(np.asarray(value, self.compute_dtype), sizes) for value in self.given)
                self.mean, self.variance = given

        def call(self, x: Any) -> Any:
            mean, variance = (keras.ops.reshape(value, self.spread) for value in (self.mean, self.variance))
            deviation = keras.ops.maximum(keras.ops.sqrt(variance), keras.config.epsilon())
            return x * deviation + mean if self.invert else (x - mean) / deviation

    return {"Rescaling": Rescaling, "Normalization": Normalization}


def named_layers(keras: Any, model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The layers of a live model and of the models inside it, by their names in the graph."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from named_layers(keras, layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


def module_of_operation(function: str) -> str:
    """The module of a function's class in Keras."""
    return f"keras.src.ops.{'nn' if function in NEURAL else 'numpy'}"


def clean_model(entry: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The JSON of a model with nothing but layers, their settings and their connections."""
    config = entry["config"]
    layers = config if isinstance(config, list) else config["layers"]
    kept: dict[str, Any] = {"layers": [clean_entry(layer, dtype) for layer in layers]}
    if isinstance(config, Mapping):
        names = ("name", "trainable", "input_layers", "output_layers", "build_input_shape")
        kept |= {key: config[key] for key in names if key in config}
    sequential = entry["class_name"] == "Sequential"
    module, kind = ("keras", "Sequential") if sequential else ("keras.src.models.functional", "Functional")
    return {"module": module, "class_name": kind, "config": kept, "registered_name": kind}


def clean_entry(entry: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """One layer or nested model, with its connections."""
    kind = entry["class_name"]
    if kind in MODELS:
        cleaned = clean_model(entry, dtype)
        cleaned["config"]["name"] = layer_name(entry)
    elif is_operation(entry):
        assert kind in OPERATIONS
        cleaned = {
            "module": module_of_operation(kind),
            "class_name": kind,
            "config": entry["config"],
            "registered_name": kind,
        }
    else:
        cleaned = clean_layer(kind, entry["config"], dtype)
    links = {"inbound_nodes": entry["inbound_nodes"]} if "inbound_nodes" in entry else {}
    return {**cleaned, "name": layer_name(entry), **links}


def clean_layer(kind: str, config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """One layer with the settings that a layer here takes."""
    kind, kept = PUBLIC_NAMES.get(kind, kind), {"name": config.get("name")}
    if kind == "InputLayer":
        kept["batch_shape"] = config.get("batch_shape") or config.get("batch_input_shape")
        kept["dtype"] = config.get("dtype") if isinstance(config.get("dtype"), str) else dtype
    else:
        kept |= {"dtype": dtype} | ({"trainable": False} if config.get("trainable") is False else {})
        taken = settings_of(LAYERS[kind])
        for key, value in config.items():
            name = OLD_NAMES.get((kind, key), key)
            if name in taken:
                kept[name] = clean_value(kind, name, value, dtype)
        if "batch_input_shape" in config:  # the first layer of a Sequential model in Keras 2
            kept["batch_input_shape"] = config["batch_input_shape"]
    if kind in ("Rescaling", "Normalization"):
        return {"module": None, "class_name": kind, "config": kept, "registered_name": f"lit_models>{kind}"}
    module = APPLICATIONS.get(kind, "keras.layers")
    return {"module": module, "class_name": kind, "config": kept, "registered_name": None}


def clean_value(kind: str, key: str, value: Any, dtype: str) -> Any:
    """The value of a setting: plain data, or the layer inside another one."""
    if key in WRAPPED:
        return None if value is None else clean_layer(value["class_name"], value["config"], dtype)
    if key.endswith("activation"):
        return function_name(value)
    if kind == "BatchNormalization" and key == "axis" and isinstance(value, list):
        return value[0]  # Keras 2 has a list
    return value
