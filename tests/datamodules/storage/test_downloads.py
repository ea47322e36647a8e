"""Downloads that arrive complete or not at all, temporary files, and checksums."""

import hashlib
import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torchvision.datasets.utils

from datamodules.errors import MissingFileError, UserError
from datamodules.storage.downloads import fetch, part_of, sha256

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


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    assert sha256(tmp_path / "f") == hashlib.sha256(CONTENT).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        sha256(tmp_path)
    assert str(caught.value) == f"{tmp_path}: the file cannot be read: Is a directory"


def test_a_download_lands_whole(served: Path, tmp_path: Path) -> None:
    served.write_bytes(CONTENT)
    fetch(URL, tmp_path / "new" / "f", md5=MD5)
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "new").iterdir()] == [("f", CONTENT)]


def test_a_wrong_checksum_is_refused_and_nothing_stays(served: Path, tmp_path: Path) -> None:
    served.write_bytes(CONTENT + b"!")
    with pytest.raises(
        UserError, match=r"example.invalid/file.bin arrived with a wrong checksum: try again, or put the file at"
    ):
        fetch(URL, tmp_path / "new" / "f", md5=MD5)
    assert list((tmp_path / "new").iterdir()) == []


def test_no_network_is_one_line_with_the_file_to_put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(url: str, **_: object) -> str:
        raise URLError("no route")

    monkeypatch.setattr(torchvision.datasets.utils, "_get_redirect_url", refuse)
    with pytest.raises(MissingFileError) as caught:
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
