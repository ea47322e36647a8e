"""The published reviews: an archive, a folder or Keras' npz that is damaged is named in one line."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import IMDBDataModule
from datamodules.errors import MissingFileError, UserError
from datamodules.storage.downloads import Published, sha256
from datamodules.words import reviews as module
from datamodules.words.reviews import cached_reviews, read_reviews, read_word_index
from tests.datamodules.review_files import REVIEWS, make_archive, make_folder


@pytest.mark.parametrize("index", ['{"a": 2}', "[]", "{", '{"a": "x"}'])
def test_a_damaged_word_index_is_refused(index: str, tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text(index)
    with pytest.raises(UserError, match=r"i.json is damaged: expected an object of words with their ranks"):
        read_word_index(tmp_path / "i.json")


@pytest.mark.parametrize("change", [{"y_train": [0]}, {"y_train": [0, 5]}, {"x_test": ["a"]}, {"x_train": [[0], [1]]}])
def test_an_npz_of_something_else_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    arrays = {"x_train": [[1], [2]], "y_train": [0, 1], "x_test": [[1]], "y_test": [0]} | change
    np.savez(tmp_path / "imdb.npz", **{n: np.array(v, dtype=object) for n, v in arrays.items()})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"imdb.npz is not Keras' imdb.npz: expected x_train, y_train, x_test, y_test"):
        cached_reviews(tmp_path)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9, 0.999])
def test_a_truncated_archive_is_named(kept: float, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "aclImdb_v1.tar.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(
        UserError, match=r"aclImdb_v1.tar.gz is damaged or incomplete \(.*; delete it to download it again"
    ):
        cached_reviews(tmp_path)


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    for content in (b"", b"<html>", gzip.compress(b"no tar" * 200)):
        (tmp_path / "aclImdb_v1.tar.gz").write_bytes(content)
        with pytest.raises(
            UserError, match=r"aclImdb_v1.tar.gz(: it contains no reviews| is damaged or incomplete)"
        ) as caught:
            cached_reviews(tmp_path)
        assert "\n" not in str(caught.value)


def test_an_archive_without_one_kind_of_reviews_is_refused(tmp_path: Path) -> None:
    kept = {name: text for name, text in REVIEWS.items() if not name.startswith("test/pos")}
    make_archive(tmp_path / "aclImdb_v1.tar.gz", kept)
    with pytest.raises(UserError, match=r"it contains no reviews test/pos/\*.txt"):
        cached_reviews(tmp_path)


def test_a_review_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "aclImdb")
    (folder / "train" / "pos" / "9_9.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"train/pos/9_9.txt is not UTF-8"):
        cached_reviews(tmp_path)


def test_no_reviews_and_no_network_says_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUBLISHED", Published(("https://localhost:9/aclImdb_v1.tar.gz",), 1, ""))
    data = IMDBDataModule(data_dir=str(tmp_path))  # the constructor looks at no file
    message = (
        rf"cannot download https://localhost:9/aclImdb_v1.tar.gz \(no network\? .*: put the file at {tmp_path}/acl"
    )
    with pytest.raises(MissingFileError, match=message):
        data.prepare_data()


def test_offline_the_reviews_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_MODELS_OFFLINE", "1")
    with pytest.raises(MissingFileError, match=r"aclImdb_v1.tar.gz is missing, and LIT_MODELS_OFFLINE forbids to down"):
        cached_reviews(tmp_path)


def test_an_archive_of_links_devices_and_paths_outside_writes_nothing(tmp_path: Path) -> None:
    """Members that are no plain files, and names that lead elsewhere, are passed over."""
    path = make_archive(tmp_path / "data" / "aclImdb_v1.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        for name, text in REVIEWS.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE)
        for number, kind in enumerate(kinds):
            member = tarfile.TarInfo(f"aclImdb/train/pos/9{number}_1.txt")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO())
        for name in ("../outside.txt", "/outside.txt", "aclImdb/train/pos/../../../outside.txt"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"text"))
    before = sorted(tmp_path.rglob("*"))
    assert {review.text for review in read_reviews(path)} == set(REVIEWS.values())
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_larger_than_the_limit_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_archive(tmp_path / "aclImdb_v1.tar.gz", {**REVIEWS, "train/pos/5_5.txt": " " * 11_000_000})  # 0.0102 GiB
    monkeypatch.setenv("LIT_MODELS_MAX_GB", "0.01")
    with pytest.raises(UserError, match=r"takes more than 0.01 GiB of memory; set LIT_MODELS_MAX_GB to a larger numb"):
        cached_reviews(tmp_path)


@pytest.mark.parametrize("index", ['{"a": 1e999}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_a_word_index_with_impossible_ranks_is_refused(index: str, tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text(index)
    with pytest.raises(UserError, match=r"i.json is damaged: expected an object of words with their ranks"):
        read_word_index(tmp_path / "i.json")


def test_other_reviews_than_the_published_ones_are_used_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def notes(data_dir: Path) -> list[str]:
        data = IMDBDataModule(data_dir=str(data_dir))
        for stage in ("fit", "test"):
            data.setup(stage)
        return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]

    archive = make_archive(tmp_path / "aclImdb_v1.tar.gz")
    other = f"{archive} has another checksum than the published aclImdb_v1.tar.gz"
    rest = "so its reviews may be others; results.json has the checksum"
    assert notes(tmp_path) == [f"note: {other}, {rest}"]
    folder = make_folder(tmp_path / "folder" / "aclImdb")
    assert notes(folder) == [f"note: {folder} is a folder, {rest}"]
    monkeypatch.setattr(module, "PUBLISHED", module.PUBLISHED._replace(sha256=sha256(archive)))
    assert notes(tmp_path) == []
