"""Tables of one's own: features, targets of each task, parts, checkpoints and what is refused."""

import re
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules import TableDataModule
from datamodules.base import TensorTable
from datamodules.contents.facts import Guess
from datamodules.errors import UserError
from datamodules.spec import DataSpec
from datamodules.storage.table_files import suffixes

COLOURS = ["red", "green", "blue"]


def write(path: Path, *, rows: int = 40, header: bool = True) -> Path:
    """Row i has the number i, a colour, a constant, the class of i % 2, two sets of labels, and the price 2 i + 1."""
    lines = [
        f"{i},{COLOURS[i % 3]},7,{'no' if i % 2 else 'yes'},{['', 'a', 'a;b'][i % 3]},{2 * i + 1}" for i in range(rows)
    ]
    path.write_text("\n".join(["number,colour,same,label,tags,price", *lines]) + "\n")
    return path


USED: dict[str, Any] = {"feature_columns": ["number", "colour"]}


def small(folder: Path) -> list[dict[str, Any]]:
    """Settings of small data, which `tests/testing/test_data.py` checks."""
    file = str(write(folder / "t.csv"))
    common = {"train_file": file, "batch_size": 7}
    return [
        {**common, "drop_columns": ["tags", "price"]},
        {**common, **USED, "label_column": "tags", "label_separator": ";"},
        {**common, **USED, "target_columns": ["price", "number"], "feature_columns": ["colour"]},
        {**common, **USED, "inputs": ["3,red", "4,blue", file]},
    ]


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write(tmp_path / "t.csv"))


def ready(*stages: str, **settings: Any) -> TableDataModule:
    data = TableDataModule(**settings)
    for stage in stages:
        data.setup(stage)
    return data


def inputs_of(table: Any) -> Tensor:
    assert isinstance(table, TensorTable)
    assert isinstance(table.inputs, Tensor)
    return table.inputs


