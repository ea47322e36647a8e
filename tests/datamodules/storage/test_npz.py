"""Arrays of `.npz` files that could contain anything."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import UserError
from datamodules.storage.npz import read_npz


def lists(*rows: list[int]) -> np.ndarray:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_lists_are_read(protocol: int, tmp_path: Path) -> None:
    array = lists([1, 2], [3], [])
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (3,)})
        file.write(pickle.dumps(array, protocol=protocol))
    assert read_npz(tmp_path / "f.npz")["x"].tolist() == array.tolist()


def test_plain_arrays_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", x=lists([1], [2, 3]), y=np.array([0, 1]))
    found = read_npz(tmp_path / "f.npz")
    assert found["x"].tolist() == [[1], [2, 3]]
    assert found["y"].tolist() == [0, 1]


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_a_pickle_that_would_run_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    array = np.empty(1, dtype=object)
    array[0] = Runs()
    np.savez("f.npz", x=array)
    with pytest.raises(
        UserError, match=r"f.npz contains posix.system, which does not belong in a file of arrays; it was not run"
    ):
        read_npz(Path("f.npz"))
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", x=lists([1], [2, 3]))
    whole = (tmp_path / "f.npz").read_bytes()
    for content in (b"", whole[:50], whole[:-30], whole.replace(b"(2,)", b"(3,)")):
        (tmp_path / "f.npz").write_bytes(content)
        with pytest.raises(UserError, match=r"f.npz is damaged: ") as caught:
            read_npz(tmp_path / "f.npz")
        assert "\n" not in str(caught.value)
