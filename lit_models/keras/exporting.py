"""Export: writes a network as a Keras file that computes the same outputs.

These functions do not depend on the command line or on checkpoints.
"""

from pathlib import Path
from typing import NamedTuple

from torch import nn

from datamodules.errors import UserError
from lit_models.keras.adapters import Settings, adapter_of
from lit_models.keras.architecture import network_layers
from lit_models.keras.comparison import compare_outputs
from lit_models.keras.files.layers import Layer
from lit_models.keras.live import save_keras
from lit_models.keras.rules.weights import to_keras_weights


class ExportedModel(NamedTuple):
    """Information about an exported file, for the user.

    Args:
        difference: largest difference in probability between Keras and the network on random inputs.
        notes: what a user must know about the file, one sentence each.
    """

    difference: float
    notes: list[str]


def export_model(network: nn.Module, path: Path, *, model: str, settings: Settings) -> ExportedModel:
    """Writes a Sequential model with the network's weights to a new file, after comparing the outputs of both.

    Args:
        network: the network on the CPU.
        path: a new file that ends in `.keras`.
        model: name of the network's `Lit` class.
        settings: all arguments of that class.

    Raises:
        UserError: the network has no counterpart in Keras, or the outputs differ.
    """
    if path.suffix != ".keras":
        raise UserError(f"{path} does not end in .keras: give the file another name")
    layers = exported_layers(model, settings)
    weights = to_keras_weights(network)
    dtype = str(next(network.parameters()).dtype).removeprefix("torch.")
    difference = compare_outputs(layers, weights, network, dtype=dtype)
    save_keras(layers, weights, path, dtype=dtype)
    return ExportedModel(difference, adapter_of(model).export_notes(settings))


def exported_layers(model: str, settings: Settings) -> list[Layer]:
    """The Keras layers of a network, the input first.

    Args:
        model: name of the network's `Lit` class.
        settings: all arguments of that class.

    Raises:
        UserError: the network or a setting has no counterpart in Keras.
    """
    adapter = adapter_of(model)
    if (task := settings.get("task", "classification")) != "classification":
        raise UserError(f"{model} has targets for {task}; export to Keras supports classification")
    units = 1 if settings["num_classes"] == 2 else settings["num_classes"]
    if settings["loss"] == "half_squared_error" and units > 1:
        raise UserError(
            f"with loss half_squared_error, the {units} outputs of {model} are independent; "
            "export to Keras supports probabilities of classes that sum to 1"
        )
    if refusal := adapter.export_refusal(settings):
        raise UserError(f"{model} cannot be exported: {refusal}")
    inputs = Layer("InputLayer", {"batch_shape": (None, *adapter.input_shape(settings))})
    output = Layer("Dense", {"units": units, "activation": "sigmoid" if units == 1 else "softmax"})
    return network_layers(adapter, settings, inputs=inputs, output=output)
