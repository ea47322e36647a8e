"""Where the rows of a text dataset come from: a file of the user's, or a dataset of the hub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from datamodules.records import Record, as_label, read_records
from datamodules.sources import sha256
from datamodules.tokenizers import HUB_TIMEOUT

HUB_SPLITS = {"train": ["train"], "val": ["validation", "valid", "val", "dev"], "test": ["test"]}


class Source(Protocol):
    """Rows with labels, that can be read again and again."""

    @property
    def name(self) -> str: ...

    def checksums(self) -> dict[str, str]: ...

    def records(self) -> Iterator[Record]: ...


class FileSource:
    """The rows of a file.

    Args:
        path: `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet`.
        text_column: name of the column with the text.
        label_column: name of the column with the label.
    """

    def __init__(self, path: Path, text_column: str, label_column: str) -> None:
        self.path, self.text_column, self.label_column = path, text_column, label_column
        self._checksum: str | None = None

    @property
    def name(self) -> str:
        return self.path.suffix.lower()

    def checksums(self) -> dict[str, str]:
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file")
        self._checksum = self._checksum or sha256(self.path)
        return {str(self.path): self._checksum}

    def records(self) -> Iterator[Record]:
        return read_records(self.path, text_column=self.text_column, label_column=self.label_column)


class HubSource:
    """The rows of one split of a dataset that the library `datasets` has loaded.

    Args:
        rows: the split.
        name: of dataset and split, for messages.
        text_column: name of the column with the text.
        label_column: name of the column with the label; its class names replace the integers, if it has any.
    """

    def __init__(self, rows: Any, name: str, text_column: str, label_column: str) -> None:
        self.rows, self._name = rows, name
        self.text_column, self.label_column = text_column, label_column
        self._checksums: dict[str, str] | None = None
        for column in (text_column, label_column):
            if column not in rows.column_names:
                raise ValueError(f"{name}: no column {column!r} among {', '.join(map(repr, rows.column_names))}")

    @property
    def name(self) -> str:
        return self._name

    def checksums(self) -> dict[str, str]:
        if self._checksums is None:
            files = [Path(file["filename"]) for file in self.rows.cache_files]
            self._checksums = {f"{self.name}/{file.name}": sha256(file) for file in files}
        return self._checksums

    def records(self) -> Iterator[Record]:
        names: list[str] = getattr(self.rows.features[self.label_column], "names", None) or []
        number = 0
        for chunk in self.rows.select_columns([self.text_column, self.label_column]).iter(batch_size=1000):
            for text, label in zip(chunk[self.text_column], chunk[self.label_column], strict=True):
                number += 1
                place = f"{self.name}:{number}"
                if not isinstance(text, str):
                    raise ValueError(f"{place}: the column {self.text_column!r} is no text")
                known = isinstance(label, int) and 0 <= label < len(names)
                yield Record(place, text, names[label] if known else as_label(label, place))


def hub_answers(dataset: str) -> bool:
    """Whether the hub can be asked for a dataset now; found out in seconds, where the library tries again and again."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(dataset, timeout=HUB_TIMEOUT)
    except HfHubHTTPError:
        return True  # its answer is no, and the library says why
    except Exception:  # no network, in whatever way
        return False
    return True


def hub_splits(dataset: str) -> Any:
    """Every split of a dataset of the hub, or of a folder, by name. No code of the dataset's is run.

    Raises:
        ValueError: the package `datasets` is missing.
        FileNotFoundError: the dataset cannot be had.
    """
    try:
        import datasets
    except ImportError as error:
        raise ValueError("a dataset of the hub needs the package datasets: pip install 'lit-models[hub]'") from error
    online = Path(dataset).is_dir() or hub_answers(dataset)
    config = getattr(datasets, "config", None)
    before = getattr(config, "HF_HUB_OFFLINE", False)
    try:
        if config is not None and not online:
            config.HF_HUB_OFFLINE = True  # what was downloaded before still loads
        return datasets.load_dataset(dataset)
    except Exception as error:  # the library raises errors of many kinds for what is one mistake here
        raise FileNotFoundError(
            f"cannot get the dataset {dataset!r}: no network, or no such name on the hub; save it as a .csv or "
            ".parquet file and give --data.train_file"
        ) from error
    finally:
        if config is not None:
            config.HF_HUB_OFFLINE = before


def hub_source(every: Any, dataset: str, split: str, text_column: str, label_column: str) -> HubSource | None:
    """The rows for "train", "val" or "test" of a dataset's splits, if it has them.

    Raises:
        ValueError: nothing to train on, or a column is missing.
    """
    found = next((name for name in HUB_SPLITS[split] if name in every), None)
    if found is None:
        if split == "train":
            raise ValueError(f"the dataset {dataset!r} has no split 'train', only {', '.join(map(repr, every))}")
        return None
    rows = every[found]
    if split == "test" and label_column in rows.column_names and len(rows) and rows[0][label_column] == -1:
        return None  # a benchmark keeps these labels to itself
    return HubSource(rows, f"{dataset}[{found}]", text_column, label_column)
