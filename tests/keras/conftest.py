"""Fixtures of the tests of Keras files: the import of Keras, and quick trials of HDF5 files."""

import subprocess
from collections.abc import Iterator

import pytest

from lit_models.keras.files import hdf5
from tests.keras.trials import ForkedTrials
from tests.parity.conftest import keras_backend as keras_backend


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedTrials]:
    """Tries files in forked processes."""
    trials = ForkedTrials(tmp_path_factory.mktemp("trials"))
    yield trials
    trials.close()


class Subprocess:
    """The module `subprocess` with another `run`.

    Args:
        trials: gives the other `run`.
    """

    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, trials: ForkedTrials) -> None:
        self.run = trials.run


@pytest.fixture
def quick_trials(trials: ForkedTrials, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 files are tried in processes that need not import h5py. `test_hdf5.py` compares them with the real ones."""
    monkeypatch.setattr(hdf5, "subprocess", Subprocess(trials))
