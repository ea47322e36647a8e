"""A live Keras model beside the network that our reading of it builds: outputs, gradients and weights."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from lit_models.keras.files.graph import saved_graph
from lit_models.keras.importing_graph import plain_graph
from lit_models.keras.network import KerasNetwork

Values = dict[str, Any]


class Computed(NamedTuple):
    """An output, and the gradients of a fixed sum over it: of the inputs and of the arrays of each layer."""

    output: Any
    inputs: Values
    weights: dict[str, list[Any]]


def randomize(model: Any) -> Any:
    """Gives a Keras model other weights than its initial ones, many of which are 0 or 1."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            values = rng.standard_normal(weight.shape) * 0.3
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    for layer in model.layers:
        if type(layer).__name__ == "Normalization":
            layer.finalize_state()  # it computes with a copy
    return model


def named_layers(keras: Any, model: Any, prefix: str = "") -> dict[str, Any]:
    """The layers of a model and of the models inside it, by the names that our graph gives them."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        inner = isinstance(layer, keras.Model)
        found |= named_layers(keras, layer, f"{prefix}{layer.name}/") if inner else {prefix + layer.name: layer}
    return found


def floats(layer: Any) -> list[Any]:
    """The arrays of a Keras layer, without counts and states of random numbers."""
    return [weight for weight in layer.weights if "float" in str(weight.dtype)]


def network_of(keras: Any, model: Any, dtype: torch.dtype = torch.float64) -> KerasNetwork:
    """Our network of a live model, with its weights, in evaluation mode."""
    saved = saved_graph(json.loads(model.to_json()))
    network = KerasNetwork(plain_graph(saved.calls), outputs=saved.outputs[0], num_outputs=0).to(dtype)
    layers = named_layers(keras, model)
    ours: dict[str, list[Any]] = {}
    for name, array in network.arrays():
        ours.setdefault(name, []).append(array)
    with torch.no_grad():
        for name, layer in layers.items():
            for weight, array in zip(floats(layer), ours.get(name, []), strict=True):
                assert tuple(weight.shape) == array.shape
                array.write(torch.from_numpy(np.asarray(weight)))
    return network.eval()


def ours(network: KerasNetwork, inputs: Values) -> Computed:
    """What our network computes."""
    given = {name: torch.from_numpy(value) for name, value in inputs.items()}
    for value in given.values():
        value.requires_grad_(value.is_floating_point())
    output = network.computed(given)
    (output * factors(output.shape).to(output.dtype)).sum().backward()  # type: ignore[no-untyped-call]
    gradients = {name: value.grad for name, value in given.items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.zeros(()) if parameter.grad is None else parameter.grad)
    weights: dict[str, list[Any]] = {}
    for name, array in network.arrays():
        weights.setdefault(name, []).append(array.read().detach().numpy())
    return Computed(output.detach().numpy(), {n: g.numpy() for n, g in gradients.items() if g is not None}, weights)


def theirs(keras: Any, model: Any, inputs: Values) -> Computed:
    """What Keras computes on TensorFlow."""
    import tensorflow as tf

    given = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
    trained = {name: [w for w in floats(layer) if w.trainable] for name, layer in named_layers(keras, model).items()}
    with tf.GradientTape() as tape:
        for value in given.values():
            tape.watch(value)
        values = list(given.values())
        output = model(values if len(values) > 1 else values[0], training=False)
        total = tf.reduce_sum(output * factors(output.shape).numpy().astype(output.dtype.name))
    variables = {name: [w.value for w in weights] for name, weights in trained.items()}
    watched = {name: value for name, value in given.items() if value.dtype.is_floating}
    of_inputs, of_weights = tape.gradient(total, (watched, variables))
    weights = {
        name: [np.zeros(w.shape) if g is None else dense(g) for w, g in zip(trained[name], gradients, strict=True)]
        for name, gradients in of_weights.items()
    }
    return Computed(np.asarray(output), {name: np.asarray(g) for name, g in of_inputs.items()}, weights)


def dense(gradient: Any) -> Any:
    """A gradient as an array; that of an Embedding is sparse."""
    import tensorflow as tf

    return np.asarray(tf.convert_to_tensor(gradient))


def factors(shape: Any) -> torch.Tensor:
    """Fixed random numbers."""
    return torch.from_numpy(np.random.default_rng(1).standard_normal(tuple(int(size) for size in shape)))


def assert_same(keras: Any, model: Any, inputs: Values, *, tolerance: float = 1e-10) -> None:
    """Compares outputs and all gradients; the tolerance is a fraction of the largest number."""
    floating = next((value for value in inputs.values() if value.dtype.kind == "f"), None)
    network = network_of(
        keras, randomize(model), torch.float32 if floating is not None and floating.itemsize == 4 else torch.float64
    )
    expected, computed = theirs(keras, model, inputs), ours(network, inputs)
    assert close(computed.output, expected.output, tolerance)
    for name, gradient in expected.inputs.items():
        assert close(computed.inputs[name], gradient, tolerance), f"gradient of input {name}"
    for name, gradients in expected.weights.items():
        for i, gradient in enumerate(gradients):  # a layer's trained arrays come first
            assert close(computed.weights[name][i], gradient, tolerance), f"gradient of array {i} of layer {name}"


def close(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two arrays are equal up to a fraction of their largest number."""
    return one.shape == other.shape and bool(np.abs(one - other).max() <= tolerance * max(1e-3, np.abs(other).max()))


def random_inputs(shapes: Mapping[str, tuple[int, ...]]) -> Values:
    """Normal numbers in float64, 3 samples."""
    rng = np.random.default_rng(2)
    return {name: rng.standard_normal((3, *shape)) for name, shape in shapes.items()}
