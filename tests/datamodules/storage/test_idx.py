"""IDX files: downloaded, unpacked, compared with the published ones, and read; damaged ones are named."""

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import MissingFileError, UserError
from datamodules.storage import idx
from datamodules.storage.idx import SHAPES, download_idx, idx_header, is_published, read_idx

LABELS, IMAGES = "t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files of a few images, which pass for the published ones; packed as they are published."""
    random = np.random.default_rng(0)
    contents = {}
    for name, n in zip(SHAPES, (12, 12, 5, 5), strict=True):
        shape = (n, 28, 28) if "images" in name else (n,)
        monkeypatch.setitem(SHAPES, name, shape)
        contents[name] = idx_header(shape) + random.integers(10, size=shape, dtype=np.uint8).tobytes()
        monkeypatch.setitem(idx.SHA256, name, hashlib.sha256(contents[name]).hexdigest())
    packed = tuple(hashlib.sha256(pack(content)).hexdigest() for content in contents.values())
    for dataset in idx.PACKED_SHA256:
        monkeypatch.setitem(idx.PACKED_SHA256, dataset, packed)
    return contents


def pack(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def put_packed(raw: Path, contents: dict[str, bytes]) -> None:
    """Puts the files where a download leaves them, so that nothing has to be downloaded."""
    raw.mkdir(exist_ok=True)
    for name, content in contents.items():
        (raw / f"{name}.gz").write_bytes(pack(content))


def test_the_header_is_the_one_of_the_format() -> None:
    # two zeros, 8 for uint8, the number of dimensions, each size in 4 bytes, the greatest first; 60,000 = 0xEA60
    assert idx_header((60_000, 28, 28)).hex() == "00000803" + "0000ea60" + "0000001c" * 2
    assert idx_header((10_000,)).hex() == "00000801" + "00002710"


def test_each_published_file_has_addresses_and_a_checksum_of_its_own() -> None:
    every = [idx.published(dataset, name) for dataset in idx.ADDRESSES for name in SHAPES]
    assert len({file.sha256 for file in every}) == len(every) == 12
    assert {len(file.sha256) for file in every} == {64}
    assert all(url.startswith("https://") and url.endswith("ubyte.gz") for file in every for url in file.urls)


@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST", "KMNIST"])
def test_packed_files_are_unpacked_and_are_the_published_ones(
    dataset: str, contents: dict[str, bytes], tmp_path: Path
) -> None:
    put_packed(tmp_path, contents)
    download_idx(dataset, tmp_path, remedy="")
    for name, content in contents.items():
        assert (tmp_path / name).read_bytes() == content
        assert is_published(dataset, tmp_path / name)
        assert read_idx(tmp_path / name).numpy().tobytes() == content[-len(read_idx(tmp_path / name).flatten()) :]
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST", "KMNIST"])
def test_a_changed_file_is_not_the_published_one(dataset: str, contents: dict[str, bytes], tmp_path: Path) -> None:
    put_packed(tmp_path, contents)
    download_idx(dataset, tmp_path, remedy="")
    path = tmp_path / IMAGES
    flipped = bytearray(contents[IMAGES])
    flipped[100] ^= 1
    path.write_bytes(flipped)
    assert not is_published(dataset, path)
    (tmp_path / f"{IMAGES}.gz").write_bytes(pack(bytes(flipped)))  # the packed file beside it is changed too
    assert not is_published(dataset, path)


def test_without_the_packed_file_only_mnist_is_known(contents: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / LABELS).write_bytes(contents[LABELS])
    assert is_published("MNIST", tmp_path / LABELS)
    assert not is_published("KMNIST", tmp_path / LABELS)


@pytest.mark.parametrize("damage", [lambda c: c[:-20], lambda c: b"<html>", lambda c: c[:30] + b"\0\0\0" + c[33:]])
def test_a_damaged_packed_file_is_named(
    damage: Callable[[bytes], bytes], contents: dict[str, bytes], tmp_path: Path
) -> None:
    put_packed(tmp_path, contents)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz is damaged \(.*; delete it to download it again"):
        download_idx("MNIST", tmp_path, remedy="")
    assert not (tmp_path / "train-images-idx3-ubyte").exists()


@pytest.mark.parametrize("change", [lambda c: c + bytes(10**8), lambda c: c[:-1], lambda c: b""])
def test_a_packed_file_of_another_length_is_refused(
    change: Callable[[bytes], bytes], contents: dict[str, bytes], tmp_path: Path
) -> None:
    put_packed(tmp_path, {**contents, LABELS: change(contents[LABELS])})
    with pytest.raises(UserError, match=r"labels-idx1-ubyte.gz is damaged \(it does not contain 13 bytes\); delete it"):
        download_idx("MNIST", tmp_path, remedy="")
    assert not (tmp_path / LABELS).exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"t10k-labels-idx1-ubyte: no such file"):
        read_idx(tmp_path / LABELS)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (LABELS, lambda c: c[:-1], "12 bytes, expected 13"),
        (IMAGES, lambda c: c + b"x", "3,937 bytes, expected 3,936"),  # 16 + 5 * 784 = 3,936
        (IMAGES, lambda c: bytes(16) + c[16:], "its header is not that of 5 x 28 x 28 bytes"),
        (LABELS, lambda c: b"\0\0\x09\x01" + c[4:], "its header is not that of 5 bytes"),
        (IMAGES, lambda c: c[:16] + bytes(len(c) - 16), "each of its values is 0"),
        (LABELS, lambda c: c[:8] + b"\7" * 5, "each of its values is 7"),
        (LABELS, lambda c: c[:-1] + b"\x0a", "it has the label 10, expected 0 to 9"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(
    name: str, damage: Callable[[bytes], bytes], message: str, contents: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(damage(contents[name]))
    with pytest.raises(UserError) as caught:
        read_idx(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name} is damaged: {message}; delete it to download it again"


@pytest.mark.real_data
def test_three_of_the_real_files_at_hand_are_the_published_ones() -> None:
    if "LIT_MODELS_DATA" not in os.environ:
        pytest.skip("LIT_MODELS_DATA does not name the folder with MNIST/raw")
    raw = Path(os.environ["LIT_MODELS_DATA"]) / "MNIST" / "raw"
    same = [name for name in SHAPES if is_published("MNIST", raw / name)]
    assert set(same) >= {"train-labels-idx1-ubyte", LABELS, IMAGES}
    for name, shape in SHAPES.items():
        assert read_idx(raw / name).shape == shape
