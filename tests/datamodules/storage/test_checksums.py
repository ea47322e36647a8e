"""A checksum is computed again when the file has changed, and not otherwise."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
import torch

from datamodules.errors import UserError
from datamodules.storage import checksums
from datamodules.storage.checksums import array_checksum, note, recorded_sha256
from datamodules.storage.downloads import sha256


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read."""
    files: list[Path] = []

    def noted(path: Path) -> str:
        files.append(path)
        return sha256(path)

    monkeypatch.setattr(checksums, "sha256", noted)
    monkeypatch.setattr(checksums, "SETTLED_NS", 0)  # the files here are some milliseconds old
    return files


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    time.sleep(0.02)  # later than the system's clock for files ticks
    return path


def test_an_unchanged_file_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    path = write(tmp_path / "f", b"abc")
    expected = hashlib.sha256(b"abc").hexdigest()
    assert [recorded_sha256(path) for _ in range(3)] == [expected] * 3
    assert reads == [path]


def test_each_change_is_noticed(tmp_path: Path, reads: list[Path]) -> None:
    path = write(tmp_path / "f", b"abc")
    recorded_sha256(path)
    times = path.stat()
    write(path, b"abd")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time of the content
    assert recorded_sha256(path) == hashlib.sha256(b"abd").hexdigest()
    other = write(tmp_path / "g", b"abe")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(other, path)
    assert recorded_sha256(path) == hashlib.sha256(b"abe").hexdigest()
    write(path, b"ab")
    assert recorded_sha256(path) == hashlib.sha256(b"ab").hexdigest()
    assert len(reads) == 4


def test_a_file_that_changed_just_now_is_read_again(
    tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "SETTLED_NS", 10**12)
    path = write(tmp_path / "f", b"abc")
    recorded_sha256(path)
    recorded_sha256(path)
    assert reads == [path, path]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"state": null, "sha256": 1}'])
def test_a_damaged_record_counts_for_nothing(
    content: bytes, tmp_path: Path, own_cache: Path, reads: list[Path]
) -> None:
    path = write(tmp_path / "f", b"abc")
    recorded_sha256(path)
    (record,) = (own_cache / "checksums").iterdir()
    assert json.loads(record.read_text())["path"] == str(path)
    record.write_bytes(content)
    assert recorded_sha256(path) == hashlib.sha256(b"abc").hexdigest()
    assert reads == [path, path]


def test_without_a_cache_the_checksum_is_computed_each_time(tmp_path: Path, own_cache: Path, reads: list[Path]) -> None:
    own_cache.write_text("a file where the folder should be")
    path = write(tmp_path / "f", b"abc")
    assert recorded_sha256(path) == recorded_sha256(path) == hashlib.sha256(b"abc").hexdigest()
    assert len(reads) == 2


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"f: the file cannot be read: No such file or directory"):
        recorded_sha256(tmp_path / "f")


def test_a_note_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    note("these data are others")
    assert capsys.readouterr() == ("", "note: these data are others\n")


def test_an_arrays_checksum_is_that_of_its_bytes() -> None:
    one, two = torch.arange(3), torch.tensor([1.5, -2.0])
    wanted = hashlib.sha256(one.numpy().tobytes() + two.numpy().tobytes()).hexdigest()
    assert array_checksum(one, two) == wanted
    assert array_checksum(two, one) != wanted
