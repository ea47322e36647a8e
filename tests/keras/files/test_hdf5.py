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


def test_a_file_that_the_library_never_ends_with_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = legacy()
    for place, value in ((296, 32), (1584, 0), (2182, 255)):  # the library reads an attribute for ever
        content[place] = value
    monkeypatch.setattr(hdf5, "TIME_LIMIT", 4)
    start = time.monotonic()
    with pytest.raises(KerasFileError, match="the file is damaged: reading it did not end within 4 s"):
        check_hdf5(bytes(content))
    assert time.monotonic() - start < 10
