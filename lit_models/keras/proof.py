"""The comparison of an imported graph with live Keras, layer by layer: outputs in evaluation, and gradients.

Keras builds its model from the file, and not from our reading of it. Both compute the same random inputs. The gradients
are those of a fixed sum over the output. A difference is given as a fraction of the largest number in the array.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lit_models.keras.files.reading import Array
from lit_models.keras.live_graph import named_layers
from lit_models.keras.network import INPUT, KerasNetwork

SMALLEST = 0.1
"""Outputs that are all smaller than this are compared as if the largest were this: values before them are larger."""
Values = Mapping[str, Array]


class LayerProof(NamedTuple):
    """The comparison of one layer. `output` and `gradient` are None where there is nothing to compare, as for a layer
    without weights, or for several calls of a shared layer."""

    name: str
    kind: str
    shape: list[int]
    parameters: int
    output: float | None
    gradient: float | None


class Computed(NamedTuple):
    """What a model computes.

    Args:
        output: of the model.
        layers: the outputs of each layer, a list for each call.
        gradients: of the trained arrays of each layer, in the order of Keras' `get_weights`.
    """

    output: Array
    layers: dict[str, list[Array]]
    gradients: dict[str, list[Array]]


def compared(network: KerasNetwork, ours: Computed, theirs: Computed) -> list[LayerProof]:
    """A row for each layer, in the order of the graph."""
    rows = []
    for call in network.graph:
        name = call["name"]
        if call.get("kind", INPUT) == INPUT:
            continue
        outputs, gradients = theirs.layers.get(name, []), theirs.gradients.get(name, [])
        once = len(outputs) == len(ours.layers[name]) == 1
        pairs = list(zip(ours.gradients.get(name, []), gradients, strict=False))
        rows.append(
            LayerProof(
                name=name,
                kind=call["settings"]["function"] if call["kind"] == "Operation" else call["kind"],
                shape=list(ours.layers[name][0].shape[1:]),
                parameters=sum(parameter.numel() for parameter in network.layer(call).parameters()),
                output=difference(ours.layers[name][0], outputs[0], SMALLEST) if once else None,
                gradient=max((difference(one, other) for one, other in pairs), default=None),
            )
        )
    return rows


def difference(ours: Array, theirs: Array, smallest: float = 1e-3) -> float:
    """The largest difference, as a fraction of the largest number of Keras, or of `smallest` if that is larger.
    Infinity if the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    if not theirs.size:
        return 0.0
    return float(np.abs(ours - theirs).max() / max(smallest, float(np.abs(theirs).max())))


def factors(shape: Sequence[int]) -> Array:
    """The fixed factors of the sum whose gradients are compared."""
    return np.random.default_rng(1).standard_normal(tuple(shape))


def computed_here(network: KerasNetwork, inputs: Values) -> Computed:
    """What our network computes. Its weights and gradients stay as they are."""
    layers: dict[str, list[Array]] = {}
    hooks = [
        network.layer(call).register_forward_hook(_noting(layers, call["name"]))
        for call in network.graph
        if call.get("kind", INPUT) != INPUT
    ]
    before = [parameter.detach().clone() for parameter in network.parameters()]
    try:
        given = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.enable_grad():
            output = network.eval().computed(given)
            total = (output * torch.from_numpy(factors(output.shape)).to(output.dtype)).sum()
            weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
            found: Sequence[Tensor | None] = torch.autograd.grad(total, [*weights, total], allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(weights, found[:-1], strict=True):
                parameter.copy_(torch.zeros(()) if gradient is None else gradient)
        gradients: dict[str, list[Array]] = {}
        for name, array in network.arrays():
            trained: bool = array.parts[0].requires_grad
            if trained:
                gradients.setdefault(name, []).append(array.read().detach().numpy().copy())
    finally:
        for hook in hooks:
            hook.remove()
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), before, strict=True):
                parameter.copy_(value)
    return Computed(output.detach().numpy(), layers, gradients)


def _noting(layers: dict[str, list[Array]], name: str) -> Any:
    """A hook that keeps the first output of a layer."""

    def note(module: nn.Module, given: Any, output: Tensor | tuple[Tensor, ...]) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        layers.setdefault(name, []).append(first.detach().numpy().copy())

    return note


def computed_by_keras(keras: Any, live: Any, inputs: Values) -> Computed:
    """What Keras computes, with any backend."""
    layers: dict[str, list[Any]] = {}
    named = dict(named_layers(keras, live, ""))
    for name, layer in named.items():
        if type(layer).__name__ != "InputLayer":
            layer.call = _recorded(layer.call, layers.setdefault(name, []))
    given: Any = list(inputs.values())
    given = given if len(given) > 1 else given[0]
    trained = {name: layer.trainable_variables for name, layer in named.items()}
    variables = [variable for of_layer in trained.values() for variable in of_layer]
    try:
        output, found = GRADIENTS[keras.backend.backend()](keras, live, given, variables)
    except NotImplementedError:  # a layer of Keras that does not train with this backend
        output, variables, found = keras.ops.convert_to_numpy(live(given, training=False)), [], []
        trained = {}
    values = {id(variable): gradient for variable, gradient in zip(variables, found, strict=True)}
    numpy = keras.ops.convert_to_numpy
    gradients = {
        name: [np.zeros(v.shape) if values[id(v)] is None else np.asarray(numpy(values[id(v)])) for v in of_layer]
        for name, of_layer in trained.items()
    }
    kept = {name: [np.asarray(value) for value in outputs] for name, outputs in layers.items()}
    return Computed(np.asarray(output), kept, gradients)


def _recorded(call: Any, outputs: list[Any]) -> Any:
    """The `call` of a layer, which also keeps its first output."""

    def recorded(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        first = output[0] if isinstance(output, list | tuple) else output
        with suppress(Exception):  # JAX has no numbers while it traces
            outputs.append(np.array(first.detach() if isinstance(first, Tensor) else first))
        return output

    return recorded


def _with_torch(keras: Any, live: Any, given: Any, variables: list[Any]) -> tuple[Array, list[Any]]:
    output = live(given, training=False)
    total = (output * torch.from_numpy(factors(output.shape)).to(output.dtype)).sum()
    return output.detach().numpy(), list(torch.autograd.grad(total, [v.value for v in variables], allow_unused=True))


def _with_tensorflow(keras: Any, live: Any, given: Any, variables: list[Any]) -> tuple[Array, list[Any]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        output = live(given, training=False)
        total = tf.reduce_sum(output * factors(output.shape).astype(output.dtype.name))
    found = tape.gradient(total, [variable.value for variable in variables])
    return output.numpy(), [None if g is None else tf.convert_to_tensor(g) for g in found]


def _with_jax(keras: Any, live: Any, given: Any, variables: list[Any]) -> tuple[Array, list[Any]]:
    import jax

    output = np.asarray(live(given, training=False))  # the outputs of the layers are noted here
    weights = factors(output.shape).astype(output.dtype)
    others = [variable.value for variable in live.non_trainable_variables]
    places = {id(variable): place for place, variable in enumerate(live.trainable_variables)}

    def total(values: list[Any]) -> Any:
        computed, _ = live.stateless_call(values, others, given, training=False)
        return (computed * weights).sum()

    found = jax.grad(total)([variable.value for variable in live.trainable_variables])
    return output, [found[places[id(variable)]] for variable in variables]


GRADIENTS = {"torch": _with_torch, "tensorflow": _with_tensorflow, "jax": _with_jax}
"""For each backend of Keras, a function that gives the outputs and the gradients of the variables."""
