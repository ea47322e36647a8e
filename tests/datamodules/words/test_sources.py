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
from datamodules.words.folders import class_files, read_text
from datamodules.words.records import Columns
from datamodules.words.sources import FileSource, HubSource, Sources, file_source

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
    files: Any = {"train": [tmp_path / "a.csv"], "val": [], "test": [tmp_path / "b.csv"]}
    sources = Sources(files, dataset=None, columns=COLUMNS, use_validation=True)
    assert sources.checksums() == {}
    assert sources.get("train") is sources.get("train") is not None
    assert sources.get("val") is None
    assert list(sources.checksums()) == [str(tmp_path / "a.csv")]


def test_several_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\none,x\n")
    (tmp_path / "b.jsonl").write_text('{"text": "two", "label": "y"}\n')
    source = file_source([tmp_path / "a.csv", tmp_path / "b.jsonl"], COLUMNS)
    assert [(Path(record.place).name, record.text, record.labels) for record in source.records()] == [
        ("a.csv:2", "one", ("x",)),
        ("b.jsonl:1", "two", ("y",)),
    ]
    assert list(source.checksums()) == [str(tmp_path / "a.csv"), str(tmp_path / "b.jsonl")]
    assert source.name == ".csv, .jsonl"


def test_a_folder_of_texts_for_each_class_is_read_sorted(tmp_path: Path) -> None:
    source = file_source([write_class_folders(tmp_path / "films")], COLUMNS)
    assert [(record.text, record.labels) for record in source.records()] == [
        ("neg 0\nbad", ("neg",)),
        ("neg 1\nbad", ("neg",)),
        ("pos 0\nbad", ("pos",)),
        ("pos 1\nbad", ("pos",)),
    ]
    (before,) = source.checksums().values()
    (tmp_path / "films" / "pos" / "0.txt").write_text("changed")
    assert file_source([tmp_path / "films"], COLUMNS).checksums() != {str(tmp_path / "films"): before}


def test_the_folder_of_imdbs_texts_without_a_class_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_class_folders(tmp_path / "films", "neg", "pos", "unsup")
    assert {label for label, _ in class_files(root)} == {"neg", "pos"}
    assert capsys.readouterr().err == f"note: {root}: the folder unsup is left out, because its texts have no class\n"


def test_a_folder_in_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expected = "expected a table, or a folder with a folder of .txt files for each class, such as neg and pos"
    with pytest.raises(UserError, match=f"^{tmp_path}/empty is a folder, {expected}$"):
        list(class_files(tmp_path / "empty"))
    root = write_class_folders(tmp_path / "films")
    (root / "neutral").mkdir()
    with pytest.raises(UserError, match=f"^{root}/neutral has no .txt files, {expected}; remove an empty folder$"):
        list(class_files(root))
    (root / "neutral" / "0.txt").write_bytes(b"\xff")
    with pytest.raises(UserError, match=f"^{root}/neutral/0.txt:1: not UTF-8"):
        read_text(root / "neutral" / "0.txt")
    with pytest.raises(MissingFileError, match=f"^{tmp_path}/none: no such folder$"):
        list(class_files(tmp_path / "none"))


def write_class_folders(root: Path, *labels: str) -> Path:
    """Two texts in a folder for each label."""
    for label in labels or ("neg", "pos"):
        (root / label).mkdir(parents=True)
        for i in range(2):
            (root / label / f"{i}.txt").write_text(f"{label} {i}\nbad\n")
    return root
