"""What Keras computes: outputs, gradients, steps of an optimizer, a whole training."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]

with_keras = [
    pytest.mark.usefixtures("keras_backend"),
    pytest.mark.xdist_group("keras"),  # one process waits for the backend's import, and not each
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),  # Keras' variables
]
"""Marks of the tests that run Keras."""


class Run(NamedTuple):
    """What a training leaves.

    Args:
        losses: of each step, before its update, `(steps,)`.
        epochs: "train/loss", "train/acc", and "val/loss", "val/acc" where there is a validation part, each by epoch.
        weights: after the last step, in the order of Keras' `get_weights`.
    """

    losses: Array
    epochs: dict[str, list[float]]
    weights: list[Array]


@contextmanager
def float64() -> Iterator[None]:
    """Keras computes in float64. With JAX and torch its own rules of promotion make float32 of it otherwise."""
    import keras
    from keras.src.backend.common import dtypes

    before = keras.config.floatx(), keras.config.dtype_policy(), dtypes.BIT64_TO_BIT32_DTYPE["float64"]
    on_jax = keras.backend.backend() == "jax"
    if on_jax:
        import jax

        jax_config: Any = jax.config
        jax_config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = before[2]
        if on_jax:
            jax_config.update("jax_enable_x64", False)


def keras_outputs(model: Any, inputs: Array) -> Array:
    """Probabilities of one batch."""
    return cast(Array, model.predict_on_batch(inputs))


def keras_gradients(model: Any, inputs: Array, target: Array, loss: Any) -> list[Array]:
    """Gradient of a loss by each array of `get_weights`."""
    import keras

    variables = model.trainable_variables
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss(target, model(inputs, training=True))
        found = tape.gradient(value, [v.value for v in variables])
        return [tf.convert_to_tensor(g).numpy() for g in found]  # an embedding's gradient is a list of rows
    if backend == "jax":
        import jax

        def of_values(values: Any) -> Any:
            outputs, _ = model.stateless_call(values, model.non_trainable_variables, inputs, training=True)
            return loss(target, outputs)

        return [np.asarray(g) for g in jax.grad(of_values)([v.value for v in variables])]
    loss(target, model(inputs, training=True)).backward()
    return [v.value.grad.numpy() for v in variables]


def keras_optimizer(name: Literal["adam", "rmsprop"], **settings: Any) -> Any:
    """Keras' optimizer, Keras' defaults where `settings` say nothing, as its formulas have it on every backend.

    Two things are TensorFlow's own. It rounds a number of Python to float32 on the way to a float64 tensor, so the
    decays of Adam are numpy's here. And its gradient of an embedding is a list with a row for each place where a word
    stands, of which Keras squares each row before it adds those of a word: `test_optimizers.py` shows it.
    """
    import keras

    optimizer = keras.optimizers.get({"class_name": name, "config": settings})
    if name == "adam" and keras.config.floatx() == "float64":
        optimizer.beta_1, optimizer.beta_2 = np.float64(optimizer.beta_1), np.float64(optimizer.beta_2)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        apply = optimizer.apply
        optimizer.apply = lambda gradients, variables: apply([tf.convert_to_tensor(g) for g in gradients], variables)
    return optimizer


def keras_steps(optimizer: Any, start: Sequence[Array], gradients: Sequence[Sequence[Array]]) -> list[Array]:
    """The weights after a step with each of `gradients`, which are lists as long as `start`."""
    import keras

    variables = [keras.Variable(w, dtype=w.dtype.name) for w in start]
    for at_step in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype=g.dtype.name) for g in at_step], variables)
    return [keras.ops.convert_to_numpy(v) for v in variables]


def keras_fit(
    model: Any,
    inputs: Array,
    target: Array,
    *,
    optimizer: Any,
    loss: str,
    batch_size: int,
    epochs: int,
    validation_split: float = 0.0,
) -> Run:
    """Compiles and fits a model, with the samples in their order."""
    import keras

    means: list[float] = []  # over the epoch so far, of each step: what Keras tells a callback
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: means.append(float(logs["loss"])))
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    fitted = model.fit(
        inputs,
        target,
        batch_size=batch_size,
        epochs=epochs,
        validation_split=validation_split,
        shuffle=False,
        verbose=0,
        callbacks=[record],
    )
    names = {"train/loss": "loss", "train/acc": "accuracy", "val/loss": "val_loss", "val/acc": "val_accuracy"}
    history = {ours: list(map(float, fitted.history[name])) for ours, name in names.items() if name in fitted.history}
    num_train = int(len(inputs) * (1 - validation_split))
    return Run(_of_steps(np.array(means), num_train, batch_size), history, model.get_weights())


def _of_steps(means: Array, num_train: int, batch_size: int) -> Array:
    """The loss of each step, out of the means, which begin anew with each epoch and weigh batches by their size."""
    ends = np.minimum(np.arange(batch_size, num_train + batch_size, batch_size), num_train)  # samples seen, `(steps,)`
    sums = means.reshape(-1, len(ends)) * ends  # (epochs * steps,) -> (epochs, steps)
    of_steps = np.diff(sums, axis=1, prepend=0.0) / np.diff(ends, prepend=0)
    return of_steps.reshape(-1)
