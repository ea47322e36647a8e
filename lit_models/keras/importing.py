"""Import: turns a Keras file into settings and weights of a network, and compares the outputs of both.

These functions do not depend on the command line or on run folders. The caller builds the network from the settings:

    imported = import_model(Path("model.keras"))
    module = LitCNN(**imported.settings)  # the class named by imported.name
    difference = imported.transfer(module.network)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from lit_models.keras.adapters import GRAPH_MODEL
from lit_models.keras.architecture import Architecture, understand
from lit_models.keras.comparison import PROBABILITY, compare_outputs
from lit_models.keras.continuing import load_state
from lit_models.keras.files.chain import saved_layers
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.graph_weights import ArrayShape
from lit_models.keras.files.optimizer_state import DROPPED, OptimizerState, read_optimizer_state
from lit_models.keras.files.reading import Array, read_model, read_weights
from lit_models.keras.files.shapes import shape_check
from lit_models.keras.files.training import read_training
from lit_models.keras.importing_graph import import_graph
from lit_models.keras.proof import LayerProof
from lit_models.keras.rules.weights import load_keras_weights


class Imported(Protocol):
    """What was read from a Keras file."""

    compared: ClassVar[str]
    """What is compared, for messages."""
    allowed: ClassVar[str]
    """The largest difference that is allowed, for messages."""

    @property
    def name(self) -> str:
        """The network's `Lit` class."""

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of that class, plain values."""

    @property
    def dtype(self) -> str:
        """Precision: "float32" or "float64"."""

    @property
    def notes(self) -> list[str]:
        """One sentence for each difference from the file."""

    @property
    def proof(self) -> Sequence[LayerProof]:
        """The comparison with Keras, a row for each layer; empty if only the outputs are compared."""

    def described(self) -> str:
        """The network in one line, for messages."""

    def transfer(self, network: nn.Module) -> float:
        """Copies the weights into the network, and compares its outputs with those of the live Keras model.

        Returns:
            The largest difference.

        Raises:
            UserError: they differ by more than rounding.
        """

    @property
    def steps(self) -> int:
        """Steps of the optimizer whose state can be taken over; 0 if there are none."""

    def load_state(self, optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
        """Puts the state of the file's optimizer into a new optimizer."""


