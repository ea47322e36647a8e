"""Small Keras models as in tutorials, and the network that each of them is here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import lit_models
from lit_models import LitClassifier
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.importing import ImportedModel, import_model, load_weights
from tests.parity.originals import keras_cnn, keras_rnn

keras_tests = [
    pytest.mark.usefixtures("keras_backend"),
    pytest.mark.xdist_group("keras"),  # in one process, so that TensorFlow is loaded once
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),  # Keras' variables
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),  # legacy files are supported
]
"""Marks of tests that run Keras."""


class Stack(NamedTuple):
    """A Keras model and the network that it is here.

    Args:
        build: builds the model, not compiled.
        model: name of the network's `Lit` class.
        settings: some of the class's arguments.
    """

    build: Callable[[], Any]
    model: str
    settings: dict[str, Any]


def sequential(shape: tuple[int | None, ...], *layers: tuple[str, dict[str, Any]], dtype: str | None = None) -> Any:
    """A Sequential model of layers given as (class name, arguments)."""
    import keras

    built = [getattr(keras.layers, name)(**arguments) for name, arguments in layers]
    return keras.Sequential([keras.Input(shape, dtype=dtype), *built])


def saved_json(*layers: tuple[str, dict[str, Any]], shape: tuple[int | None, ...] = (5,)) -> dict[str, Any]:
    """The JSON of a Sequential model as a `.keras` file has it."""
    import keras

    keras.utils.clear_session()  # otherwise the numbers in the layers' names depend on earlier tests
    serialized = keras.saving.serialize_keras_object(sequential(shape, *layers))
    content: dict[str, Any] = json.loads(json.dumps(serialized))
    return content


def bidirectional(cell: str, units: int, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """A Bidirectional layer."""
    import keras

    return "Bidirectional", {"layer": getattr(keras.layers, cell)(units, **arguments)}


def conv(filters: int, size: int = 3, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return "Conv2D", {"filters": filters, "kernel_size": size, "activation": "relu", **arguments}


def dense(units: int, activation: str | None = None, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return "Dense", {"units": units, "activation": activation, **arguments}


def drop(rate: float) -> tuple[str, dict[str, Any]]:
    return "Dropout", {"rate": rate}


def embed(**arguments: Any) -> tuple[str, dict[str, Any]]:
    return "Embedding", {"input_dim": 30, "output_dim": 5, **arguments}


def cell(kind: str, units: int, **arguments: Any) -> tuple[str, dict[str, Any]]:
    return kind, {"units": units, **arguments}


def named(layer: tuple[str, dict[str, Any]], name: str = "it") -> tuple[str, dict[str, Any]]:
    """A layer with a certain name."""
    return layer[0], {**layer[1], "name": name}


POOL: tuple[str, dict[str, Any]] = ("MaxPooling2D", {})
FLAT: tuple[str, dict[str, Any]] = ("Flatten", {})
TOKENS = (12,)


def functional_mlp() -> Any:
    import keras

    inputs = keras.Input((7,))
    hidden = keras.layers.Dense(5, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))


def functional_masked() -> Any:
    import keras

    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(30, 5, mask_zero=True)(inputs)
    x = keras.layers.LSTM(4, return_sequences=True)(x)
    x = keras.layers.LSTM(4)(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))


def small_rnn(kind: Any) -> Any:
    return keras_rnn(kind, vocab_size=30, max_length=12, embedding_size=5, hidden_size=4)


def classic_cifar() -> Any:
    """Keras' first CIFAR-10 example."""
    block = (conv(4, padding="same"), conv(4), POOL, drop(0.25))
    return sequential((16, 16, 3), *block, *block, FLAT, dense(8, "relu"), drop(0.5), dense(10, "softmax"))


def with_activation_layers() -> Any:
    relu: dict[str, Any] = {"activation": "relu"}
    return sequential((4,), dense(6), ("ReLU", {}), dense(5), ("Activation", relu), dense(3), ("Softmax", {}))


