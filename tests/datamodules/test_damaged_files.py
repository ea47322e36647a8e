"""Damaged and random files: each reader returns, or refuses the file in one line that names it, and its line."""

import io
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given

from datamodules.storage.idx import SHAPES, idx_header, read_idx
from datamodules.storage.npz import read_npz
from datamodules.storage.table_files import read_rows
from datamodules.words.records import Columns, read_records
from datamodules.words.reviews import read_reviews, read_word_index, write_npz
from datamodules.words.vocab_files import read_vocab
from tests.datamodules.review_files import make_archive
from tests.fuzz import mutated, read_or_refuse

pytestmark = pytest.mark.fuzz

CSV = b'text,label\n"good, ""very"" good",1\nbad,0\n\n"two\nlines",1\n'
JSONL = b'{"text": "good", "label": 1}\n\n{"text": "b\\u00e4d", "label": ["a", "b"], "x": {"y": 1e5}}\n'
WORDS = ["<unk>", "film", "<pad>", "é"]
ROW_FILES = (r":\d+: ", ": no rows", ": the file is empty", ": this Parquet file", ": reading it takes", ": no column")


def fuzz(
    read: Callable[[Path], object], path: Path, valid: list[bytes], tokens: list[bytes], message: str = ""
) -> None:
    """Tries the valid files, then damaged ones. Each refusal matches `message` after the file's name."""
    for content in valid:
        assert read_or_refuse(read, path, content) is None

    @given(mutated(valid, tokens))
    def damaged(content: bytes) -> None:
        error = read_or_refuse(read, path, content)
        assert error is None or re.search(re.escape(str(path)) + f"(?:{message})", str(error)), error

    damaged()


def rows(path: Path) -> list[Any]:
    return list(read_rows(path, ["text", "label"]))


def records(path: Path) -> list[Any]:
    return list(read_records(path, Columns("text", "label", ";")))


