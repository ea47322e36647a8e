"""Reads the published reviews of IMDB, and writes them once to the data cache as token ids.

The reviews are an archive, a folder, or Keras' `imdb.npz`.
"""

import gzip
import hashlib
import json
import re
import tarfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.errors import UserError
from datamodules.storage.cache import cached_file
from datamodules.storage.checksums import recorded_sha256
from datamodules.storage.downloads import Published, fetch, sha256
from datamodules.storage.limits import JSON_FACTOR, Budget, most_bytes
from datamodules.storage.lines import require_file
from datamodules.storage.npz import read_npz
from datamodules.storage.progress import progress
from datamodules.words.tokenizers import FIRST_WORD_ID, START_ID, split_words
from datamodules.words.tokens import Rows, chunked, write_rows

PUBLISHED = Published(
    ("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",),
    most_bytes=2**27,  # the file has 84,125,825
    sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)
NPZ_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"  # the checksum in `keras.datasets.imdb`
UNPACKED_FACTOR = 20  # allowed bytes of content for each byte of an archive; the published one has 5
ARCHIVE, FOLDER, NPZ, WORD_INDEX = "aclImdb_v1.tar.gz", "aclImdb", "imdb.npz", "imdb_word_index.json"
PARTS = [(split, label) for split in ("train", "test") for label in ("neg", "pos")]


class Review(NamedTuple):
    """A review: the index of its part in `PARTS`, its file name and its text. Reviews are sorted in this order."""

    part: int
    name: str
    text: str


def cached_reviews(data_dir: Path) -> Path:
    """The file in the data cache with the uncut ids of all reviews, training reviews first.

    The metadata of the file are `num_train`, the number of training reviews, and `words`, the words by rank, or None if
    they are unknown. If the reviews are missing, the archive is downloaded to `data_dir`.

    Raises:
        UserError: the reviews are damaged.
        MissingFileError: there are none, and they cannot be downloaded.
    """
    source = find_source(data_dir)
    if source is None:
        source = data_dir / ARCHIVE
        fetch(PUBLISHED, source)
    if source.suffix.lower() == ".npz":
        index = source.with_name(WORD_INDEX)
        settings = {"npz": recorded_sha256(source), "words": recorded_sha256(index) if index.is_file() else None}
        return cached_file("imdb", settings, lambda path: write_npz(source, path))
    return cached_file("imdb", {"reviews": state_of(source)}, lambda path: write_reviews(source, path))


def find_source(data_dir: Path) -> Path | None:
    """The archive, the folder or the `.npz` file in `data_dir`, in this order, or `data_dir` itself. Upper and lower
    case are not distinguished. None if the reviews are missing."""
    if data_dir.is_file() or (data_dir / "train" / "pos").is_dir():
        return data_dir
    inside = {path.name.lower(): path for path in sorted(data_dir.iterdir())} if data_dir.is_dir() else {}
    for name in (ARCHIVE, FOLDER, NPZ):
        path = inside.get(name.lower())
        if path is not None and (path.is_dir() if name == FOLDER else path.is_file()):
            return path
    return None


def state_of(source: Path) -> str:
    """A value that changes when the source changes: the SHA-256 of an archive, or names, sizes and times of a folder's
    files."""
    if source.is_file():
        return recorded_sha256(source)
    files = ((path.name, path.stat()) for _, path in review_files(source))
    return json.dumps([str(source.resolve()), [(name, s.st_size, s.st_mtime_ns) for name, s in files]])


def content_checksum(source: Path) -> str:
    """SHA-256 of a file; of a folder, SHA-256 over the checksums of its reviews."""
    if source.is_file():
        return recorded_sha256(source)
    return hashlib.sha256("".join(sha256(path) for _, path in review_files(source)).encode()).hexdigest()


def is_published(source: Path) -> bool:
    """Whether the checksum is that of the published archive or of Keras' published file."""
    return source.is_file() and recorded_sha256(source) in (PUBLISHED.sha256, NPZ_SHA256)


def review_files(folder: Path) -> Iterator[tuple[int, Path]]:
    """The part and the path of every review in a folder, in order."""
    for part, (split, label) in enumerate(PARTS):
        yield from ((part, path) for path in sorted((folder / split / label).glob("*.txt"), key=lambda p: p.name))


