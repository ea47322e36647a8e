"""Writes the files in this folder with Keras 2: `python make_files.py`, with the packages tf_keras and TensorFlow.

`cnn.h5` is a Sequential model without an input layer of its own. `rnn.keras` is a functional model with masked
bidirectional layers. `outputs.npz` has inputs of both and the outputs of Keras 2. They were written with tf_keras 2.21.
"""

from pathlib import Path

import numpy as np
import tf_keras as keras  # type: ignore[import-not-found]
from tf_keras import layers

HERE = Path(__file__).parent


def main() -> None:
    cnn = keras.Sequential(
        [
            layers.Conv2D(3, (3, 3), activation="relu", input_shape=(9, 9, 2)),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(5, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ]
    )
    inputs = keras.Input((None,))
    x = layers.Embedding(20, 4, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    x = layers.Bidirectional(layers.GRU(3))(x)
    rnn = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))

    rng = np.random.default_rng(0)
    for model in (cnn, rnn):
        model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    images = rng.random((4, 9, 9, 2)).astype(np.float32)
    tokens = rng.integers(1, 20, (4, 8)).astype(np.int32)
    tokens[0, :3] = tokens[1, 5:] = tokens[2, 2] = 0
    cnn.save(HERE / "cnn.h5")
    rnn.save(HERE / "rnn.keras")
    outputs = {"cnn_outputs": cnn(images).numpy(), "rnn_outputs": rnn(tokens).numpy()}
    np.savez(HERE / "outputs.npz", cnn_inputs=images, rnn_inputs=tokens, **outputs)


if __name__ == "__main__":
    main()
