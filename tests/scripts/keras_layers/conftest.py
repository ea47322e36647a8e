"""The fixture that imports Keras."""

from tests.parity.conftest import keras_backend as keras_backend
