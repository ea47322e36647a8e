"""Damaged Keras files: whatever Hypothesis changes in a zip or in its JSON, only a UserError comes out."""

import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from lit_models.keras.files.reading import CONFIG
from lit_models.keras.importing import import_model
from tests.fuzz import mutated, read_or_refuse
from tests.keras.stacks import conv, dense, keras_tests, sequential, with_noise

pytestmark = [*keras_tests, pytest.mark.usefixtures("quick_trials"), pytest.mark.fuzz]

KEYS = [b'"class_name"', b'"config"', b'"layers"', b"Lambda", b'"registered_name"', b"__lambda__"]
TOKENS = [*KEYS, b"[", b"{", b"}", b"]", b"null", b"-1", b"1e999", b"NaN", b"\\ud800", b"9" * 5000, b"[" * 5000]
SECONDS = 5  # each file; the whole import of a valid one takes some hundredths


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, keras_backend: str) -> dict[str, bytes]:
    """One small CNN as `.keras` and as `.h5`."""
    folder = tmp_path_factory.mktemp("saved")
    model = with_noise(sequential((8, 8, 1), conv(3), ("Flatten", {}), dense(4, "softmax")))
    paths = [folder / f"cnn{suffix}" for suffix in (".keras", ".h5")]
    for path in paths:
        model.save(path)
    return {path.suffix: path.read_bytes() for path in paths}


def timed(read: Callable[[Path], object], path: Path, content: bytes) -> None:
    start = time.process_time()
    read_or_refuse(read, path, content)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("suffix", [".keras"])  # HDF5's own library does not end on some damaged .h5 files
def test_a_damaged_file_is_imported_or_refused_in_one_line(suffix: str, saved: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"damaged{suffix}"

        @given(mutated([saved[suffix]], [b"PK\x01\x02", b"\x89HDF\r\n\x1a\n", b"SNOD", b"TREE", b"\xff" * 8]))
        def damage(content: bytes) -> None:
            timed(import_model, path, content)

        damage()


def test_a_damaged_description_is_imported_or_refused_in_one_line(saved: dict[str, bytes]) -> None:
    """The JSON is changed inside an archive that is whole, as the checksum of a zip member hides it otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        valid, path = Path(folder) / "valid.keras", Path(folder) / "damaged.keras"
        valid.write_bytes(saved[".keras"])
        with zipfile.ZipFile(valid) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}

        @given(mutated([members[CONFIG]], TOKENS))
        def damage(content: bytes) -> None:
            with zipfile.ZipFile(path, "w") as archive:
                for name, member in (members | {CONFIG: content}).items():
                    archive.writestr(name, member)
            timed(import_model, path, path.read_bytes())

        damage()