@dataclass(frozen=True, kw_only=True)
class ImportedModel(Architecture):
    """The network here that equals the model in a Keras file, and its weights.

    Args:
        arrays: the weights as the file has them, in the order of Keras' `get_weights`.
        state: of the optimizer; None if it took no step, or cannot go on here.
    """

    arrays: list[Array]
    state: OptimizerState | None = None
    proof: ClassVar[Sequence[LayerProof]] = ()
    compared: ClassVar[str] = "in probability"
    allowed: ClassVar[str] = f"allowed: {PROBABILITY:.0e}"

    def described(self) -> str:
        """All settings, with their values."""
        return ", ".join(f"{name} {value}" for name, value in self.settings.items())

    @property
    def name(self) -> str:
        """The network's `Lit` class."""
        return self.adapter.name

    def transfer(self, network: nn.Module) -> float:
        """Copies the weights into the network, and compares its outputs with those of the live Keras model.

        Returns:
            The largest difference of a probability.
        """
        load_weights(self, network)
        return check_outputs(self, network)

    @property
    def steps(self) -> int:
        """Steps of the optimizer whose state the file has; 0 if it has none."""
        return self.state.iterations if self.state else 0

    def load_state(self, optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
        """Puts the state of the file's optimizer into a new optimizer."""

        def write(copied: nn.Module, by_layer: dict[str, list[Array]]) -> None:
            arrays = [array for of_layer in by_layer.values() for array in of_layer]
            load_keras_weights(copied, self.adapter.network_arrays(arrays, self.layers))

        assert self.state
        load_state(optimizer, network, self.state, write)


def import_model(path: Path, *, model: str | None = None, dropout: float | None = None) -> ImportedModel:
    """Reads a Keras file. Nothing in it is executed, and Keras is not needed.

    Args:
        path: a `.keras` or `.h5` file.
        model: name of the required `Lit` class; if None, the layers decide.
        dropout: the network's rate of dropout; replaces every rate in the file.

    Raises:
        MissingFileError: no such file.
        KerasFileError: the file cannot be read, or a layer in it has no counterpart; names file and layer.
    """
    try:
        content = read_model(path)
        architecture = understand(content, model=model, dropout=dropout)
        names = [(layer.kind, layer.name) for layer in saved_layers(content)]
        by_layer = read_weights(path, names, shape_check(architecture.layers))
        state, notes = read_chain_state(path, content, architecture, [name for _, name in names], by_layer)
    except KerasFileError as error:
        raise KerasFileError(f"{path}: {error}") from error
    except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as error:  # JSON of any other form
        raise KerasFileError(f"{path}: its architecture does not have the form of a Keras model") from error
    arrays = [array for of_layer in by_layer for array in of_layer]
    known = vars(architecture) | {"notes": [*architecture.notes, *notes]}
    return ImportedModel(**known, arrays=arrays, state=state)


def read_chain_state(
    path: Path, content: dict[str, Any], architecture: Architecture, names: list[str], by_layer: list[list[Array]]
) -> tuple[OptimizerState | None, list[str]]:
    """The state of the optimizer of a chain of layers, and a note if it cannot be taken over.

    Raises:
        KerasFileError: the file is damaged.
    """
    training = read_training(content.get("compile_config") or {}, default_optimizer=architecture.settings["optimizer"])
    arrays = zip(names, by_layer, strict=True)
    expected = {name: [ArrayShape(array.shape, True) for array in of_layer] for name, of_layer in arrays}
    state, notes = read_optimizer_state(path, content, expected, training)
    if state and state.slots and architecture.layers[-1].settings["units"] == 2:
        return None, [f"{DROPPED}the two outputs become one here"]
    return state, notes


def load_weights(imported: ImportedModel, network: nn.Module) -> None:
    """Copies the file's weights into a network that was built from its settings, and sets the network's precision."""
    if imported.dtype == "float64":
        network.double()
    arrays = [np.asarray(array, dtype=imported.dtype) for array in imported.arrays]
    arrays = imported.adapter.network_arrays(arrays, imported.layers)
    if imported.layers[-1].settings["units"] == 2:
        *others, kernel, bias = arrays
        arrays = [*others, kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]]  # (I, 2), (2,) -> (I, 1), (1,)
    load_keras_weights(network, arrays)


def check_outputs(imported: ImportedModel, network: nn.Module) -> float:
    """Compares a network with the live Keras model on random inputs; returns the largest difference in probability.

    Keras builds its model from the settings in the file, not from our reading of them.

    Raises:
        UserError: the outputs differ by more than rounding.
    """
    return compare_outputs(imported.layers, imported.arrays, network, dtype=imported.dtype, saved=imported.saved)


def import_any(path: Path, *, model: str | None = None, dropout: float | None = None) -> Imported:
    """Reads a Keras file: as one of our own networks if it is one, otherwise as a graph for `LitKeras`.

    Args:
        path: a `.keras` or `.h5` file.
        model: name of the required `Lit` class; if None, the layers decide.
        dropout: replaces every rate in the file; None keeps them.

    Raises:
        MissingFileError: no such file.
        KerasFileError: the file cannot be read, or something in it is not supported.
    """
    refusal = None
    if model != GRAPH_MODEL:
        try:
            return import_model(path, model=model, dropout=dropout)
        except KerasFileError as error:
            if model is not None or dropout is not None:
                raise
            refusal = error
    if dropout is not None:
        raise KerasFileError(f"{path}: --dropout does not apply to {GRAPH_MODEL}, which keeps the rates of the file")
    try:
        return import_graph(path)
    except KerasFileError as error:
        raise error from refusal
