"""What has no counterpart is refused, with the layer's name and what there is instead; nothing in a file is run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_models.keras.architecture import BUILT_OF
from tests.keras.stacks import FLAT, POOL, cell, conv, dense, drop, embed, keras_tests, named, refusal, sequential

pytestmark = keras_tests

IMAGE, OUT = (12, 12, 1), dense(3, "softmax")
TEXT = (None,)
ELSEWHERE = "reads other things than the layer before it"
ONE_RATE = "; --dropout RATE takes one rate at its own places instead"


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


def bidirectional(**arguments: Any) -> tuple[str, dict[str, Any]]:
    import keras

    return "Bidirectional", {"layer": keras.layers.LSTM(3), "name": "it", **arguments}


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a layer that is not here": (
        lambda: sequential(IMAGE, conv(2), ("BatchNormalization", {"name": "it"}), FLAT, OUT),
        f"has the layer 'it' (BatchNormalization), and LitCNN is {BUILT_OF['LitCNN']}",
    ),
    "noise": (
        lambda: sequential((5,), ("GaussianNoise", {"stddev": 0.1, "name": "it"}), OUT),
        f"has the layer 'it' (GaussianNoise), and LitMLP is {BUILT_OF['LitMLP']}",
    ),
    "average pooling": (
        lambda: sequential(IMAGE, conv(2), ("GlobalAveragePooling2D", {"name": "it"}), OUT),
        f"has the layer 'it' (GlobalAveragePooling2D), and LitCNN is {BUILT_OF['LitCNN']}",
    ),
    "convolutions of texts": (
        lambda: sequential((9,), embed(), ("Conv1D", {"filters": 3, "kernel_size": 2, "name": "it"}), FLAT, OUT),
        f"has the layer 'it' (Conv1D), and LitRNN is {BUILT_OF['LitRNN']}",
    ),
    "nothing of ours": (
        lambda: sequential((5,), ("BatchNormalization", {})),
        "has none of the layers that networks here are made of: BatchNormalization",
    ),
    "a class of the user's": (
        own_dense,
        "has the layer 'out' of a class of its own, mine>Dense, which is not Keras'",
    ),
    "a model of the user's": (
        own_model,
        "is a MyModel, a class of its own: only Sequential and functional models can be read",
    ),
    "a model in a model": (inside, "has the layer 'sequential' (Sequential), and LitMLP is " + BUILT_OF["LitMLP"]),
    "two inputs": (
        two_inputs,
        "is no plain chain: the layer 'input_layer_1' reads other things than the layer before it",
    ),
    "a skip connection": (skip, f"is no plain chain: the layer 'add' {ELSEWHERE}"),
    "a shared layer": (shared, f"is no plain chain: the layer 'twice' {ELSEWHERE}"),
    "dropout at all times": (always_dropping, f"is no plain chain: the layer 'd' {ELSEWHERE}"),
    "strides": (
        lambda: sequential(IMAGE, named(conv(2, strides=2)), FLAT, OUT),
        "has the layer 'it' (Conv2D) with strides 2; only 1 is known here",
    ),
    "dilation": (
        lambda: sequential(IMAGE, named(conv(2, dilation_rate=2)), FLAT, OUT),
        "has the layer 'it' (Conv2D) with dilation_rate 2; only 1 is known here",
    ),
    "no bias": (
        lambda: sequential((5,), named(dense(3, "softmax", use_bias=False))),
        "has the layer 'it' (Dense) with use_bias False; only True is known here",
    ),
    "a long kernel": (
        lambda: sequential(IMAGE, ("Conv2D", {"filters": 2, "kernel_size": (3, 5), "name": "it"}), FLAT, OUT),
        "has the layer 'it' (Conv2D) with kernel_size [3, 5], which is no square",
    ),
    "pooling that overlaps": (
        lambda: sequential(IMAGE, conv(2), ("MaxPooling2D", {"pool_size": 3, "strides": 2, "name": "it"}), FLAT, OUT),
        "has the layer 'it' (MaxPooling2D) with strides 2 where LitCNN has 3",
    ),
    "pooling with padding": (
        lambda: sequential(IMAGE, conv(2), ("MaxPooling2D", {"padding": "same", "name": "it"}), FLAT, OUT),
        "has the layer 'it' (MaxPooling2D) with padding 'same' where LitCNN has 'valid'",
    ),
    "an image that is wider than high": (
        lambda: sequential((12, 14, 1), conv(2), FLAT, OUT),
        "reads inputs of shape (12, 14, 1), and LitCNN images as high as wide, such as (28, 28, 1)",
    ),
    "an activation that is not here": (
        lambda: sequential((5,), named(dense(4, "gelu")), OUT),
        "has the layer 'it' (Dense) with activation 'gelu'; relu, tanh, sigmoid are there",
    ),
    "two activations": (
        lambda: sequential((5,), dense(4, "relu"), named(dense(4, "tanh")), OUT),
        "has the layer 'it' (Dense) with activation 'tanh' where LitMLP has 'relu'",
    ),
    "an activation after the pool": (
        lambda: sequential(
            IMAGE, conv(2, activation=None), POOL, ("Activation", {"activation": "relu", "name": "it"}), FLAT, OUT
        ),
        "has the layer 'it' (Activation) where no linear Dense or Conv2D is before it",
    ),
    "no Flatten": (
        lambda: sequential((6, 6), named(dense(3, "softmax"))),
        f"has the layer 'it' (Dense) where LitMLP has Flatten; it is {BUILT_OF['LitMLP']}",
    ),
    "two rates of dropout": (
        lambda: sequential((5,), dense(4, "relu"), drop(0.5), dense(4, "relu"), named(drop(0.2)), OUT),
        "has the layer 'it' (Dropout) with rate 0.2 where LitMLP has 0.5" + ONE_RATE,
    ),
    "dropout in one place of two": (
        lambda: sequential((5,), dense(4, "relu"), drop(0.5), dense(4, "relu"), named(dense(3, "softmax"))),
        f"has the layer 'it' (Dense) where LitMLP has Dropout; it is {BUILT_OF['LitMLP']}" + ONE_RATE,
    ),
    "dropout of inputs": (
        lambda: sequential((5,), named(drop(0.5)), dense(4, "relu"), OUT),
        f"has the layer 'it' (Dropout) where LitMLP has Dense; it is {BUILT_OF['LitMLP']}" + ONE_RATE,
    ),
    "dropout in a cell": (
        lambda: sequential(TEXT, embed(), named(cell("LSTM", 4, dropout=0.2, recurrent_dropout=0.1)), OUT),
        "has the layer 'it' (LSTM) with dropout 0.2 where LitRNN has 0.0" + ONE_RATE,
    ),
    "dropout of whole words": (
        lambda: sequential(TEXT, embed(), ("SpatialDropout1D", {"rate": 0.2, "name": "it"}), cell("LSTM", 4), OUT),
        f"has the layer 'it' (SpatialDropout1D), and LitRNN is {BUILT_OF['LitRNN']}" + ONE_RATE,
    ),
    "two kinds of cells": (
        lambda: sequential(TEXT, embed(), cell("LSTM", 4, return_sequences=True), named(cell("GRU", 4)), OUT),
        f"has the layer 'it' (GRU) where LitRNN has LSTM; it is {BUILT_OF['LitRNN']}",
    ),
    "a state after each word": (
        lambda: sequential((9,), embed(), named(cell("LSTM", 4, return_sequences=True)), FLAT, OUT),
        "has the layer 'it' (LSTM) with return_sequences True where LitRNN has False",
    ),
    "a cell with relu": (
        lambda: sequential(TEXT, embed(), named(cell("SimpleRNN", 4, activation="relu")), OUT),
        "has the layer 'it' (SimpleRNN) with activation 'relu'; only 'tanh' is known here",
    ),
    "a GRU of the first paper": (
        lambda: sequential(TEXT, embed(), named(cell("GRU", 4, reset_after=False)), OUT),
        "has the layer 'it' (GRU) with reset_after False; only True is known here",
    ),
    "a cell that reads backwards": (
        lambda: sequential(TEXT, embed(), named(cell("LSTM", 4, go_backwards=True)), OUT),
        "has the layer 'it' (LSTM) with go_backwards True, a setting that is not known here",
    ),
    "two directions added": (
        lambda: sequential(TEXT, embed(), bidirectional(merge_mode="sum"), OUT),
        "has the layer 'it' (Bidirectional) with merge_mode 'sum'; only 'concat' is known",
    ),
    "two directions that differ": (
        lambda: sequential(TEXT, embed(), directions(use_bias=True, recurrent_dropout=0.5), OUT),
        "has the layer 'it' (Bidirectional) with two directions that are not alike",
    ),
    "an RNN on numbers": (
        lambda: sequential((9, 2), cell("LSTM", 4), OUT),
        f"has no Embedding, and LitRNN is {BUILT_OF['LitRNN']}",
    ),
    "an Embedding without an RNN": (
        lambda: sequential((9,), embed(), FLAT, OUT),
        f"has no recurrent layer, and LitRNN is {BUILT_OF['LitRNN']}",
    ),
    "half precision": (
        lambda: sequential((5,), named(dense(3, "softmax", dtype="mixed_float16"))),
        "has the layer 'it' (Dense) in mixed_float16; float32 and float64 can be read",
    ),
    "two precisions": (
        lambda: sequential((5,), dense(4, "relu", dtype="float64"), OUT),
        "computes in float32 and float64, and a network here in one precision",
    ),
    "several labels": (
        lambda: sequential((5,), named(dense(3, "sigmoid"))),
        "ends with the layer 'it' (Dense) of 3 sigmoid outputs, and LitMLP has softmax or linear for several",
    ),
    "one softmax output": (
        lambda: sequential((5,), named(dense(1, "softmax"))),
        "ends with the layer 'it' (Dense) of 1 softmax outputs, and LitMLP has sigmoid or linear for one output",
    ),
    "no dense output": (
        lambda: sequential(IMAGE, conv(2), ("Flatten", {"name": "it"})),
        "ends with the layer 'it' (Flatten), and LitCNN with a Dense of one output a class",
    ),
    "another scale": (
        lambda: sequential((6, 6), ("Rescaling", {"scale": 0.5, "name": "it"}), FLAT, OUT),
        "has the layer 'it' (Rescaling) that does not bring an input of 0 to 255 to 0 to 1, as images have here",
    ),
    "an offset": (
        lambda: sequential((6, 6), ("Rescaling", {"scale": 1 / 255, "offset": -1, "name": "it"}), FLAT, OUT),
        "has the layer 'it' (Rescaling) with offset -1, a setting that is not known here",
    ),
    "a form that no convolution reads": (
        lambda: sequential((12,), ("Reshape", {"target_shape": (2, 2, 3), "name": "it"}), dense(2, "relu"), FLAT, OUT),
        "has the layer 'it' (Reshape) to (2, 2, 3); of the input to one row, or to an image, is known here",
    ),
    "a form that mixes channels": (
        lambda: sequential((3, 4, 4), ("Reshape", {"target_shape": (4, 4, 3), "name": "it"}), conv(2), FLAT, OUT),
        "has the layer 'it' (Reshape) to (4, 4, 3); of the input to one row, or to an image, is known here",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_here_is_refused_by_name(name: str, tmp_path: Path) -> None:
    import keras

    keras.utils.clear_session()  # names count on from model to model
    build, text = REFUSED[name]
    path = tmp_path / "model.keras"
    assert refusal(build(), path) == f"{path} {text}"


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
        (layers.Lambda(lambda x, touch=touch: touch(x), name="it"), f"(Lambda), and LitMLP is {BUILT_OF['LitMLP']}"),
        (layers.Dense(2, activation=lambda x, touch=touch: touch(x), name="it"), "(Dense) with activation 'an object'"),
        (layers.Dense(2, activation=touch, name="it"), "(Dense) with activation "),
    ):
        model = keras.Sequential([keras.Input((3,)), layer, layers.Dense(2, activation="softmax")])
        model(np.zeros((1, 3)))
        touched.unlink()  # Keras has called it
        assert refusal(model, path).startswith(f"{path} has the layer 'it' {refused}")
        assert not touched.exists()
