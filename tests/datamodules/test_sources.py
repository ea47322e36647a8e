"""Where data lie, downloads that come whole or not at all, and arrays out of files that could hold anything."""

import hashlib
import os
import pickle
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets.utils

from datamodules.sources import data_cache, default_data_dir, fetch, part_of, read_npz, sha256

CONTENT = b"what was published"
MD5 = hashlib.md5(CONTENT).hexdigest()
URL = "https://example.invalid/file.bin"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for what the network would bring."""

    def retrieve(url: str, filename: str | Path, **_: object) -> None:
        Path(filename).write_bytes((tmp_path / "served").read_bytes())

    monkeypatch.setattr(torchvision.datasets.utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(torchvision.datasets.utils, "_urlretrieve", retrieve)
    return tmp_path / "served"


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIT_MODELS_CACHE", str(tmp_path / "c"))
    monkeypatch.delenv("LIT_MODELS_DATA", raising=False)
    assert data_cache() == tmp_path / "c"
    assert default_data_dir() == tmp_path / "c" / "data"
    monkeypatch.setenv("LIT_MODELS_DATA", str(tmp_path / "d"))
    assert default_data_dir() == tmp_path / "d"
    monkeypatch.delenv("LIT_MODELS_CACHE")
    assert data_cache().name == "lit-models"
    assert not (tmp_path / "c").exists()


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    assert sha256(tmp_path / "f") == hashlib.sha256(CONTENT).hexdigest()


def test_a_download_lands_whole(served: Path, tmp_path: Path) -> None:
    served.write_bytes(CONTENT)
    fetch(URL, tmp_path / "new" / "f", md5=MD5)
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "new").iterdir()] == [("f", CONTENT)]


def test_a_wrong_checksum_is_refused_and_nothing_stays(served: Path, tmp_path: Path) -> None:
    served.write_bytes(CONTENT + b"!")
    with pytest.raises(
        ValueError, match=r"example.invalid/file.bin came with a wrong checksum: try again, or put the file at"
    ):
        fetch(URL, tmp_path / "new" / "f", md5=MD5)
    assert list((tmp_path / "new").iterdir()) == []


def test_no_network_is_one_line_with_the_file_to_put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(url: str, **_: object) -> str:
        raise URLError("no route")

    monkeypatch.setattr(torchvision.datasets.utils, "_get_redirect_url", refuse)
    with pytest.raises(FileNotFoundError) as caught:
        fetch(URL, tmp_path / "f", md5=MD5)
    assert str(caught.value) == f"cannot download {URL} (no network?): put the file at {tmp_path / 'f'}"


def test_a_file_of_the_users_is_accepted_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    fetch(URL, tmp_path / "f", md5=MD5)
    assert (tmp_path / "f").read_bytes() == b"mine"


def test_a_part_is_removed_unless_it_was_renamed(tmp_path: Path) -> None:
    with part_of(tmp_path / "f") as part:
        part.write_text("x")
    assert list(tmp_path.iterdir()) == []
    with part_of(tmp_path / "f") as part:
        os.replace(part, tmp_path / "f")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


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
        ValueError, match=r"f.npz holds posix.system, which an array file has no use for; it was not run"
    ):
        read_npz(Path("f.npz"))
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", x=lists([1], [2, 3]))
    whole = (tmp_path / "f.npz").read_bytes()
    for content in (b"", whole[:50], whole[:-30], whole.replace(b"(2,)", b"(3,)")):
        (tmp_path / "f.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"f.npz is damaged: ") as caught:
            read_npz(tmp_path / "f.npz")
        assert "\n" not in str(caught.value)
