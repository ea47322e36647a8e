"""Where rows come from: files, and datasets of the hub, whose class names replace integers."""

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from datamodules import TextDataModule
from datamodules.errors import MissingFileError, UserError
from datamodules.words.records import Columns
from datamodules.words.sources import FileSource, HubSource, Sources

COLUMNS = Columns("text", "label")


class Split:
    """Stands for a split of the library `datasets`."""

    def __init__(self, text: list[Any], label: list[Any], file: Path, feature: Any = None) -> None:
        self.columns = {"text": text, "label": label}
        self.column_names, self.features = ["text", "label"], {"label": feature}
        self.cache_files = [{"filename": str(file)}]

    def __len__(self) -> int:
        return len(self.columns["text"])

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {name: column[i] for name, column in self.columns.items()}

    def select_columns(self, columns: list[str]) -> "Split":
        return self

    def iter(self, batch_size: int) -> list[dict[str, Any]]:
        return [self.columns]


def test_a_dataset_of_the_hub_has_its_splits_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.storage.hub.hub_answers", lambda dataset: True)
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    names = SimpleNamespace(names=["no", "yes"])
    splits = {
        "train": Split(["a", "b"], [1, 0], tmp_path / "a", names),
        "validation": Split(["b"], [1], tmp_path / "b", names),
        "test": Split(["?"], [-1], tmp_path / "b", names),
    }
    library = type(sys)("datasets")
    library.load_dataset = lambda name: splits  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", library)
    data = TextDataModule(dataset="some/set")
    data.setup("fit")
    assert data.spec().class_names == ["no", "yes"]
    assert data.train_table is not None
    assert data.val_table is not None
    assert data.train_table[torch.arange(2)][1].tolist() == [1, 0]
    assert data.val_table[torch.arange(1)][1].tolist() == [1]
    data.setup("test")
    assert data.test_table is None  # its labels are kept secret
    with pytest.raises(UserError, match=r"some/set\[train\]: no column 'sentence' among 'text', 'label'"):
        TextDataModule(dataset="some/set", text_column="sentence").setup("fit")
    del splits["train"]
    with pytest.raises(UserError, match=r"the dataset 'some/set' has no split 'train', only 'validation', 'test'"):
        TextDataModule(dataset="some/set").setup("fit")


def test_a_list_of_labels_has_the_names_of_its_elements(tmp_path: Path) -> None:
    feature = SimpleNamespace(feature=SimpleNamespace(names=["no", "yes"]))
    rows = Split(["a", "b", "c"], [[1, 0], [], [1]], tmp_path / "a", feature)
    source = HubSource(rows, "some/set[train]", Columns("text", "label", ";"))
    assert [record.labels for record in source.records()] == [("yes", "no"), (), ("yes",)]
    with pytest.raises(UserError, match=r"^some/set\[train\]:1: the label is a list, .* give --data.label_separator$"):
        list(HubSource(rows, "some/set[train]", COLUMNS).records())


def test_a_row_without_a_class_is_refused_if_the_classes_have_names(tmp_path: Path) -> None:
    rows = Split(["a", "b"], [1, -1], tmp_path / "a", SimpleNamespace(names=["no", "yes"]))
    with pytest.raises(UserError, match=r"^set:2: the label is -1, which marks rows without a class: remove them$"):
        list(HubSource(rows, "set", COLUMNS).records())
    rows = Split(["a", "b"], [1, -1], tmp_path / "a")
    assert [record.labels for record in HubSource(rows, "set", COLUMNS).records()] == [("1",), ("-1",)]


def test_integers_without_names_stay_integers(tmp_path: Path) -> None:
    source = HubSource(Split(["a", "b"], [3, "x"], tmp_path / "a"), "set", COLUMNS)
    assert [record.labels for record in source.records()] == [("3",), ("x",)]
    with pytest.raises(UserError, match=r"^set:2: the column 'text' is empty, expected text$"):
        list(HubSource(Split(["a", None], [0, 1], tmp_path / "a"), "set", COLUMNS).records())


def test_a_file_is_read_again_and_its_checksum_is_that_of_its_content(tmp_path: Path) -> None:
    content = b"text,label\na,x\n"
    (tmp_path / "f.CSV").write_bytes(content)
    source = FileSource(tmp_path / "f.CSV", COLUMNS)
    wanted = [(f"{tmp_path / 'f.CSV'}:2", "a", ("x",))]
    assert list(source.records()) == list(source.records()) == wanted
    assert source.checksums() == {str(tmp_path / "f.CSV"): hashlib.sha256(content).hexdigest()}
    assert source.name == ".csv"
    with pytest.raises(MissingFileError, match=r"^gone.csv: no such file$"):
        FileSource(Path("gone.csv"), COLUMNS).checksums()


def test_a_split_is_opened_once_and_only_opened_files_have_checksums(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"text,label\n{name},x\n")
    files: Any = {"train": str(tmp_path / "a.csv"), "val": None, "test": str(tmp_path / "b.csv")}
    sources = Sources(files, dataset=None, columns=COLUMNS, use_validation=True)
    assert sources.checksums() == {}
    assert sources.get("train") is sources.get("train") is not None
    assert sources.get("val") is None
    assert list(sources.checksums()) == [str(tmp_path / "a.csv")]
