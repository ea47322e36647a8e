"""Export of a graph: writes a `KerasNetwork` as a Keras file that computes the same outputs.

The file has the layers and connections that the network has. Layers of nested models are in one model, with names such
as `resnet_conv1`. Softmax or sigmoid, which belong to the loss here, are the last activation again.
"""

import inspect
import tempfile
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.errors import UserError
from lit_models.keras.comparison import PROBABILITY
from lit_models.keras.exporting import ExportedModel
from lit_models.keras.files.settings import WRAPPED
from lit_models.keras.importing_graph import KEEP_VALUES, random_inputs
from lit_models.keras.live import backend, quiet_keras
from lit_models.keras.live_graph import APPLICATIONS, module_of_operation
from lit_models.keras.network import KerasNetwork

NEED_TENSORFLOW = KEEP_VALUES | {"Rescaling", "Normalization"}
"""Layers that Keras computes with TensorFlow's help, whatever its backend is."""
MERGING = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"}
LISTED = MERGING | {"Attention", "AdditiveAttention", "CustomScaleLayer"}
"""Layers that take one list of inputs."""


def export_graph(network: KerasNetwork, path: Path, *, task: str) -> ExportedModel:
    """Writes a functional model with the network's weights to a new file, after comparing the outputs of both.

    Args:
        network: the network on the CPU.
        path: a new file that ends in `.keras`.
        task: of the model: "classification", "multilabel" or "regression".

    Raises:
        UserError: Keras cannot build or save the model, or the outputs differ.
    """
    if path.suffix != ".keras":
        raise UserError(f"{path} does not end in .keras: give the file another name")
    needs_tensorflow = sorted({call.get("kind", "") for call in network.graph} & NEED_TENSORFLOW)
    if needs_tensorflow and find_spec("tensorflow") is None:
        raise UserError(f"Keras needs TensorFlow for {' and '.join(needs_tensorflow)}: pip install tensorflow-cpu")
    activation = last_activation(network, task)
    dtype = str(next(network.parameters()).dtype).removeprefix("torch.")
    inputs = random_inputs(network, dtype)
    with (
        quiet_keras() as keras,
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        part = Path(folder) / path.name
        try:
            model = build(keras, network, activation, dtype)
            model.save(part)
            saved = keras.saving.load_model(part, compile=False)
            given = [*inputs.values()]
            outputs = saved(given if len(given) > 1 else given[0], training=False)
            theirs = np.asarray(keras.ops.convert_to_numpy(outputs))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"Keras cannot write the model: {reason}") from error
        difference = float(np.abs(theirs - outputs_of(network, inputs, activation)).max())
        allowed = PROBABILITY * max(1.0, float(np.abs(theirs).max()))
        if not difference <= allowed:  # NaN is refused too
            raise UserError(
                f"the outputs of the file differ on random inputs by {difference:.2g} (allowed: {allowed:.0e}); the "
                f"backend of Keras is {backend()}, and the model computes in {dtype}"
            )
        part.rename(path)
    scaled = network.input_scale != 1
    return ExportedModel(difference, ["the file reads pixels of 0 to 255"] if scaled else [])


def last_activation(network: KerasNetwork, task: str) -> str:
    """The activation that the loss contains here."""
    if task == "regression":
        return "linear"
    return "softmax" if task == "classification" and network.output_shape[-1] > 1 else "sigmoid"


@torch.no_grad()
def outputs_of(network: KerasNetwork, inputs: Mapping[str, Any], activation: str) -> Any:
    """The network's outputs after the activation, from inputs in Keras' layout."""
    network.eval()
    logits = network.computed({name: torch.from_numpy(value) for name, value in inputs.items()})
    outputs = {"softmax": logits.softmax(-1), "sigmoid": logits.sigmoid(), "linear": logits}[activation]
    return outputs.numpy()


def build(keras: Any, network: KerasNetwork, activation: str, dtype: str) -> Any:
    """The functional model in Keras, with the weights of the network."""
    layers: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for call in network.graph:
        name = call["name"]
        if name in network.inputs:
            tokens = network.vocabulary(name) is not None
            values[name] = keras.Input(network.inputs[name], name=plain_name(name), dtype="int32" if tokens else dtype)
            continue
        if "kind" in call:
            layers[name] = layer_of(keras, call, dtype)
        results = called(layers[str(call.get("layer", name))], call, network, values)
        for i, value in enumerate(results if isinstance(results, list | tuple) else [results]):
            values[f"{name}:{i}" if i else name] = value
    output = values[network.result]
    if activation != "linear":
        output = keras.layers.Activation(activation, dtype=dtype, name="probabilities")(output)
    inputs = [values[name] for name in network.inputs]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], output)
    set_weights(network, layers)
    return model


def plain_name(name: str) -> str:
    """A name that Keras takes: it refuses `/`."""
    return name.replace("/", "_").replace("@", "_")


def layer_of(keras: Any, call: Mapping[str, Any], dtype: str) -> Any:
    """A layer, or a function of `keras.ops`, with the settings that its constructor takes."""
    kind, settings = call["kind"], call["settings"]
    if kind == "Operation":
        name = settings["function"]
        return getattr(import_module(module_of_operation(name)), name)(**settings.get("keywords", {}))
    place = import_module(APPLICATIONS[kind]) if kind in APPLICATIONS else keras.layers
    made = getattr(place, kind)
    taken = inspect.signature(made).parameters
    own = {name: value for name, value in settings.items() if name in taken}
    for name in WRAPPED:
        if own.get(name) is not None:
            own[name] = layer_of(keras, {"name": f"{call['name']}_{name}", **own[name]}, dtype)
    trainable = {"trainable": False} if call.get("trainable") is False else {}
    return made(**own, **trainable, name=plain_name(call["name"]), dtype=dtype)


def called(layer: Any, call: Mapping[str, Any], network: KerasNetwork, values: Mapping[str, Any]) -> Any:
    """What a layer returns for the inputs of a call."""
    first = next(c for c in network.graph if c["name"] == call.get("layer", call["name"]))
    kind, settings = str(first["kind"]), first["settings"]
    reads = [values[name] for name in call["reads"]]
    if kind == "Operation":
        rest = iter(reads)
        return layer(*(next(rest) if x is None else x for x in settings["arguments"]))
    if kind in LISTED:
        reads = [reads]
    keywords: dict[str, Any] = {"use_causal_mask": True} if settings.get("use_causal_mask") else {}
    if "mask" in call:
        keywords["mask"] = values[call["mask"]]
    if kind in ("SimpleRNN", "LSTM", "GRU", "Bidirectional") and len(reads) > 1:
        reads, keywords["initial_state"] = reads[:1], reads[1:]
    return layer(*reads, **keywords)


def set_weights(network: KerasNetwork, layers: Mapping[str, Any]) -> None:
    """Copies the network's numbers into the layers of Keras."""
    arrays: dict[str, list[Any]] = {}
    for name, array in network.arrays():
        arrays.setdefault(name, []).append(array.read().detach().numpy())
    for name, values in arrays.items():
        variables = [variable for variable in layers[name].weights if "int" not in str(variable.dtype)]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
