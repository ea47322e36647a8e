"""HDF5's library does not keep the program from ending, whatever the file is."""

import io
import json
import time

import h5py
import numpy as np
import pytest

from lit_models.keras.files import hdf5
from lit_models.keras.files.errors import KerasFileError
from lit_models.keras.files.hdf5 import check_hdf5


def legacy() -> bytearray:
    """A small `.h5` file."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        layers = [{"x": i} for i in range(50)]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        file.attrs["training_config"] = "{}"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"dense"]
        group.create_group("dense").create_dataset("kernel", data=np.zeros((4, 4), "f4"))
    return bytearray(content.getvalue())


def test_a_good_file_is_read_to_its_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(legacy())
    check_hdf5(content)
    monkeypatch.setattr(hdf5, "TIME_LIMIT", -1)  # a second process would end at once
    check_hdf5(content)


@pytest.fixture(params=["real", "quick"])
def trial(request: pytest.FixtureRequest) -> None:
    """The process of the program, and the one that other tests put in its place."""
    if request.param == "quick":
        request.getfixturevalue("quick_trials")


@pytest.mark.usefixtures("trial")
def test_a_file_that_the_library_never_ends_with_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = legacy()
    for place, value in ((296, 32), (1584, 0), (2182, 255)):  # the library reads an attribute for ever
        content[place] = value
    monkeypatch.setattr(hdf5, "TIME_LIMIT", 4)
    start = time.monotonic()
    with pytest.raises(KerasFileError, match="the file is damaged: reading it did not end within 4 s"):
        check_hdf5(bytes(content))
    assert time.monotonic() - start < 10


@pytest.mark.usefixtures("trial")
def test_a_crash_of_the_library_is_a_refusal_and_its_error_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(legacy())
    monkeypatch.setattr(hdf5, "checked", set())
    monkeypatch.setattr(hdf5, "PROGRAM", f"{hdf5.PROGRAM}\nassert size == {len(content)}\nimport os\nos.abort()")
    with pytest.raises(KerasFileError, match="the file is damaged: reading it crashed"):
        check_hdf5(content)
    check_hdf5(content[:100])  # h5py raises an error before the program comes to its last line
    assert len(hdf5.checked) == 1