def read_reviews(source: Path) -> list[Review]:
    """All labelled reviews of the archive or the folder, in order. An archive is read as a stream and not unpacked to
    disk.

    Raises:
        UserError: a damaged archive, a review that is not UTF-8, or a part without reviews.
    """
    contents = _folder_reviews(source) if source.is_dir() else _archive_reviews(source)
    reviews = []
    for part, name, content in progress(contents, doing="reading", unit="reviews"):
        try:
            reviews.append(Review(part, name, content.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise UserError(f"{source}: {'/'.join(PARTS[part])}/{name} is not UTF-8") from error
    for part, names in enumerate(PARTS):
        if not any(review.part == part for review in reviews):
            raise UserError(f"{source}: it contains no reviews {'/'.join(names)}/*.txt")
    return sorted(reviews)


def write_reviews(source: Path, path: Path) -> None:
    """Writes the ids of all reviews of the archive or the folder. Words are ranked by their frequency in the training
    reviews, and equally frequent words by their first appearance."""
    reviews = read_reviews(source)
    num_train = sum(PARTS[review.part][0] == "train" for review in reviews)
    first: dict[str, int] = {}  # number of each word in the order of appearance
    rows = []
    for i, review in enumerate(progress(reviews, doing="tokenizing", unit="reviews", total=len(reviews))):
        words = split_words(review.text, "keras")
        if i < num_train:
            numbers = [first.setdefault(word, len(first)) for word in words]
        else:
            numbers = [first[word] for word in words if word in first]
        rows.append(np.frombuffer(array("i", numbers), dtype=np.int32))
    counts = np.bincount(np.concatenate(rows[:num_train]), minlength=len(first))
    order = np.argsort(-counts, kind="stable")  # word numbers, most frequent first
    ids = np.empty(len(first), dtype=np.int32)
    ids[order] = np.arange(len(first)) + FIRST_WORD_ID
    words = list(first)
    metadata = {"words": [words[number] for number in order.tolist()], "num_train": num_train}
    labels = [int(PARTS[review.part][1] == "pos") for review in reviews]
    write_rows(path, _with_start([ids[row] for row in rows], labels), metadata=metadata)


def write_npz(source: Path, path: Path) -> None:
    """Writes the ids of the reviews in Keras' `imdb.npz`, which contains ranks of words.

    Raises:
        UserError: the file is damaged or is not Keras'.
    """
    arrays = read_npz(source)
    try:
        rows = [np.array(row, dtype=np.int64) for name in ("x_train", "x_test") for row in arrays[name]]
        labels = [int(label) for name in ("y_train", "y_test") for label in arrays[name]]
        num_train = len(arrays["x_train"])
        valid = len(rows) == len(labels) and set(labels) <= {0, 1} and len(arrays["y_train"]) == num_train > 0
        valid = valid and all(row.ndim == 1 and (row > 0).all() and (row < 2**30).all() for row in rows)
    except (KeyError, TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        raise UserError(
            f"{source} is not Keras' imdb.npz: expected x_train, y_train, x_test, y_test, ranks from 1, labels 0 or 1"
        )
    ids = [(row + FIRST_WORD_ID - 1).astype(np.int32) for row in rows]
    metadata = {"words": read_word_index(source.with_name(WORD_INDEX)), "num_train": num_train}
    write_rows(path, _with_start(ids, labels), metadata=metadata)


def read_word_index(path: Path) -> list[str] | None:
    """The words by rank from Keras' `imdb_word_index.json`; None if the file is missing.

    Raises:
        UserError: the file is damaged, or the ranks are not 1, 2, 3 …
    """
    if not path.is_file():
        return None
    try:
        Budget(path).spend(path.stat().st_size * JSON_FACTOR)
        ranks = json.loads(path.read_text(encoding="utf-8"))
        words = sorted(ranks, key=lambda word: int(ranks[word]))
        valid = bool(words) and [ranks[word] for word in words] == list(range(1, len(words) + 1))
    except UserError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        valid, words = False, []
    if not valid:
        raise UserError(f"{path} is damaged: expected an object of words with their ranks 1, 2, 3 …")
    return words


def _folder_reviews(folder: Path) -> Iterator[tuple[int, str, bytes]]:
    """Part, file name and content of each review in a folder."""
    left = most_bytes()
    for part, path in review_files(folder):
        require_file(path)
        left -= path.stat().st_size
        if left < 0:
            raise UserError(f"{folder}: its reviews have more bytes than LIT_MODELS_MAX_GB; set it to a larger number")
        yield part, path.name, path.read_bytes()


def _archive_reviews(source: Path) -> Iterator[tuple[int, str, bytes]]:
    """Part, file name and content of each labelled review, in the order of the archive. Nothing is written to disk, and
    names are used for sorting only. Links, devices and sparse files are skipped."""
    pattern = re.compile(r"(?:\./)?(?:[^/]+/)?(train|test)/(neg|pos)/([^/]+\.txt)")
    try:
        with gzip.open(source) as packed:
            stream = _Counted(packed, Budget(source, factor=UNPACKED_FACTOR))
            with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    match = pattern.fullmatch(member.name)
                    plain = member.isreg() and not member.issparse()
                    if match and plain and (content := archive.extractfile(member)):
                        yield PARTS.index((match[1], match[2])), match[3], content.read()
            while stream.read(2**20):  # the checksum is at the end
                pass
    except UserError:
        raise
    except Exception as error:  # a damaged archive can fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source} is damaged or incomplete ({reason}); delete it to download it again") from error


class _Counted:
    """A stream that counts its unpacked bytes."""

    def __init__(self, stream: gzip.GzipFile, budget: Budget) -> None:
        self.stream, self.budget = stream, budget

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.budget.spend(len(content))
        return content


def _with_start(rows: list[Any], labels: list[int]) -> Iterator[Rows]:
    """Chunks of rows and labels; the start id is put before each row."""
    start = np.array([START_ID], dtype=np.int32)
    for chunk in chunked(zip(rows, labels, strict=True), 5000):
        yield [np.concatenate([start, row]) for row, _ in chunk], [label for _, label in chunk]
