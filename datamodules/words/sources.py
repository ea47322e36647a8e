"""Sources of the rows of a text dataset: the user's files and folders, or a dataset of the Hugging Face hub."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol

from datamodules.errors import UserError
from datamodules.storage.checksums import recorded_sha256
from datamodules.storage.downloads import sha256
from datamodules.storage.hub import dataset_splits
from datamodules.storage.lines import require_file, suffix_of
from datamodules.words.folders import class_files, read_text
from datamodules.words.records import Columns, Record, as_record, read_records

Split = Literal["train", "val", "test"]
HUB_SPLITS: dict[Split, list[str]] = {
    "train": ["train"],
    "val": ["validation", "valid", "val", "dev"],
    "test": ["test"],
}


class Source(Protocol):
    """Texts with labels that can be read several times."""

    columns: Columns

    @property
    def name(self) -> str:
        """Everything that determines the rows, except the content of the files."""
        ...

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file, by name."""
        ...

    def records(self) -> Iterator[Record]:
        """The rows, in order."""
        ...


class FileSource:
    """The rows of a table file.

    Args:
        path: a file that `read_rows` reads.
        columns: the columns to read.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        self._checksum: str | None = None

    @property
    def name(self) -> str:
        return suffix_of(self.path)

    def checksums(self) -> dict[str, str]:
        require_file(self.path)
        self._checksum = self._checksum or recorded_sha256(self.path)
        return {str(self.path): self._checksum}

    def records(self) -> Iterator[Record]:
        return read_records(self.path, self.columns)


class FolderSource:
    """The texts in a folder for each class (see `class_files`). A text has no column; its class is its folder.

    Args:
        path: the folder.
        columns: whether a row has one class or a set of labels.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        self._checksum: str | None = None

    @property
    def name(self) -> str:
        return "folder"

    def checksums(self) -> dict[str, str]:
        if self._checksum is None:
            digest = hashlib.sha256()
            for label, file in class_files(self.path):
                digest.update(f"{label}/{file.name}\0{sha256(file)}\n".encode(errors="surrogateescape"))
            self._checksum = digest.hexdigest()
        return {str(self.path): self._checksum}

    def records(self) -> Iterator[Record]:
        for label, file in class_files(self.path):
            yield as_record(str(file), read_text(file), [label], self.columns)


class JoinedSource:
    """The rows of several sources, one after the other.

    Args:
        sources: at least one, with the same columns.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources, self.columns = sources, sources[0].columns

    @property
    def name(self) -> str:
        return ", ".join(source.name for source in self.sources)

    def checksums(self) -> dict[str, str]:
        return {name: checksum for source in self.sources for name, checksum in source.checksums().items()}

    def records(self) -> Iterator[Record]:
        return chain.from_iterable(source.records() for source in self.sources)


def file_source(paths: Sequence[Path], columns: Columns) -> Source:
    """The rows of a file or of a folder, or of several of them."""
    sources = [FolderSource(path, columns) if path.is_dir() else FileSource(path, columns) for path in paths]
    return sources[0] if len(sources) == 1 else JoinedSource(sources)


class HubSource:
    """The rows of one split of a dataset that was loaded by the library `datasets`.

    Args:
        rows: the split.
        name: name of dataset and split, for messages.
        columns: the columns to read. If the dataset has class names for the label, they
            replace the integers.

    Raises:
        UserError: a column is missing.
    """

    def __init__(self, rows: Any, name: str, columns: Columns) -> None:
        self.rows, self._name, self.columns = rows, name, columns
        self._checksums: dict[str, str] | None = None
        for column in self._column_names:
            if column not in rows.column_names:
                raise UserError(f"{name}: no column {column!r} among {', '.join(map(repr, rows.column_names))}")

    @property
    def _column_names(self) -> list[str]:
        return [column for column in (self.columns.text, self.columns.label) if column is not None]

    @property
    def name(self) -> str:
        return self._name

    def checksums(self) -> dict[str, str]:
        if self._checksums is None:
            files = [Path(file["filename"]) for file in self.rows.cache_files]
            self._checksums = {f"{self.name}/{file.name}": recorded_sha256(file) for file in files}
        return self._checksums

    def records(self) -> Iterator[Record]:
        names = self._class_names()
        number = 0
        for chunk in self.rows.select_columns(self._column_names).iter(batch_size=1000):
            for text, *label in zip(*(chunk[column] for column in self._column_names), strict=True):
                number += 1
                place = f"{self.name}:{number}"
                if names and -1 in label:
                    raise UserError(f"{place}: the label is -1, which marks rows without a class: remove them")
                yield as_record(place, text, [_named(cell, names) for cell in label], self.columns)

    def _class_names(self) -> list[str]:
        """The class names of the label, or of the items if the label is a list; empty if the dataset has none."""
        feature = self.rows.features[self.columns.label] if self.columns.label else None
        return getattr(getattr(feature, "feature", feature), "names", None) or []


class Sources:
    """The rows of each split, opened at their first use.

    Args:
        files: the user's files and folders for each split; empty if it has none.
        dataset: name of a dataset of the hub, or its folder, used instead of the files.
        columns: the columns to read.
        use_validation: use the dataset's own validation split.
    """

    def __init__(
        self, files: Mapping[Split, Sequence[Path]], *, dataset: str | None, columns: Columns, use_validation: bool
    ) -> None:
        self.files, self.dataset, self.columns, self.use_validation = files, dataset, columns, use_validation
        self._opened: dict[Split, Source | None] = {}
        self._hub_splits: Any = None

    def get(self, split: Split) -> Source | None:
        """The rows of a split, or None if the split does not exist.

        Raises:
            UserError, MissingFileError: a mistake in the dataset's name or in that of a column.
        """
        if split not in self._opened:
            self._opened[split] = self._open(split)
        return self._opened[split]

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file that was opened, by name."""
        opened = (self._opened.get(split) for split in self.files)
        return {name: checksum for source in opened if source for name, checksum in source.checksums().items()}

    def _open(self, split: Split) -> Source | None:
        if self.dataset and (split != "val" or self.use_validation):
            self._hub_splits = self._hub_splits or dataset_splits(self.dataset)
            return hub_source(self._hub_splits, self.dataset, split, self.columns)
        paths = self.files[split]
        return file_source(paths, self.columns) if paths else None


def hub_source(splits: Any, dataset: str, split: Split, columns: Columns) -> HubSource | None:
    """The rows for "train", "val" or "test" of a dataset's splits, or None if the dataset has no such split.

    Raises:
        UserError: there is nothing to train on, or a column is missing.
    """
    name = next((name for name in HUB_SPLITS[split] if name in splits), None)
    if name is None:
        if split == "train":
            raise UserError(f"the dataset {dataset!r} has no split 'train', only {', '.join(map(repr, splits))}")
        return None
    rows = splits[name]
    if split == "test" and columns.label in rows.column_names and len(rows) and rows[0][columns.label] == -1:
        return None  # the labels of this split are not public
    return HubSource(rows, f"{dataset}[{name}]", columns)


def _named(cell: Any, names: list[str]) -> Any:
    """A label, or a list of labels, with integers replaced by class names."""
    if isinstance(cell, list):
        return [_named(label, names) for label in cell]
    return names[cell] if isinstance(cell, int) and 0 <= cell < len(names) else cell
