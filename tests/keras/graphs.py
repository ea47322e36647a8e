"""Keras models that are no chains of our own networks, as tutorials have them, in small."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Model(NamedTuple):
    """A live model, and inputs of it by name, in Keras' layout."""

    model: Any
    inputs: dict[str, Any]


def numbers(*shape: int) -> Any:
    return np.random.default_rng(3).standard_normal((4, *shape)).astype("float32")


def tokens(steps: int, *, vocabulary: int) -> Any:
    """Tokens with padding at the end, at the start and inside."""
    drawn = np.random.default_rng(4).integers(1, vocabulary, (4, steps), dtype=np.int32)
    drawn[0, steps // 2 :] = drawn[1, :2] = drawn[2, 2:4] = 0
    return drawn


def residual(keras: Any) -> Model:
    """A convolutional network with a shortcut, batch normalization, and sums by `+` and `*`."""
    k = keras.layers
    x = inputs = keras.Input((16, 16, 3), name="image")
    x = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, padding="same", use_bias=False)(x)))
    y = k.SeparableConv2D(8, 3, padding="same")(x)
    x = keras.ops.relu(k.Add()([x, y]) + y * 2.0)
    x = k.Dropout(0.2)(k.GlobalAveragePooling2D()(k.MaxPooling2D(3, strides=2, padding="same")(x)))
    return Model(keras.Model(inputs, k.Dense(5, activation="softmax")(x)), {"image": numbers(16, 16, 3)})


def shared(keras: Any) -> Model:
    """Two inputs through the same layers: a network of twins."""
    k = keras.layers
    base = keras.Sequential([keras.Input((6,)), k.Dense(4, activation="tanh"), k.Dense(3)], name="base")
    one, two = keras.Input((6,), name="one"), keras.Input((6,), name="two")
    a, b = base(one), base(two)
    merged = k.Concatenate()([a, b, k.Dot(axes=1, normalize=True)([a, b]), k.Subtract()([a, b]), k.Average()([a, b])])
    merged = k.Concatenate()([merged, k.Maximum()([a, b]), k.Minimum()([a, b]), k.Multiply()([a, b])])
    inputs = {"one": numbers(6), "two": numbers(6) - 1}
    return Model(keras.Model([one, two], k.Dense(1, activation="sigmoid")(merged)), inputs)


def translation(keras: Any) -> Model:
    """The states of one recurrent layer begin another one."""
    k = keras.layers
    source, target = keras.Input((5, 3), name="source"), keras.Input((4, 2), name="target")
    _, h, c = k.LSTM(6, return_state=True)(source)
    x = k.LSTM(6, return_sequences=True)(target, initial_state=[h, c])
    _, state = k.RNN(k.GRUCell(6), return_state=True)(x)
    return Model(keras.Model([source, target], k.Dense(3)(state)), {"source": numbers(5, 3), "target": numbers(4, 2)})