@pytest.mark.parametrize("read", [rows, records])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_damaged_tables_of_text(read: Callable[[Path], object], suffix: str, tmp_path: Path) -> None:
    content = CSV.replace(b",", b"\t") if suffix == "tsv" else CSV
    tokens = [b'"', b"\n", b"\r", b",", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80"]
    fuzz(read, tmp_path / f"f.{suffix}", [content, content.replace(b"\n", b"\r\n")], tokens, "|".join(ROW_FILES))


@pytest.mark.parametrize("read", [rows, records])
def test_damaged_json_lines(read: Callable[[Path], object], tmp_path: Path) -> None:
    tokens = [b'"', b"\n", b"{", b"[" * 2000, b"null", b"NaN", b"1e999", b"9" * 5000, b"\\ud800", b"\xff"]
    fuzz(read, tmp_path / "f.jsonl", [JSONL], tokens, "|".join(ROW_FILES))


def parquet(**options: Any) -> bytes:
    table = pa.table({"text": ["good", "bad", None, "good"] * 10, "label": pa.array([1, 0, 1, 0] * 10, pa.int64())})
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("read", [rows, records])
def test_damaged_parquet(read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a file after the process that tries it, which takes half a second for each."""
    monkeypatch.setattr("datamodules.storage.table_files.check_parquet", lambda *_, **__: None)
    path = tmp_path / "f.parquet"
    valid = [parquet(), parquet(compression="zstd", row_group_size=7), parquet(use_dictionary=False, version="1.0")]

    @given(mutated(valid, [b"PAR1", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"]))
    def damaged(content: bytes) -> None:
        read_or_refuse(read, path, content)

    damaged()


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_damaged_idx(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (3, *SHAPES[name][1:])
    monkeypatch.setitem(SHAPES, name, shape)
    values = np.random.default_rng(0).integers(10, size=shape, dtype=np.uint8)
    fuzz(read_idx, tmp_path / name, [idx_header(shape) + values.tobytes()], [b"\0", b"\xff"], " is damaged: ")


def test_damaged_archives(tmp_path: Path) -> None:
    valid = [make_archive(tmp_path / "f.tar.gz").read_bytes()]
    message = " is damaged or incomplete|: it contains no reviews|: .* is not UTF-8|: reading it takes"
    fuzz(read_reviews, tmp_path / "f.tar.gz", valid, [bytes(512), b"\x1f\x8b"], message)


def test_damaged_members_of_archives(tmp_path: Path) -> None:
    """The tar inside is damaged, and packed well."""
    import gzip

    path = tmp_path / "f.tar.gz"
    valid = [gzip.decompress(make_archive(path).read_bytes())]

    @given(mutated(valid, [bytes(512), b"L", b"x", b"K", b"S", b"\x80", b"ustar"]))
    def damaged(content: bytes) -> None:
        read_or_refuse(read_reviews, path, gzip.compress(content, compresslevel=1, mtime=0))

    damaged()


def npz() -> bytes:
    lists = np.empty(3, dtype=object)
    lists[:] = [[1, 2, 300], [3], [2, 70_000]]
    file = io.BytesIO()
    np.savez(file, x_train=lists, y_train=np.array([0, 1, 1]), x_test=lists[:2], y_test=np.array([1, 0]))
    return file.getvalue()


def test_damaged_npz(tmp_path: Path) -> None:
    message = " is damaged: | contains | is not Keras' imdb.npz|: reading it takes"
    tokens = [b"PK\x03\x04", b"\x93NUMPY", b"|O", b"<i8", b"R", b"b", b"\x85", b"q\x00", b"r\xff\xff\xff\x7f", b"h\x00"]
    fuzz(read_npz, tmp_path / "f.npz", [npz()], tokens, message)


def test_damaged_arrays_inside_npz(tmp_path: Path) -> None:
    """The array is damaged; the checksum of the zip is right."""
    import zipfile

    path = tmp_path / "f.npz"
    with zipfile.ZipFile(io.BytesIO(npz())) as archive:
        valid = [archive.read(name) for name in ("x_train.npy", "y_train.npy")]

    @given(mutated(valid, [b"R", b"b", b"\x85", b"q\x00", b"r\xff\xff\xff\x7f", b"h\x00", b"]", b"(", b"e", b"\x8f"]))
    def damaged(content: bytes) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in ("x_train", "y_train", "x_test", "y_test"):
                archive.writestr(f"{name}.npy", content)
        read_or_refuse(lambda path: write_npz(path, tmp_path / "ids.arrow"), path, file.getvalue())

    damaged()


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("f.json", [json.dumps(WORDS).encode(), json.dumps({w: i for i, w in enumerate(WORDS)}).encode()]),
        ("f.txt", ["\n".join(WORDS).encode()]),
        ("f.pkl", [pickle.dumps(WORDS, protocol=n) for n in (0, 2, 4)]),
        ("f.pkl", [pickle.dumps({w: i for i, w in enumerate(WORDS)}, protocol=n) for n in (0, 2, 5)]),
        ("f.pt", [saved(WORDS), saved(WORDS, _use_new_zipfile_serialization=False)]),
    ],
)
def test_damaged_vocabularies(name: str, valid: list[bytes], tmp_path: Path) -> None:
    tokens = [b"r\xff\xff\xff\x7f", b"h\x00", b"R", b"b", b"\x85", b"\x8f", b"}", b"s", b"ccollections\nOrderedDict\n"]
    tokens += [b"[", b'"', b"null", b"9" * 5000, b"\\ud800", b"\n\n"]
    fuzz(read_vocab, tmp_path / name, valid, tokens, ": | contains |:\\d+: ")


def test_damaged_word_index(tmp_path: Path) -> None:
    tokens = [b"[" * 3000, b"1e999", b"null", b"9" * 5000, b'"', b"{"]
    message = " is damaged: |: reading it takes"
    fuzz(read_word_index, tmp_path / "f.json", [b'{"the": 1, "a": 2, "film": 3}'], tokens, message)