def refusal(*stages: str, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        ready(*stages, **settings)
    return str(caught.value)


def test_each_part_is_standardised_by_the_training_part(file: str) -> None:
    data = ready("fit", "test", train_file=file, **USED, val_fraction=0.25, test_fraction=0.25)
    tables = [data.train_table, data.val_table, data.test_table]
    assert [len(table or ()) for table in tables] == [20, 10, 10]
    train = inputs_of(data.train_table)
    assert train.shape == (20, 1 + 3)  # a number, and three colours
    torch.testing.assert_close(train[:, 0].mean(), torch.tensor(0.0), rtol=0, atol=1e-6)  # float32
    torch.testing.assert_close(train[:, 0].std(correction=0), torch.tensor(1.0), rtol=1e-6, atol=0)
    encoder = data.state_dict()["columns"][0]
    numbers = [round(float(x) * encoder["std"] + encoder["mean"]) for table in tables for x in inputs_of(table)[:, 0]]
    assert sorted(numbers) == list(range(40))
    assert encoder["mean"] == pytest.approx(statistics.fmean(numbers[:20]))
    for number, row in zip(numbers, torch.cat([inputs_of(table) for table in tables]), strict=True):
        assert row[1:].tolist() == [float(colour == COLOURS[number % 3]) for colour in sorted(COLOURS)]


def test_each_class_gives_its_share(file: str) -> None:
    data = ready("fit", "test", train_file=file, **USED, val_fraction=0.2)
    for table, size in ((data.train_table, 28), (data.val_table, 8), (data.test_table, 4)):
        assert isinstance(table, TensorTable)
        assert Counter(table.target.tolist()) == {0: size // 2, 1: size // 2}


def test_the_spec_describes_each_task(file: str) -> None:
    def spec(**settings: Any) -> DataSpec:
        return TableDataModule(train_file=file, **USED, **settings).spec()

    assert spec() == DataSpec(num_features=4, num_classes=2, class_names=["no", "yes"])
    assert spec(label_column="tags", label_separator=";") == DataSpec(
        task="multilabel", num_features=4, num_classes=2, class_names=["a", "b"]
    )
    assert spec(target_columns="price") == DataSpec(
        task="regression", num_features=4, num_targets=1, target_names=["price"]
    )


def test_targets_are_classes_sets_of_labels_or_numbers(file: str) -> None:
    parts: dict[str, Any] = {"val_fraction": 0, "test_fraction": 0, **USED}

    def target(**settings: Any) -> Tensor:
        table = ready("fit", train_file=file, **parts, **settings).train_table
        assert isinstance(table, TensorTable)
        return table.target[:3]

    assert target().tolist() == [1, 0, 1]  # no, yes
    assert target(label_column="tags", label_separator=";").tolist() == [[0, 0], [1, 0], [1, 1]]
    parts["feature_columns"] = ["colour"]
    assert target(target_columns=["price", "number"]).tolist() == [[1, 0], [3, 1], [5, 2]]


def test_files_of_parts_are_used(file: str, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("label,colour,number\nyes,red,100\n")
    settings = {"train_file": file, "val_file": str(tmp_path / "v.csv"), "test_file": str(tmp_path / "v.csv"), **USED}
    data = ready("fit", "test", **settings)
    assert [len(table or ()) for table in (data.train_table, data.val_table, data.test_table)] == [40, 1, 1]
    assert data.predict_names() == [f"{tmp_path}/v.csv:2"]
    assert sorted(data.checksums()) == sorted([file, f"{tmp_path}/v.csv"])
    assert data.has_validation


def test_the_users_separator_and_encoding_are_used_for_training_and_prediction(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("Größe:Farbe:label\n1:rot:a\n2:grün:b\n3:rot:a\n".encode("cp1250"))
    settings: dict[str, Any] = {"delimiter": ":", "encoding": "cp1250", "val_fraction": 0, "test_fraction": 0}
    trained = ready("fit", train_file=str(path), **settings)
    columns = trained.state_dict()["columns"]
    assert [column["name"] for column in columns] == ["Größe", "Farbe"]
    assert columns[1]["values"] == ["grün", "rot"]
    data = TableDataModule(**settings, inputs=str(path))
    data.load_state_dict(trained.state_dict())
    data.setup("predict")
    assert torch.equal(inputs_of(data.predict_table), inputs_of(trained.train_table))


def test_without_fractions_all_rows_train(file: str) -> None:
    data = ready("fit", "test", train_file=file, **USED, val_fraction=0, test_fraction=0)
    assert [len(data.train_table or ()), data.val_table, data.test_table] == [40, None, None]
    assert not data.has_validation
    text = "there is nothing to test or predict: give --data.test_file"
    assert refusal("predict", train_file=file, **USED, val_fraction=0, test_fraction=0) == text


def test_what_is_set_up_is_counted_with_what_was_left_out_and_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv")
    path.write_text(path.read_text().replace("\n4,", "\n?,"))
    parts = {"val_fraction": 0, "test_fraction": 0}
    data = ready("fit", train_file=str(path), drop_columns=["tags"], fill_missing="mean", **parts)
    contents = data.contents(data.spec())
    assert contents.facts == (
        ("columns", "2 of numbers, 1 of categories: 5 inputs"),
        ("missing numbers", "replaced (mean): number 1"),
    )
    assert contents.notes == ("columns with one value are left out: same",)
    assert [part.name for part in contents.parts] == ["train"]
    drawn = ready("fit", train_file=str(path), drop_columns=["tags"], fill_missing="mean")
    names = [(part.name, part.counts is not None) for part in drawn.contents(drawn.spec()).parts]
    assert names == [("train", True), ("val", True), ("test", False)]
    assert (contents.names, contents.guess) == (("no", "yes"), Guess("no", "acc", {"train": 0.5}))


def test_all_columns_are_looked_at_and_those_with_problems_are_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [
        "1,red,7,a0,no",
        "2,,7,b1,yes",
        ",blue,7,c2,no",
        "1,red,7,a0,yes",
        *(f"{i},red,7,{i}x,no" for i in range(9)),
    ]
    path.write_text("\n".join(["number,colour,same,id,label", *rows]) + "\n")
    parts: dict[str, Any] = {"train_file": str(path), "val_fraction": 0, "test_fraction": 0}
    contents = TableDataModule(**parts).inspect()
    fill = "set --data.fill_missing to mean, median or zero"
    assert contents.mistakes == (
        f"the column 'number' has no value in 1 of 13 rows ({path}:4): {fill}",
        f"the column 'colour' has no value in 1 of 13 rows ({path}:3): {fill}",
    )
    twice = f"1 of 13 train rows repeat an earlier one ({path}:5 = {path}:2); 1 of them with another target"
    assert contents.notes == (f"{twice}, as {path}:5",)
    assert [(column.name, column.role, column.missing) for column in contents.columns] == [
        ("number", "number", 1),
        ("colour", "category", 1),
        ("same", "one value", 0),
        ("id", "category", 0),
        ("label", "target", 0),
    ]
    assert contents.columns[0].values == "0 to 8, mean 3.333"  # (1 + 2 + 1 + 0 + … + 8) / 12
    contents = TableDataModule(**parts, fill_missing="mean").inspect()
    assert contents.mistakes == ()
    assert contents.notes[:2] == (
        "columns with one value are left out: same",
        f"the column 'number' has no value in 1 of 13 rows ({path}:4)",
    )


def test_the_range_of_a_target_and_the_error_of_its_median_are_said(file: str) -> None:
    parts: dict[str, Any] = {"feature_columns": ["number"], "val_fraction": 0, "test_fraction": 0}
    contents = TableDataModule(train_file=file, target_columns="price", **parts).inspect()
    assert contents.facts == (("price", "1 to 79, mean 40"),)  # 2 i + 1 for i of 0 to 39
    assert contents.guess == Guess("the median 40", "mae", {"train": 20.0})  # |2 i - 39| over i, on average


def test_a_category_that_is_only_in_another_part_is_named(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "v.csv").write_text("label,colour,number\nyes,teal,100\n")
    data = ready("test", train_file=file, test_file=str(tmp_path / "v.csv"), **USED)
    assert inputs_of(data.test_table)[0, 1:].tolist() == [0, 0, 0]
    note = "note: the column 'colour' has categories that are not in the training part: teal\n"
    assert capsys.readouterr().err == note


def test_a_checkpoint_predicts_without_the_training_file(file: str, tmp_path: Path) -> None:
    trained = ready("fit", "test", train_file=file, **USED)
    (tmp_path / "new.csv").write_text("colour,number\nblue,5\n")
    data = TableDataModule(train_file="gone.csv", **USED, inputs=["7,red", str(tmp_path / "new.csv")])
    data.load_state_dict(trained.state_dict())
    assert data.spec() == trained.spec()
    data.setup("predict")
    assert data.predict_names() == ["7,red", f"{tmp_path}/new.csv:2"]
    mean, std = (trained.state_dict()["columns"][0][name] for name in ("mean", "std"))
    wanted = torch.tensor([[(7 - mean) / std, 0, 0, 1], [(5 - mean) / std, 1, 0, 0]])
    torch.testing.assert_close(inputs_of(data.predict_table), wanted, rtol=1e-6, atol=0)  # float32
    assert isinstance(data.predict_table, TensorTable)
    assert data.predict_table.target.tolist() == [-1, -1]


def test_a_module_without_rows_has_no_state() -> None:
    data = TableDataModule()
    assert data.state_dict() == {}
    data.load_state_dict({})
    assert refusal("fit") == "no rows to train on were given: use --data.train_file with a table, or --ckpt_path"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"label_column": "labels"},
            "{file}: no column 'labels' among 'number', 'colour', 'same', 'label', 'tags', 'price', "
            "did you mean 'label'?; set --data.label_column, or --data.target_columns to predict numbers",
        ),
        (
            {"feature_columns": ["colours"]},
            "{file}: no column 'colours' among 'number', 'colour', 'same', 'label', 'tags', 'price', "
            "did you mean 'colour'?",
        ),
        (
            {"feature_columns": ["label"]},
            "feature_columns contain 'label', which is a target or in drop_columns: choose one",
        ),
        ({"feature_columns": ["same"]}, "{file}: no column with different values is left to predict from"),
        (
            {"target_columns": ["colour"], "feature_columns": ["number"]},
            "{file}:2: the target 'colour' is 'red', expected a number",
        ),
        (
            {"label_column": "same"},
            "the column 'same' has only '7', expected two labels",
        ),
        (
            {"label_column": "number", "feature_columns": ["colour"]},
            "the column 'number' has 40 labels in 40 rows: name the right one with --data.label_column, or set "
            "--data.target_columns to predict numbers",
        ),
    ],
)
def test_columns_that_cannot_be_used_are_refused(settings: dict[str, Any], text: str, file: str) -> None:
    parts: dict[str, Any] = {"val_fraction": 0, "test_fraction": 0}
    assert refusal("fit", **{"train_file": file, **USED, **parts, **settings}) == text.format(file=file)


