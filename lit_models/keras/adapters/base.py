"""The interface of an adapter: what is needed to read a network from Keras files and to write it to them.

The adapters import no numpy, so that help screens can list them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.layers import Layer

if TYPE_CHECKING:
    from lit_models.keras.files.reading import Array

Settings = dict[str, Any]
"""Arguments of a network's `Lit` class by name; plain values."""
ACTIVATIONS = ("relu", "tanh", "sigmoid")


class Adapter(ABC):
    """One network in Keras: converts its settings to layers and back, and says how its arrays differ.

    The adapter describes the layers between the input and the output. The output layer is the same for all networks: a
    Dense with one sigmoid output for two classes, or one softmax output for each of several classes.

    A Keras model is read in three steps. `settings_from` takes the sizes from the model's layers. `hidden_layers` lists
    the layers that a network with these settings has. The two lists of layers are compared, and any difference is
    refused. Therefore, `settings_from` may read only the first layer of a kind and ignore the others.
    """

    name: ClassVar[str]
    """The `Lit` class of the network."""
    marks: ClassVar[tuple[str, ...]]
    """Classes of Keras layers. The first adapter in the table that lists one of a model's layer classes is used."""
    built_of: ClassVar[str]
    """Description of the network's layers, for messages."""
    default_optimizer: ClassVar[str] = "keras_adam"
    """The optimizer for further training, if the file's optimizer does not exist here."""
    training: ClassVar[Mapping[str, Any]] = {}
    """Settings for further training as in Keras, where the `Lit` class has another default."""

    @abstractmethod
    def input_shape(self, settings: Settings) -> tuple[int | None, ...]:
        """Shape of one sample of an exported model, channels last; None means any length."""

    @abstractmethod
    def hidden_layers(self, settings: Settings, inputs: Layer) -> Iterator[Layer]:
        """The Keras layers of a network with these settings, without the input and the output layer."""

    @abstractmethod
    def settings_from(self, layers: list[Layer]) -> Settings:
        """The settings of the network with these layers, input and output layer included.

        Raises:
            KerasFileError: no network of this class has such layers.
        """

    def network_arrays(self, arrays: "Sequence[Array]", layers: list[Layer]) -> "list[Array]":
        """The Keras model's arrays as `load_keras_weights` takes them for the network.

        Override this if the network reads its inputs in another order than the Keras model.
        """
        return list(arrays)

    def has_dropout(self, settings: Settings) -> bool:
        """Whether dropout has an effect in a network with these settings."""
        return True

    def export_refusal(self, settings: Settings) -> str | None:
        """Why a network with these settings cannot be written as Keras layers; None if it can."""
        return None

    def export_notes(self, settings: Settings) -> list[str]:
        """What a user must know about an exported model; one sentence each."""
        return []


def dense_layers(sizes: Sequence[int], activation: str, *, rate: float) -> Iterator[Layer]:
    """Dense layers with a Dropout after each, if `rate` is not 0."""
    for size in sizes:
        yield Layer("Dense", {"units": size, "activation": activation})
        yield from dropout_layers(rate)


def dropout_layers(rate: float) -> Iterator[Layer]:
    """One Dropout, or nothing if `rate` is 0."""
    if rate:
        yield Layer("Dropout", {"rate": rate})


def of_kind(layers: list[Layer], kind: str) -> list[Layer]:
    return [layer for layer in layers if layer.kind == kind]


def hidden_sizes(layers: list[Layer]) -> list[int]:
    """Units of the Dense layers before the output layer."""
    return [layer.settings["units"] for layer in of_kind(layers, "Dense")[:-1]]


def first_rate(layers: list[Layer]) -> float:
    """The first rate of dropout; 0 if there is none."""
    return next((float(layer.settings["rate"]) for layer in layers if layer.kind == "Dropout"), 0.0)


def activation_of(layer: Layer) -> str:
    """The activation of a layer.

    Raises:
        KerasFileError: the networks here do not support it.
    """
    activation = str(layer.settings["activation"])
    if activation not in ACTIVATIONS:
        raise KerasFileError(f"{layer} has activation {activation!r}; {', '.join(ACTIVATIONS)} are supported")
    return activation
