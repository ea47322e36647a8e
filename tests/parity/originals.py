"""The programs that the networks here were ported from, as functions: a numpy loop and Keras models.

The Keras backend is `KERAS_BACKEND`'s, else Keras' own choice. Keras is imported when a function is called.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
XOR_INPUTS: Array = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
XOR_TARGET: Array = np.array([[0], [1], [1], [0]], dtype=np.float64)


class NumpyXOR:
    """The numpy program: 2-4-1 sigmoid units, full-batch gradient descent on half the squared error of four rows.

    Args:
        weights1: `(2, 4)`.
        bias1: `(1, 4)`.
        weights2: `(4, 1)`.
        bias2: `(1, 1)`.
    """

    def __init__(self, weights1: Array, bias1: Array, weights2: Array, bias2: Array) -> None:
        self.weights1, self.bias1, self.weights2, self.bias2 = (a.copy() for a in (weights1, bias1, weights2, bias2))

    @classmethod
    def drawn(cls, seed: int) -> "NumpyXOR":
        """A start of N(0, 1) numbers, drawn in the program's order."""
        rng = np.random.RandomState(seed)
        weights1, weights2 = rng.randn(2, 4), rng.randn(4, 1)
        return cls(weights1, rng.randn(1, 4), weights2, rng.randn(1, 1))

    def forward(self, inputs: Array) -> Array:
        """Outputs `(B, 1)` for rows `(B, 2)`."""
        self.hidden = sigmoid(inputs @ self.weights1 + self.bias1)
        return sigmoid(self.hidden @ self.weights2 + self.bias2)

    def train(self, *, passes: int = 10_000, lr: float = 0.1) -> Array:
        """Trains; returns the half squared error before each pass, `(passes,)`."""
        errors = np.empty(passes)
        for i in range(passes):
            output = self.forward(XOR_INPUTS)
            error = XOR_TARGET - output
            errors[i] = np.square(error).sum() / 2
            d_output = error * output * (1 - output)
            d_hidden = (d_output @ self.weights2.T) * self.hidden * (1 - self.hidden)
            self.weights2 += self.hidden.T @ d_output * lr
            self.bias2 += d_output.sum(axis=0, keepdims=True) * lr
            self.weights1 += XOR_INPUTS.T @ d_hidden * lr
            self.bias1 += d_hidden.sum(axis=0, keepdims=True) * lr
        return errors

    def weights(self) -> list[Array]:
        """In the order of Keras' `get_weights`: kernel and bias of each layer."""
        return [self.weights1, self.bias1[0], self.weights2, self.bias2[0]]


def sigmoid(x: Array) -> Array:
    """Logistic function."""
    result: Array = 1 / (1 + np.exp(-x))
    return result


def keras_cnn() -> Any:
    """The Keras program's CNN on MNIST, not compiled; images `(B, 28, 28, 1)` to class probabilities `(B, 10)`."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def keras_rnn(
    cell: Literal["simple", "lstm", "gru"] = "simple",
    *,
    vocab_size: int = 10_000,
    max_length: int = 500,
    embedding_size: int = 32,
    hidden_size: int = 32,
) -> Any:
    """The Keras program's network on IMDB, not compiled, with the cell of choice: ids `(B, T)` to the probability of a
    positive review, `(B, 1)`."""
    import keras
    from keras import layers

    layer = {"simple": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}[cell]
    return keras.Sequential(
        [
            keras.Input((max_length,), dtype="int32"),
            layers.Embedding(vocab_size, embedding_size),
            layer(hidden_size, return_sequences=True),
            layer(hidden_size),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