def test_a_few_fractions_are_classes_and_many_are_numbers_to_predict(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,label\n" + "1,0.5\n2,10.5\n3,2.50\n" * 4)
    assert ready("fit", train_file=str(path), val_fraction=0).spec().class_names == ["0.5", "2.5", "10.5"]
    path.write_text("a,label\n" + "".join(f"{i},{i / 7}\n" for i in range(40)))
    assert "set --data.target_columns to predict numbers" in refusal("fit", train_file=str(path))
    path.write_text("a,label\n1,-100\n2,0.7\n")
    text = "the label is -100, which marks rows without a class: remove them"
    advice = 'to predict numbers, set --data.target_columns "[label]"'
    assert refusal("fit", train_file=str(path)) == f"{path}:2: {text}; {advice}"


def test_a_row_without_a_number_to_predict_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,1\n2,\n3,1\n")
    settings = {"train_file": str(tmp_path / "t.csv"), "target_columns": ["b"], "val_fraction": 0, "test_fraction": 0}
    assert refusal("fit", **settings) == f"{tmp_path}/t.csv:3: the target 'b' is '', expected a number"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "val_fraction and test_fraction add up to 1, not below 1"),
        ({"test_fraction": -0.1}, "test_fraction is a fraction, 0 or more and below 1, got -0.1"),
        ({"label_separator": ""}, "label_separator must not be empty: give a text such as ';', or leave it out"),
        ({"target_columns": []}, "target_columns must be one or more different names, got []"),
        ({"target_columns": ["a", "a"]}, "target_columns must be one or more different names, got ['a', 'a']"),
        (
            {"target_columns": ["a"], "label_column": "b"},
            "give either target_columns for numbers, or label_column and label_separator",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], text: str) -> None:
    assert refusal(**settings) == text