def transformer(keras: Any) -> Model:
    """An encoder block over padded tokens."""
    k = keras.layers
    inputs = keras.Input((None,), name="words", dtype="int32")
    x = k.Embedding(20, 8, mask_zero=True)(inputs)
    x = k.LayerNormalization()(x + k.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
    x = k.LayerNormalization()(x + k.Dense(8)(k.Dense(16, activation="silu")(x)))
    x = k.GlobalAveragePooling1D()(x)
    return Model(keras.Model(inputs, k.Dense(2, activation="softmax")(x)), {"words": tokens(7, vocabulary=20)})


def attentions(keras: Any) -> Model:
    """All kinds of attention, with arguments by name and the causal mask."""
    k = keras.layers
    q, v = keras.Input((4, 6), name="query"), keras.Input((5, 6), name="value")
    parts = [
        k.MultiHeadAttention(2, 4, value_dim=3)(query=q, value=v, key=v),
        k.MultiHeadAttention(2, 4, output_shape=7)(q, q, use_causal_mask=True),
        k.Attention(use_scale=True)([q, v]),
        k.Attention(score_mode="concat")([q, v]),
        k.AdditiveAttention()([q, v]),
        k.GroupQueryAttention(4, 4, 2)(q, v),
    ]
    x = k.GlobalMaxPooling1D()(k.Concatenate()(parts))
    return Model(
        keras.Model([q, v], k.Dense(3, activation="softmax")(x)), {"query": numbers(4, 6), "value": numbers(5, 6)}
    )


def frozen(keras: Any) -> Model:
    """A frozen base inside another model, that always evaluates, on pixels of 0 to 255."""
    k = keras.layers
    inner = [k.Conv2D(4, 3), k.BatchNormalization(), k.ReLU(), k.GlobalMaxPooling2D()]
    base = keras.Sequential([keras.Input((8, 8, 3)), *inner], name="base")
    base.trainable = False
    inputs = keras.Input((8, 8, 3), name="image")
    x = k.Dropout(0.2)(base(k.Rescaling(1 / 127.5, offset=-1)(inputs), training=False))
    pixels = np.random.default_rng(5).integers(0, 256, (4, 8, 8, 3)).astype("float32")
    return Model(keras.Model(inputs, k.Dense(1, activation="sigmoid")(x)), {"image": pixels})


def augmented(keras: Any) -> Model:
    """Pixels of 0 to 255 that are changed, resized and cut before they are scaled."""
    k = keras.layers
    random = [k.RandomFlip("horizontal"), k.RandomRotation(0.1), k.RandomZoom(0.2), k.RandomTranslation(0.1, 0.2)]
    random += [k.RandomContrast(0.1), k.RandomBrightness(0.1)]
    layers = [keras.Sequential(random), k.Resizing(12, 10), k.CenterCrop(8, 9), k.Rescaling(1 / 255), k.Conv2D(4, 3)]
    model = keras.Sequential([keras.Input((16, 16, 3), name="image"), *layers, k.Flatten(), k.Dense(5), k.Softmax()])
    return Model(model, {"image": np.random.default_rng(5).integers(0, 256, (4, 16, 16, 3)).astype("float32")})


def video(keras: Any) -> Model:
    """Two recurrent layers of convolutions over short videos."""
    k = keras.layers
    layers = [k.ConvLSTM2D(4, 3, padding="same", return_sequences=True), k.BatchNormalization(), k.ConvLSTM2D(3, 2)]
    model = keras.Sequential([keras.Input((3, 6, 6, 1), name="video"), *layers, k.Flatten(), k.Dense(4), k.Softmax()])
    return Model(model, {"video": numbers(3, 6, 6, 1)})


def masked(keras: Any) -> Model:
    """Layers of recurrence over padded tokens, in both directions, with masked sums."""
    k = keras.layers
    inputs = keras.Input((None,), name="words", dtype="int32")
    x = k.SpatialDropout1D(0.1)(k.Embedding(9, 4, mask_zero=True)(inputs))
    x = k.Bidirectional(k.LSTM(3, return_sequences=True))(x)
    x = k.Add()([x, k.Bidirectional(k.SimpleRNN(3, return_sequences=True))(x)])
    return Model(keras.Model(inputs, k.Dense(1)(k.Bidirectional(k.GRU(3))(x))), {"words": tokens(7, vocabulary=9)})


def rows(keras: Any) -> Model:
    """A regression on a table of numbers."""
    k = keras.layers
    layers = [k.Dense(8, activation="swish"), k.GaussianNoise(0.1), k.Dense(4, kernel_regularizer="l2"), k.ELU()]
    model = keras.Sequential([keras.Input((6,), name="row"), *layers, k.Dense(2)])
    return Model(model, {"row": numbers(6)})


def series(keras: Any) -> Model:
    """A classifier of time series by convolutions."""
    k = keras.layers
    layers = [k.Conv1D(8, 3, padding="causal", activation="relu"), k.AveragePooling1D(2), k.LeakyReLU(), k.Flatten()]
    model = keras.Sequential([keras.Input((12, 3), name="series"), *layers, k.Dense(4), k.Softmax()])
    return Model(model, {"series": numbers(12, 3)})


MODELS: dict[str, Callable[[Any], Model]] = {
    make.__name__: make
    for make in (residual, shared, translation, transformer, attentions, frozen, augmented, video, masked, rows, series)
}
