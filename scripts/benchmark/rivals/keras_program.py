"""The original Keras program on one of Keras' backends: the CNN on MNIST, or a recurrent network on IMDB."""

from typing import Any

import numpy as np

from scripts.benchmark import arrays
from scripts.benchmark.cells import Job, MissingRival
from scripts.benchmark.clock import Clock
from tests.parity.originals import keras_cnn, keras_rnn

WARM_UP = 3
"""Full batches of a first, short training, in which Keras compiles its functions. A short last batch follows them."""


def run(job: Job) -> dict[str, Any]:
    """Trains with `fit`, and measures whole epochs with their validation."""
    import keras

    if job.device == "cuda":
        require_gpu(job.options["backend"])
    keras.utils.set_random_seed(job.repetition)
    network, batch = job.options["network"], job.settings["batch_size"]
    inputs, target, more = prepared(job, network)
    model = compiled(network)
    clock = Clock()
    first = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: clock.step())
    short = WARM_UP * batch + len(inputs) % batch
    settings: dict[str, Any] = {"batch_size": batch, "verbose": 0}
    validation = more.get("validation_data")
    if validation is not None:
        few = batch + len(validation[0]) % batch
        settings["validation_data"] = tuple(array[:few] for array in validation)
    model.fit(inputs[:short], target[:short], callbacks=[first], **settings)
    settings["validation_data"] = validation
    for _ in range(job.settings.get("rival_epochs", 1)):
        with clock.epoch():
            history = model.fit(inputs, target, **settings).history
    if validation is not None:
        accuracy = history["val_accuracy"][-1]
    else:
        _, accuracy = model.evaluate(*more["test"], batch_size=500, verbose=0)
    return {
        "first_step": clock.first_step,
        "epochs": clock.epochs,
        "parameters": model.count_params(),
        "steps": -(-len(inputs) // batch),
        "precision": keras.config.dtype_policy().name,
        "accuracy": float(accuracy),
        "accuracy_after": job.settings.get("rival_epochs", 1),
        "computed_by": keras.backend.backend(),
    }


def require_gpu(backend: str) -> None:
    """Checks that the backend sees a GPU.

    Raises:
        MissingRival: it does not.
    """
    if backend == "tensorflow":
        import tensorflow as tf

        has_gpu = bool(tf.config.list_physical_devices("GPU"))
    elif backend == "jax":
        import jax

        has_gpu = jax.default_backend() == "gpu"
    else:
        import torch

        has_gpu = torch.cuda.is_available()
    if not has_gpu:
        raise MissingRival(f"{backend} is installed without support of this GPU")


def prepared(job: Job, network: str) -> tuple[Any, Any, dict[str, Any]]:
    """Inputs and target in Keras' form, and `validation_data` (IMDB) or `test` (MNIST)."""
    if network == "cnn":
        data = arrays.load(job, "mnist")
        return *images(data, "train"), {"test": images(data, "test")}
    data = arrays.load(job, "imdb")
    target = {part: data[f"{part}_target"].astype("float32") for part in ("train", "val")}
    return data["train_inputs"], target["train"], {"validation_data": (data["val_inputs"], target["val"])}


def images(data: arrays.Arrays, part: str) -> tuple[Any, Any]:
    """Images float32 `(N, 28, 28, 1)` in 0 to 1, and one-hot targets."""
    inputs = data[f"{part}_inputs"][..., None].astype("float32") / 255
    return inputs, np.eye(10, dtype="float32")[data[f"{part}_target"]]


def compiled(network: Any) -> Any:
    """The model with the program's optimizer and loss."""
    if network == "cnn":
        model = keras_cnn()
        model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
        return model
    model = keras_rnn(network)
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model
