"""The fixture that imports Keras: a process has one backend, whichever test imports it first."""

from tests.parity.conftest import keras_backend as keras_backend
