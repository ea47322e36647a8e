"""The networks that have a counterpart in Keras: one adapter per network, and this table of them."""

from datamodules.errors import UserError
from lit_models.keras.adapters.base import Adapter as Adapter
from lit_models.keras.adapters.base import Settings as Settings
from lit_models.keras.adapters.cnn import CNNAdapter
from lit_models.keras.adapters.mlp import MLPAdapter
from lit_models.keras.adapters.rnn import RNNAdapter
from lit_models.keras.files.errors import KerasFileError

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (RNNAdapter(), CNNAdapter(), MLPAdapter())}
"""The adapters by the name of the `Lit` class. For a Keras model, the first adapter whose `marks` match is used."""


GRAPH_MODEL = "LitKeras"
"""The `Lit` class for a Keras model that none of them equals."""


def adapter_of(name: str) -> Adapter:
    """The adapter of a network.

    Args:
        name: name of the `Lit` class.

    Raises:
        UserError: the network has no counterpart in Keras.
    """
    if name not in ADAPTERS:
        raise UserError(f"{name} has no counterpart in Keras; these networks have one: {', '.join(ADAPTERS)}")
    return ADAPTERS[name]


def adapter_for(kinds: list[str], *, model: str | None = None) -> Adapter:
    """The adapter of the network that has layers of these classes.

    Args:
        kinds: classes of a Keras model's layers, the input first.
        model: name of the required network; None for any.

    Raises:
        KerasFileError: no network has such layers, or not the network `model`.
    """
    for adapter in ADAPTERS.values():
        mark = next((kind for kind in kinds if kind in adapter.marks), None)
        if mark and model in (None, adapter.name):
            return adapter
        if mark:
            raise KerasFileError(f"the model has a layer of class {mark}, so it is a {adapter.name}, not a {model}")
    raise KerasFileError(f"none of the model's layers is supported: {', '.join(kinds[1:])}")
