"""Texts with any number of labels: exact targets, from every format, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from datamodules import DataSpec, TextDataModule
from datamodules.errors import UserError

TEXTS = ["good film", "bad plot", "the good the best", "dull", "good"]
LABELS = [["drama", "comedy"], [], ["war"], ["comedy"], ["war", "drama", "comedy"]]
# comedy, drama, war
TARGETS = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def as_csv(path: Path, separator: str = ";", labels: list[list[str]] = LABELS) -> str:
    rows = (f'"{text}","{separator.join(names)}"\n' for text, names in zip(TEXTS, labels, strict=True))
    path.write_text("text,label\n" + "".join(rows))
    return str(path)


def as_json_lines(path: Path) -> str:
    rows = ({"text": text, "label": names} for text, names in zip(TEXTS, LABELS, strict=True))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def as_parquet(path: Path) -> str:
    pq.write_table(pa.table({"text": TEXTS, "label": pa.array(LABELS, pa.list_(pa.string()))}), path)
    return str(path)


def ready(stage: str, **args: Any) -> TextDataModule:
    data = TextDataModule(**{"label_separator": ";", **args})
    data.prepare_data()
    data.setup(stage)
    return data


@pytest.fixture
def train_file(tmp_path: Path) -> str:
    return as_csv(tmp_path / "train.csv")


@pytest.mark.parametrize(("name", "write"), [("t.csv", as_csv), ("t.jsonl", as_json_lines), ("t.parquet", as_parquet)])
def test_targets_are_zeros_and_ones_for_each_label(name: str, write: Any, tmp_path: Path) -> None:
    data = ready("fit", train_file=write(tmp_path / name), val_fraction=0)
    assert data.train_table is not None
    ids, target = data.train_table[torch.tensor([4, 0, 1, 2, 3])]
    assert (ids.dtype, target.dtype) == (torch.int64, torch.float32)
    assert target.tolist() == [TARGETS[4], *TARGETS[:4]]
    assert ids.tolist()[0] == [0, 0, 0, 1, 4]  # the start, and "good", the most frequent word
    assert data.spec() == DataSpec(
        task="multilabel",
        num_classes=3,
        class_names=["comedy", "drama", "war"],
        vocab_size=11,
        padding_id=0,
        max_length=256,
        mask_padding=True,
        tokenizer="words",
    )


def test_a_batch_of_the_loader_has_the_targets_of_its_texts(train_file: str) -> None:
    data = ready("fit", train_file=train_file, val_file=train_file, batch_size=2)
    loader = data.val_dataloader()
    assert not isinstance(loader, list)
    # From the longest text to the shortest, equal lengths in the file's order: 2 has five tokens, 0 and 1 three.
    assert [target.tolist() for _, target in loader] == [
        [TARGETS[2], TARGETS[0]],
        [TARGETS[1], TARGETS[3]],
        [TARGETS[4]],
    ]


def test_validation_is_drawn_by_seed(train_file: str) -> None:
    data = ready("fit", train_file=train_file, val_fraction=0.4)
    assert data.train_table is not None
    assert data.val_table is not None
    parts = [table[torch.arange(len(table))][1].tolist() for table in (data.train_table, data.val_table)]
    assert [len(part) for part in parts] == [3, 2]
    assert sorted(parts[0] + parts[1]) == sorted(TARGETS)


def test_class_names_fix_the_order_and_integers_are_positions(tmp_path: Path) -> None:
    labels = [["0", "war"], [], ["2"], ["comedy"], ["war", "1"]]
    names = ["war", "comedy", "drama"]
    data = ready("fit", train_file=as_csv(tmp_path / "t.csv", labels=labels), val_fraction=0, class_names=names)
    assert data.train_table is not None
    target = data.train_table[torch.arange(5)][1]
    assert target.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize("separator", [",", " ", "||"])
def test_the_separator_is_a_setting(separator: str, tmp_path: Path) -> None:
    path = as_csv(tmp_path / "t.csv", separator)
    data = ready("fit", train_file=path, val_fraction=0, label_separator=separator)
    assert data.train_table is not None
    assert data.train_table[torch.arange(5)][1].tolist() == TARGETS


def test_the_cache_tells_a_class_from_a_set_of_labels(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "t.csv", labels=[["a"], ["b"], ["a"], ["b"], ["a"]])
    for separator, shape in ((None, (5,)), (";", (5, 2)), (None, (5,))):
        data = ready("fit", train_file=path, val_fraction=0, label_separator=separator)
        assert data.train_table is not None
        assert data.train_table[torch.arange(5)][1].shape == shape


def test_a_state_predicts_and_tests_without_the_training_file(train_file: str, tmp_path: Path) -> None:
    trained = ready("fit", train_file=train_file)
    torch.save(trained.state_dict(), tmp_path / "state.pt")
    test_file = tmp_path / "test.csv"
    test_file.write_text("text,label\nthe film,war;comedy\n")
    data = TextDataModule(test_file=str(test_file), inputs=["the film", "zzz"], label_separator=";")
    data.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    data.setup("test")
    data.setup("predict")
    assert data.test_table is not None
    assert data.predict_table is not None
    assert data.test_table[torch.tensor([0])][1].tolist() == [[1.0, 0.0, 1.0]]
    ids, target = data.predict_table[torch.arange(2)]
    assert ids.tolist() == [[1, 5, 6], [0, 1, 2]]
    assert (target.shape, target.dtype) == ((2, 3), torch.float32)
    assert target.isnan().all()  # unknown
    assert data.spec() == trained.spec()


def test_texts_are_predicted_with_a_checkpoint_whose_labels_the_model_knows(bert_checkpoint: Path) -> None:
    data = ready("predict", tokenizer=str(bert_checkpoint), inputs=["a film"])
    assert data.predict_table is not None
    assert data.predict_table[torch.tensor([0])][1].shape == (1, 0)
    spec = data.spec()
    assert (spec.task, spec.num_classes, spec.class_names) == ("multilabel", None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,x;y\na,x;;y\n", "f.csv:3: an empty label in 'x;;y', expected labels with ';' between them"),
        ("a,x;y\na,x;-100\n", "f.csv:3: the label is -100, which marks rows without a class: remove them"),
        ("a,x\na,\n", "f.csv: 'x' is the only label, expected at least two labels"),
        ("a,\na,\n", "f.csv: no row has a label, expected at least two labels"),
        (
            "".join(f"a,x{2 * i};x{2 * i + 1}\n" for i in range(501)),
            "f.csv:502: more than 1,000 different labels; this column does not look like labels: name the right column "
            "with --data.label_column",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_line_with_its_place(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.csv").write_text("text,label\n" + content)
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        TextDataModule(train_file="f.csv", label_separator=";").spec()


def test_as_many_labels_as_rows_are_labels(tmp_path: Path) -> None:
    """With one class a row, so many different classes would be refused."""
    (tmp_path / "f.csv").write_text("text,label\n" + "".join(f"a,x{i}\n" for i in range(21)))
    assert TextDataModule(train_file=str(tmp_path / "f.csv"), label_separator=";").spec().num_classes == 21


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_label_that_training_does_not_know_is_refused(split: str, train_file: str, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("text,label\na,war\na,war;noir\n")
    wanted = r"other.csv:3: the label 'noir' is not among the 3 classes comedy, drama, war$"
    with pytest.raises(UserError, match=wanted):
        ready("fit", train_file=train_file, **{f"{split}_file": str(tmp_path / "other.csv")})


def test_a_list_of_labels_without_a_separator_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t.jsonl:1: the label is a list, .* several labels, give --data.label_separa"):
        TextDataModule(train_file=as_json_lines(tmp_path / "t.jsonl")).spec()
