"""One Keras backend a process, whichever tests ask for it first."""

from tests.parity.conftest import keras_backend as keras_backend