STACKS: dict[str, Stack] = {
    "the ported CNN": Stack(keras_cnn, "LitCNN", {"filters": [32, 64, 64], "pool_size": [2, 2, 1]}),
    "the convnet of keras.io": Stack(
        lambda: sequential((28, 28, 1), conv(4), POOL, conv(6), POOL, FLAT, drop(0.5), dense(10, "softmax")),
        "LitCNN",
        {"filters": [4, 6], "kernel_size": 3, "pool_size": 2, "dense_sizes": [], "dropout": 0.5, "pool_dropout": 0.0},
    ),
    "the first MNIST example": Stack(
        lambda: sequential(
            (12, 12, 1), conv(4), conv(5), POOL, drop(0.25), FLAT, dense(8, "relu"), drop(0.5), dense(10, "softmax")
        ),
        "LitCNN",
        {"pool_size": [1, 2], "dense_sizes": [8], "dropout": 0.5, "pool_dropout": 0.25, "image_size": 12},
    ),
    "an image that is not square": Stack(
        lambda: sequential((14, 10, 3), conv(4), POOL, conv(5, padding="same"), FLAT, dense(10, "softmax")),
        "LitCNN",
        {"num_channels": 3, "image_size": [14, 10], "dense_sizes": []},
    ),
    "the first CIFAR-10 example": Stack(
        classic_cifar,
        "LitCNN",
        {"num_channels": 3, "padding": ["same", "valid", "same", "valid"], "pool_size": [1, 2, 1, 2]},
    ),
    "LeNet": Stack(
        lambda: sequential(
            (20, 20, 1),
            conv(3, 5, activation="tanh"),
            POOL,
            conv(4, 3, activation="tanh"),
            POOL,
            FLAT,
            dense(9, "tanh"),
            dense(7, "tanh"),
            dense(10, "softmax"),
        ),
        "LitCNN",
        {"kernel_size": [5, 3], "dense_sizes": [9, 7], "activation": "tanh"},
    ),
    "a CNN of two classes": Stack(
        lambda: sequential((9, 9, 2), conv(3), FLAT, dense(2, "softmax")), "LitCNN", {"num_classes": 2, "pool_size": 1}
    ),
    "the quickstart of TensorFlow": Stack(
        lambda: sequential((28, 28), FLAT, dense(16, "relu"), drop(0.2), dense(10)),
        "LitMLP",
        {"num_features": 784, "hidden_sizes": [16], "dropout": 0.2, "activation": "relu", "num_classes": 10},
    ),
    "a perceptron with one output": Stack(
        lambda: sequential((5,), dense(6, "sigmoid"), dense(4, "sigmoid"), dense(1, "sigmoid")),
        "LitMLP",
        {"hidden_sizes": [6, 4], "activation": "sigmoid", "num_classes": 2},
    ),
    "logistic regression": Stack(lambda: sequential((5,), dense(1, "sigmoid")), "LitMLP", {"hidden_sizes": []}),
    "a perceptron of two outputs": Stack(
        lambda: sequential((5,), dense(6, "relu"), dense(2, "softmax")), "LitMLP", {"num_classes": 2}
    ),
    "a perceptron on colours": Stack(
        lambda: sequential((6, 5, 3), FLAT, dense(6, "relu"), dense(4, "softmax")), "LitMLP", {"num_features": 90}
    ),
    "a perceptron on rows that are colours for a moment": Stack(
        lambda: sequential(
            (12,), ("Reshape", {"target_shape": (2, 2, 3)}), FLAT, dense(6, "relu"), dense(4, "softmax")
        ),
        "LitMLP",
        {"num_features": 12},
    ),
    "a perceptron in float64": Stack(
        lambda: sequential((5,), dense(6, "relu", dtype="float64"), dense(3, dtype="float64"), dtype="float64"),
        "LitMLP",
        {"hidden_sizes": [6]},
    ),
    "activations as layers": Stack(with_activation_layers, "LitMLP", {"hidden_sizes": [6, 5], "activation": "relu"}),
    "a functional perceptron": Stack(functional_mlp, "LitMLP", {"hidden_sizes": [5], "activation": "tanh"}),
    "the ported RNN": Stack(lambda: small_rnn("simple"), "LitRNN", {"cell": "simple", "num_layers": 2}),
    "LSTM twice": Stack(lambda: small_rnn("lstm"), "LitRNN", {"cell": "lstm", "hidden_size": 4}),
    "GRU twice": Stack(lambda: small_rnn("gru"), "LitRNN", {"cell": "gru", "embedding_size": 5}),
    "Embedding and LSTM": Stack(
        lambda: sequential((None,), embed(), cell("LSTM", 6), drop(0.5), dense(3, "softmax")),
        "LitRNN",
        {"num_layers": 1, "dropout": 0.5, "mask_padding": False, "vocab_size": 30},
    ),
    "the bidirectional LSTM of keras.io": Stack(
        lambda: sequential(
            (None,),
            embed(),
            bidirectional("LSTM", 4, return_sequences=True),
            bidirectional("LSTM", 4),
            dense(1, "sigmoid"),
        ),
        "LitRNN",
        {"bidirectional": True, "num_layers": 2},
    ),
    "the text tutorial of TensorFlow": Stack(
        lambda: sequential(
            (None,),
            embed(mask_zero=True),
            bidirectional("LSTM", 6, return_sequences=True),
            bidirectional("LSTM", 4),
            dense(7, "relu"),
            dense(1),
        ),
        "LitRNN",
        {"bidirectional": True, "hidden_size": 6, "upper_sizes": [4], "dense_sizes": [7], "mask_padding": True},
    ),
    "a masked GRU": Stack(
        lambda: sequential(TOKENS, embed(mask_zero=True), cell("GRU", 4), dense(2, "softmax")),
        "LitRNN",
        {"mask_padding": True, "num_classes": 2},
    ),
    "masked SimpleRNNs of three sizes": Stack(
        lambda: sequential(
            TOKENS,
            embed(mask_zero=True),
            *(cell("SimpleRNN", units, return_sequences=True) for units in (4, 4, 6)),
            cell("SimpleRNN", 3),
            dense(4, "softmax"),
        ),
        "LitRNN",
        {"hidden_size": 4, "num_layers": 2, "upper_sizes": [6, 3]},
    ),
    "GRUs with dropout": Stack(
        lambda: sequential(
            TOKENS, embed(), cell("GRU", 4, return_sequences=True), drop(0.3), cell("GRU", 3), drop(0.3), dense(1)
        ),
        "LitRNN",
        {"dropout": 0.3, "upper_sizes": [3]},
    ),
    "a functional masked LSTM": Stack(functional_masked, "LitRNN", {"mask_padding": True, "num_layers": 2}),
}


def with_noise(model: Any) -> Any:
    """The model with random weights and biases of a size at which no output saturates."""
    rng = np.random.default_rng(0)
    scales = [2 / np.sqrt(max(10, np.prod(w.shape[:-1]))) for w in model.get_weights()]
    model.set_weights([rng.normal(scale=s, size=w.shape) for s, w in zip(scales, model.get_weights(), strict=True)])
    return model


def network_of(imported: ImportedModel) -> LitClassifier:
    """The `Lit` module of an imported model, with the file's weights, in evaluation mode."""
    module: LitClassifier = getattr(lit_models, imported.adapter.name)(**imported.settings)
    load_weights(imported, module.network)
    return module.eval()


def refusal(keras_model: Any, path: Path, **options: Any) -> str:
    """Saves a model; returns the message of its refused import without the name of the file at the beginning."""
    keras_model.save(path)
    with pytest.raises(KerasFileError) as caught:
        import_model(path, **options)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")
