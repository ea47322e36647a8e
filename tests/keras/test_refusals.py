"""A Keras model without a counterpart is refused with the layer's name; nothing in a file is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_models.keras.adapters import ADAPTERS
from tests.keras.stacks import FLAT, POOL, cell, conv, dense, drop, embed, keras_tests, named, refusal, sequential

pytestmark = keras_tests

IMAGE, OUT = (12, 12, 1), dense(3, "softmax")
TEXT = (None,)
NO_CHAIN = "must read the layer before it and nothing else; only a plain chain of layers is supported"
RESHAPE = "only a Reshape of the input to one row or to an image is supported"
ONE_RATE = "; use --dropout RATE to replace all rates by one"


def consists(name: str) -> str:
    """The end of a message: what a network consists of."""
    return f"; {name} consists of {ADAPTERS[name].built_of}"


def two_inputs() -> Any:
    import keras

    a, b = keras.Input((3,)), keras.Input((3,))
    return keras.Model([a, b], keras.layers.Dense(2, activation="softmax")(keras.layers.Add()([a, b])))


def skip() -> Any:
    import keras

    x = keras.Input((3,))
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.Add()([x, keras.layers.Dense(3)(x)])))


def shared() -> Any:
    import keras

    x = keras.Input((3,))
    twice = keras.layers.Dense(3, name="twice")
    return keras.Model(x, keras.layers.Dense(2)(twice(twice(x))))


def always_dropping() -> Any:
    import keras

    x = keras.Input((3,))
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.Dropout(0.5, name="d")(x, training=True)))


def own_dense() -> Any:
    import keras

    @keras.saving.register_keras_serializable("mine")
    class Dense(keras.layers.Dense):  # type: ignore[misc]
        pass

    return keras.Sequential([keras.Input((3,)), Dense(2, name="out")])


def own_model() -> Any:
    import keras

    class MyModel(keras.Model):  # type: ignore[misc]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.out = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.out(x)

    model = MyModel()
    model(np.zeros((1, 3)))
    return model


def inside() -> Any:
    import keras

    return keras.Sequential(
        [keras.Input((3,)), sequential((3,), dense(4)), keras.layers.Dense(2, activation="softmax")]
    )


def directions(**other: Any) -> tuple[str, dict[str, Any]]:
    import keras

    return "Bidirectional", {
        "layer": keras.layers.LSTM(3),
        "backward_layer": keras.layers.LSTM(3, go_backwards=True, **other),
        "name": "it",
    }


def both_directions(**arguments: Any) -> tuple[str, dict[str, Any]]:
    import keras

    return "Bidirectional", {"layer": keras.layers.LSTM(3), "name": "it", **arguments}


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a layer without a counterpart": (
        lambda: sequential(IMAGE, conv(2), ("BatchNormalization", {"name": "it"}), FLAT, OUT),
        f"layer 'it' (BatchNormalization) is not supported{consists('LitCNN')}",
    ),
    "noise": (
        lambda: sequential((5,), ("GaussianNoise", {"stddev": 0.1, "name": "it"}), OUT),
        f"layer 'it' (GaussianNoise) is not supported{consists('LitMLP')}",
    ),
    "average pooling": (
        lambda: sequential(IMAGE, conv(2), ("GlobalAveragePooling2D", {"name": "it"}), OUT),
        f"layer 'it' (GlobalAveragePooling2D) is not supported{consists('LitCNN')}",
    ),
    "convolutions of texts": (
        lambda: sequential((9,), embed(), ("Conv1D", {"filters": 3, "kernel_size": 2, "name": "it"}), FLAT, OUT),
        f"layer 'it' (Conv1D) is not supported{consists('LitRNN')}",
    ),
    "no supported layer": (
        lambda: sequential((5,), ("BatchNormalization", {})),
        "none of the model's layers is supported: BatchNormalization",
    ),
    "a custom layer": (
        own_dense,
        "layer 'out' is of class mine>Dense, which is not one of Keras' own",
    ),
    "a custom model": (
        own_model,
        "the model is of class MyModel; only Sequential and functional models are supported",
    ),
    "a model in a model": (inside, f"layer 'sequential' (Sequential) is not supported{consists('LitMLP')}"),
    "two inputs": (
        two_inputs,
        f"layer 'input_layer_1' {NO_CHAIN}",
    ),
    "a skip connection": (skip, f"layer 'add' {NO_CHAIN}"),
    "a shared layer": (shared, f"layer 'twice' {NO_CHAIN}"),
    "dropout in evaluation": (always_dropping, f"layer 'd' {NO_CHAIN}"),
    "strides": (
        lambda: sequential(IMAGE, named(conv(2, strides=2)), FLAT, OUT),
        "layer 'it' (Conv2D) has strides 2; only 1 is supported",
    ),
    "dilation": (
        lambda: sequential(IMAGE, named(conv(2, dilation_rate=2)), FLAT, OUT),
        "layer 'it' (Conv2D) has dilation_rate 2; only 1 is supported",
    ),
    "no bias": (
        lambda: sequential((5,), named(dense(3, "softmax", use_bias=False))),
        "layer 'it' (Dense) has use_bias False; only True is supported",
    ),
    "a long kernel": (
        lambda: sequential(IMAGE, ("Conv2D", {"filters": 2, "kernel_size": (3, 5), "name": "it"}), FLAT, OUT),
        "layer 'it' (Conv2D) has kernel_size [3, 5]; expected the same number for height and width",
    ),
    "pooling that overlaps": (
        lambda: sequential(IMAGE, conv(2), ("MaxPooling2D", {"pool_size": 3, "strides": 2, "name": "it"}), FLAT, OUT),
        "layer 'it' (MaxPooling2D) has strides 2 where LitCNN has 3",
    ),
    "pooling with padding": (
        lambda: sequential(IMAGE, conv(2), ("MaxPooling2D", {"padding": "same", "name": "it"}), FLAT, OUT),
        "layer 'it' (MaxPooling2D) has padding 'same' where LitCNN has 'valid'",
    ),
    "an unsupported activation": (
        lambda: sequential((5,), named(dense(4, "gelu")), OUT),
        "layer 'it' (Dense) has activation 'gelu'; relu, tanh, sigmoid are supported",
    ),
    "two activations": (
        lambda: sequential((5,), dense(4, "relu"), named(dense(4, "tanh")), OUT),
        "layer 'it' (Dense) has activation 'tanh' where LitMLP has 'relu'",
    ),
    "an activation after the pool": (
        lambda: sequential(
            IMAGE, conv(2, activation=None), POOL, ("Activation", {"activation": "relu", "name": "it"}), FLAT, OUT
        ),
        "layer 'it' (Activation) does not follow a Dense or Conv2D layer that is linear",
    ),
    "no Flatten": (
        lambda: sequential((6, 6), named(dense(3, "softmax"))),
        f"the model has the layer 'it' (Dense) where LitMLP has Flatten{consists('LitMLP')}",
    ),
    "two rates of dropout": (
        lambda: sequential((5,), dense(4, "relu"), drop(0.5), dense(4, "relu"), named(drop(0.2)), OUT),
        "layer 'it' (Dropout) has rate 0.2 where LitMLP has 0.5" + ONE_RATE,
    ),
    "dropout in one place of two": (
        lambda: sequential((5,), dense(4, "relu"), drop(0.5), dense(4, "relu"), named(dense(3, "softmax"))),
        f"the model has the layer 'it' (Dense) where LitMLP has Dropout{consists('LitMLP')}" + ONE_RATE,
    ),
    "dropout of inputs": (
        lambda: sequential((5,), named(drop(0.5)), dense(4, "relu"), OUT),
        f"the model has the layer 'it' (Dropout) where LitMLP has Dense{consists('LitMLP')}" + ONE_RATE,
    ),
    "dropout in a cell": (
        lambda: sequential(TEXT, embed(), named(cell("LSTM", 4, dropout=0.2, recurrent_dropout=0.1)), OUT),
        "layer 'it' (LSTM) has dropout 0.2 where LitRNN has 0.0" + ONE_RATE,
    ),
    "dropout of whole words": (
        lambda: sequential(TEXT, embed(), ("SpatialDropout1D", {"rate": 0.2, "name": "it"}), cell("LSTM", 4), OUT),
        f"layer 'it' (SpatialDropout1D) is not supported{consists('LitRNN')}" + ONE_RATE,
    ),
    "two kinds of cells": (
        lambda: sequential(TEXT, embed(), cell("LSTM", 4, return_sequences=True), named(cell("GRU", 4)), OUT),
        f"the model has the layer 'it' (GRU) where LitRNN has LSTM{consists('LitRNN')}",
    ),
    "a state after each word": (
        lambda: sequential((9,), embed(), named(cell("LSTM", 4, return_sequences=True)), FLAT, OUT),
        "layer 'it' (LSTM) has return_sequences True where LitRNN has False",
    ),
    "a cell with relu": (
        lambda: sequential(TEXT, embed(), named(cell("SimpleRNN", 4, activation="relu")), OUT),
        "layer 'it' (SimpleRNN) has activation 'relu'; only 'tanh' is supported",
    ),
    "a GRU of the first paper": (
        lambda: sequential(TEXT, embed(), named(cell("GRU", 4, reset_after=False)), OUT),
        "layer 'it' (GRU) has reset_after False; only True is supported",
    ),
    "a cell that reads backwards": (
        lambda: sequential(TEXT, embed(), named(cell("LSTM", 4, go_backwards=True)), OUT),
        "layer 'it' (LSTM) has go_backwards True; this setting is not supported",
    ),
    "two directions added": (
        lambda: sequential(TEXT, embed(), both_directions(merge_mode="sum"), OUT),
        "layer 'it' (Bidirectional) has merge_mode 'sum'; only 'concat' is supported",
    ),
    "two directions that differ": (
        lambda: sequential(TEXT, embed(), directions(use_bias=True, recurrent_dropout=0.5), OUT),
        "layer 'it' (Bidirectional) has two directions with different settings; they must be the same",
    ),
    "an RNN on numbers": (
        lambda: sequential((9, 2), cell("LSTM", 4), OUT),
        f"the model has no Embedding{consists('LitRNN')}",
    ),
    "an Embedding without an RNN": (
        lambda: sequential((9,), embed(), FLAT, OUT),
        f"the model has no recurrent layer{consists('LitRNN')}",
    ),
    "half precision": (
        lambda: sequential((5,), named(dense(3, "softmax", dtype="mixed_float16"))),
        "layer 'it' (Dense) computes in mixed_float16; float32 and float64 are supported",
    ),
    "two precisions": (
        lambda: sequential((5,), dense(4, "relu", dtype="float64"), OUT),
        "the layers compute in float32 and float64; they must all have one precision",
    ),
    "several labels": (
        lambda: sequential((5,), named(dense(3, "sigmoid"))),
        "layer 'it' (Dense) has activation 'sigmoid'; 3 outputs need softmax or linear",
    ),
    "one softmax output": (
        lambda: sequential((5,), named(dense(1, "softmax"))),
        "layer 'it' (Dense) has activation 'softmax'; 1 output needs sigmoid or linear",
    ),
    "no dense output": (
        lambda: sequential(IMAGE, conv(2), ("Flatten", {"name": "it"})),
        "the last layer is the layer 'it' (Flatten); LitCNN ends with a Dense layer of class outputs",
    ),
    "another scale": (
        lambda: sequential((6, 6), ("Rescaling", {"scale": 0.5, "name": "it"}), FLAT, OUT),
        "layer 'it' (Rescaling) is supported only at the input of images, to scale 0…255 to 0…1",
    ),
    "an offset": (
        lambda: sequential((6, 6), ("Rescaling", {"scale": 1 / 255, "offset": -1, "name": "it"}), FLAT, OUT),
        "layer 'it' (Rescaling) has offset -1; this setting is not supported",
    ),
    "a Reshape without a convolution": (
        lambda: sequential((12,), ("Reshape", {"target_shape": (2, 2, 3), "name": "it"}), dense(2, "relu"), FLAT, OUT),
        f"layer 'it' (Reshape) has target_shape (2, 2, 3); {RESHAPE}",
    ),
    "a Reshape that mixes channels": (
        lambda: sequential((3, 4, 4), ("Reshape", {"target_shape": (4, 4, 3), "name": "it"}), conv(2), FLAT, OUT),
        f"layer 'it' (Reshape) has target_shape (4, 4, 3); {RESHAPE}",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_without_a_counterpart_is_refused_by_name(name: str, tmp_path: Path) -> None:
    import keras

    keras.utils.clear_session()  # otherwise the numbers in the layers' names depend on earlier tests
    build, text = REFUSED[name]
    path = tmp_path / "model.keras"
    assert refusal(build(), path) == text


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_file_is_refused_and_never_run(suffix: str, tmp_path: Path) -> None:
    import keras

    touched = tmp_path / "touched"

    def touch(x: Any, path: str = str(touched)) -> Any:
        Path(path).touch()
        return x

    layers = keras.layers
    path = tmp_path / f"model{suffix}"
    for layer, refused in (
        (layers.Lambda(lambda x, touch=touch: touch(x), name="it"), f"(Lambda) is not supported{consists('LitMLP')}"),
        (layers.Dense(2, activation=lambda x, touch=touch: touch(x), name="it"), "(Dense) has activation 'an object'"),
        (layers.Dense(2, activation=touch, name="it"), "(Dense) has activation "),
    ):
        model = keras.Sequential([keras.Input((3,)), layer, layers.Dense(2, activation="softmax")])
        model(np.zeros((1, 3)))
        touched.unlink()  # Keras called it while building the model
        assert refusal(model, path).startswith(f"layer 'it' {refused}")
        assert not touched.exists()
