"""Keras as the reference: which backend computes, and where it keeps its settings."""

import gc
import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

BACKENDS = ("tensorflow", "jax", "torch")  # torch comes last: with it, much is torch against torch


@pytest.fixture(scope="session")
def keras_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Imports Keras with the backend of `KERAS_BACKEND`, or else with the first one that is installed; on the CPU,
    and with its settings in a folder of the tests."""
    import torch._dynamo  # noqa: F401  (loads Triton, whose LLVM ends the process if TensorFlow's is there already)

    with pytest.MonkeyPatch.context() as patch:
        wanted = os.environ.get("KERAS_BACKEND") or next(name for name in BACKENDS if find_spec(name))
        patch.setenv("KERAS_BACKEND", wanted)
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.setenv("KERAS_TORCH_DEVICE", "cpu")
        patch.setenv("JAX_PLATFORMS", "cpu")
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        assert keras.backend.backend() == wanted, "a process has one backend, that of the first import"
        if wanted == "tensorflow":
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")
        gc.freeze()  # as after the collection of the tests; Keras' clear_session looks for garbage
        yield wanted