def test_rows_that_were_added_after_training_do_not_put_trained_rows_into_the_test_part(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = ready("fit", train_file=file, **USED)
    again = TableDataModule(train_file=file, **USED)
    again.load_state_dict(trained.state_dict())
    again.setup("test")  # nothing has changed
    write(Path(file), rows=41)
    for stage in ("validate", "test", "predict"):
        data = TableDataModule(train_file=file, **USED)
        data.load_state_dict(trained.state_dict())
        with pytest.raises(UserError) as caught:
            data.setup(stage)
        assert str(caught.value) == (
            f"{file} has changed since the training, so other samples are drawn for validation and testing: "
            "restore the data, or keep test samples in a file or folder of their own"
        )
    data = TableDataModule(train_file=file, **USED)
    data.load_state_dict(trained.state_dict())
    data.setup("fit")  # more training on more data
    assert "; the model may have been trained on some of them" in capsys.readouterr().err
    assert data.state_dict()["drawn"] != trained.state_dict()["drawn"]
    own = TableDataModule(train_file=file, test_file=file, **USED)
    own.load_state_dict(trained.state_dict())
    own.setup("test")  # a file of its own is not drawn


def test_inputs_with_a_wrong_cell_are_skipped_and_the_others_predicted(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.csv").write_text("number,colour\n1,red\nmany,red\n")
    inputs = ["3,red", str(tmp_path / "bad.csv"), "x,red", "4,lilac"]
    data = ready("predict", train_file=file, **USED, inputs=inputs)
    assert (list(data.predict_names()), data.num_skipped) == (["3,red", "4,lilac"], 2)
    alone = ready("predict", train_file=file, **USED, inputs=["3,red"])
    assert torch.equal(inputs_of(data.predict_table)[0], inputs_of(alone.predict_table)[0])
    lines = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line or "lilac" in line]
    wrong = "the column 'number' has {}, expected a number"
    assert [line.partition(";")[0] for line in lines[:2]] == [
        f"skipped: {tmp_path}/bad.csv:3: {wrong.format(repr('many'))}",
        f"skipped: x,red: {wrong.format(repr('x'))}",
    ]
    assert lines[2:] == ["note: the column 'colour' has categories that are not in the training part: lilac"]


def test_notes_show_control_characters_as_escapes(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    ready("predict", train_file=file, **USED, inputs=["3,\x1b[31mred"])
    assert capsys.readouterr().err.splitlines()[-1].endswith(": \\x1b[31mred")


def test_a_category_column_that_is_not_used_is_refused(file: str) -> None:
    text = "category_columns contain 'price', which is not used as a feature: leave it out"
    assert refusal("fit", train_file=file, **USED, category_columns="price") == text


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_objects_with_other_keys_than_the_first_are_refused(suffix: str, tmp_path: Path) -> None:
    objects = ['{"a": 1, "label": "x"}', '{"a": 2, "b": 3, "label": "y"}']
    path = tmp_path / f"t.{suffix}"
    path.write_text("\n".join(objects) if suffix == "jsonl" else f"[{','.join(objects)}]")
    text = f"{path}:2: the key 'b' is not in the first object: give all objects the same keys"
    assert refusal("fit", train_file=str(path), val_fraction=0, test_fraction=0) == text


def test_an_unknown_home_is_a_missing_file() -> None:
    assert refusal("fit", train_file="~nobody_here/x.csv").startswith("~nobody_here/x.csv: no such file")


def test_several_tables_are_one_part(tmp_path: Path) -> None:
    files = [str(write(tmp_path / f"{name}.csv", rows=20)) for name in "ab"]
    data = TableDataModule(train_file=files, **USED, val_fraction=0, test_fraction=0)
    data.setup("fit")
    assert data.train_table is not None
    assert len(data.train_table) == 40
    assert list(data.checksums()) == files
    (tmp_path / "b.csv").write_text("number,colour,label\n1,red,no\n")
    with pytest.raises(UserError) as error:
        TableDataModule(train_file=files, **USED).setup("fit")
    only = f"only one of {files[0]} and {files[1]} has the column 'price'"
    assert str(error.value) == f"{only}: all files of a part need the same columns"


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path} is a folder, expected a file {re.escape(suffixes())}$"):
        TableDataModule(train_file=str(tmp_path)).setup("fit")


def test_labels_in_two_cases_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("number,label\n1,yes\n2,no\n3,Yes\n4,no\n")
    with pytest.raises(UserError, match=f"^labels differ only in case or blanks: 'yes' \\({path}:2\\) and 'Yes'"):
        TableDataModule(train_file=str(path), val_fraction=0, test_fraction=0).setup("fit")
