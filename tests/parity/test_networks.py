"""CNN, SimpleRNN, LSTM and GRU beside Keras' own, with copied weights: outputs and gradients, in float32."""

from typing import Any, Literal

import numpy as np
import pytest

from lit_models import LitCNN, LitRNN, LitTask
from lit_models.keras.rules.weights import load_keras_weights

from .comparisons import assert_same_gradients, assert_same_outputs
from .keras_runs import Array, keras_gradients, keras_outputs, with_keras
from .originals import keras_cnn, keras_rnn
from .our_runs import our_gradients, our_outputs

pytestmark = with_keras

Cell = Literal["simple", "lstm", "gru"]
VOCAB = 200


def noisy_weights(model: Any) -> list[Array]:
    """Gives a Keras model its own initial weights with noise on all, so that no bias is zero; returns them."""
    rng = np.random.default_rng(0)
    weights = [w + rng.normal(scale=0.05, size=w.shape).astype(np.float32) for w in model.get_weights()]
    model.set_weights(weights)
    return weights


def images() -> tuple[Array, Array]:
    """Noise, `(16, 28, 28, 1)`, and its classes."""
    rng = np.random.default_rng(1)
    return rng.uniform(size=(16, 28, 28, 1)).astype(np.float32), rng.integers(10, size=16)


def channels_first(maps: Array) -> Array:
    return np.ascontiguousarray(maps.transpose(0, 3, 1, 2))  # (B, H, W, C) -> (B, C, H, W)


def texts(length: int) -> tuple[Array, Array]:
    """Ids `(8, length)`, of which the first rows have padding in front, and their classes."""
    rng = np.random.default_rng(1)
    ids = rng.integers(1, VOCAB, size=(8, length))
    for row, padding in enumerate((length - 1, length // 2, 3)):
        ids[row, :padding] = 0
    return ids, rng.integers(2, size=8)


def copied(model: LitTask, weights: list[Array]) -> LitTask:
    load_keras_weights(model.network, weights)
    return model


def test_the_cnn_has_keras_outputs() -> None:
    theirs = keras_cnn()
    ours = copied(LitCNN(), noisy_weights(theirs))
    inputs, _ = images()
    assert_same_outputs(our_outputs(ours, channels_first(inputs)), keras_outputs(theirs, inputs))


@pytest.mark.parametrize("one_hot", [False, True])
def test_the_cnn_has_keras_gradients(one_hot: bool) -> None:
    import keras

    theirs = keras_cnn()
    ours = copied(LitCNN(), noisy_weights(theirs))
    inputs, target = images()
    wanted = np.eye(10, dtype=np.float32)[target] if one_hot else target
    loss = keras.losses.CategoricalCrossentropy() if one_hot else keras.losses.SparseCategoricalCrossentropy()
    assert_same_gradients(
        our_gradients(ours, channels_first(inputs), target), keras_gradients(theirs, inputs, wanted, loss)
    )


def test_a_dense_kernel_read_channels_first_is_seen() -> None:
    theirs = keras_cnn()
    weights = noisy_weights(theirs)
    (place,) = (i for i, w in enumerate(weights) if w.shape == (3 * 3 * 64, 64))
    # What is channel, height, width is told to be height, width, channel, so that the loader's reordering undoes it.
    weights[place] = weights[place].reshape(64, 3, 3, 64).transpose(1, 2, 0, 3).reshape(576, 64)
    ours = copied(LitCNN(), weights)
    inputs, _ = images()
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_outputs(our_outputs(ours, channels_first(inputs)), keras_outputs(theirs, inputs))


@pytest.mark.parametrize("length", [50, 500])
@pytest.mark.parametrize("cell", ["simple", "lstm", "gru"])
def test_a_recurrent_network_has_keras_outputs(cell: Cell, length: int) -> None:
    theirs = keras_rnn(cell, vocab_size=VOCAB, max_length=length)
    ours = copied(LitRNN(vocab_size=VOCAB, cell=cell), noisy_weights(theirs))
    inputs, _ = texts(length)
    assert_same_outputs(our_outputs(ours, inputs), keras_outputs(theirs, inputs.astype(np.int32)))


@pytest.mark.parametrize("cell", ["simple", "lstm", "gru"])
def test_a_recurrent_network_has_keras_gradients(cell: Cell) -> None:
    import keras

    theirs = keras_rnn(cell, vocab_size=VOCAB, max_length=50)
    ours = copied(LitRNN(vocab_size=VOCAB, cell=cell), noisy_weights(theirs))
    inputs, target = texts(50)
    assert_same_gradients(
        our_gradients(ours, inputs, target),
        keras_gradients(
            theirs, inputs.astype(np.int32), target[:, None].astype(np.float32), keras.losses.BinaryCrossentropy()
        ),
    )
