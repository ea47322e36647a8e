"""What a module has logged: names and splits, the value that decides which epoch is the best, and the table."""

import lightning as L
import pytest

from datamodules import UserError
from datamodules.spec import TaskName
from lit_models import LitMLP
from lit_models.runs.logged import direction_of, in_split, monitor_of, no_monitor_note, split_of, table

PLAIN = L.LightningModule()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val/loss", ("val", "loss")),
        ("test_acc", ("test", "acc")),
        ("valid_f1", ("val", "f1")),
        ("validation-loss", ("val", "loss")),
        ("train/f1/cat", ("train", "f1/cat")),
        ("g_loss", ("", "g_loss")),
        ("testing", ("", "testing")),
        ("value", ("", "value")),
    ],
)
def test_a_name_says_its_split(name: str, expected: tuple[str, str]) -> None:
    assert split_of(name) == expected


@pytest.mark.parametrize(
    ("name", "mode"),
    [("val/loss", "min"), ("val_RMSE", "min"), ("val/acc", "max"), ("val/f1_macro", "max"), ("val/r2", "max")],
)
def test_the_words_of_a_name_say_the_direction(name: str, mode: str) -> None:
    assert direction_of(name) == mode


def test_a_name_without_such_a_word_needs_a_mode() -> None:
    with pytest.raises(UserError) as caught:
        direction_of("val/things")
    expected = "monitor: it is unknown whether lower or higher 'val/things' is better: add --monitor_mode min or max"
    assert str(caught.value) == expected


def test_the_wanted_metric_goes_before_the_models_own_choice_and_that_before_a_usual_one() -> None:
    plain, ours = L.LightningModule(), LitMLP(num_features=2)
    values = {"val/loss": 1.0, "val/acc": 0.5, "val/f1": 0.4}
    assert monitor_of(ours, values, wanted="val/f1") == ("val/f1", None)
    assert monitor_of(ours, values) == ("val/acc", "max")
    assert monitor_of(LitMLP(num_features=2, task="regression"), values) == ("val/loss", "min")
    assert monitor_of(plain, values) == ("val/acc", None)
    assert monitor_of(plain, {"valid_loss": 1.0, "train_acc": 1.0}) == ("valid_loss", None)
    assert monitor_of(plain, {"val_dice": 1.0, "loss": 1.0}) is None


def test_a_wanted_metric_that_is_not_logged_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        monitor_of(L.LightningModule(), {"val/loss": 1.0}, wanted="val/los")
    assert str(caught.value) == "monitor: 'val/los' is not logged; logged are val/loss"


def test_the_table_has_a_row_a_split_and_a_column_a_metric() -> None:
    lines = table({"train/loss": 0.5, "train/acc": 0.25, "val_loss": 2.0, "test_acc": 1.0}, PLAIN).splitlines()
    assert [line.split() for line in lines] == [
        ["loss", "acc"],
        ["train", "0.5000", "0.2500"],
        ["val", "2.0000", "-"],
        ["test", "-", "1.0000"],
    ]


def test_values_of_no_split_have_a_line_each_and_classes_a_table_of_the_last_split() -> None:
    values = {"g_loss": 1.5, "val/f1/cat": 0.1, "test/f1/cat": 0.2, "test/f1/a/b": 0.3, "test/loss": 1.0}
    assert [line.split() for line in table(values, LitMLP()).splitlines()] == [
        ["loss"],
        ["test", "1.0000"],
        [],
        ["test,", "by", "class"],
        ["f1"],
        ["cat", "0.2000"],
        ["a/b", "0.3000"],
        ["g_loss", "1.5000"],
    ]


def test_names_with_more_slashes_are_columns_where_they_are_no_classes() -> None:
    values = {"val/loss/kl": 0.5, "val/loss": 1.5, "test/loss/kl": 0.25}
    assert [line.split() for line in table(values, PLAIN).splitlines()] == [
        ["loss/kl", "loss"],
        ["val", "0.5000", "1.5000"],
        ["test", "0.2500", "-"],
    ]
    several = {"val/loss/dataloader_idx_0": 0.5, "val/loss/dataloader_idx_1": 0.25}
    for module in (PLAIN, LitMLP()):
        assert table(several, module).splitlines()[1].split() == ["val", "0.5000", "0.2500"]


def test_values_belong_to_the_split_that_was_measured() -> None:
    values = {"test/loss": 1.0, "test_acc": 0.5, "accuracy": 0.25, "val_loss": 2.0}
    wanted = {"test/loss": 1.0, "test_acc": 0.5, "test/accuracy": 0.25, "test/val_loss": 2.0}
    assert in_split(values, "test") == wanted


def test_many_metrics_stay_within_80_columns() -> None:
    values = {f"{split}/metric_{i}": 1.0 for i in range(14) for split in ("train", "val", "test")}
    lines = table(values, PLAIN).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.split()[0] == "test" for line in lines) == 3  # 14 columns, 6 at a time


def test_large_values_do_not_touch_each_other() -> None:
    lines = table(
        {"train/loss": 109876.03125, "train/acc": 123456789.0, "test/loss": 1.0}, L.LightningModule()
    ).splitlines()
    assert [line.split() for line in lines[:2]] == [["loss", "acc"], ["train", "109876.0312", "123456789.0000"]]


def test_a_table_of_several_loaders_fits_80_columns() -> None:
    values = {f"test_{name}/dataloader_idx_{i}": 0.5 for i in (0, 1, 2) for name in ("loss", "acc", "a_long_name")}
    text = table(values, PLAIN)
    assert max(map(len, text.splitlines())) <= 80
    assert {name.removeprefix("test_") for name in values} <= set(text.split())
    wide = table({"test_" + "x" * 90: 0.5, "test_y": 0.25}, PLAIN)
    assert "x" * 90 in wide  # a name is never cut


@pytest.mark.parametrize(
    ("task", "part"), [("classification", "class"), ("multilabel", "label"), ("regression", "target")]
)
def test_values_of_one_split_are_apart_by_class_label_or_target(task: TaskName, part: str) -> None:
    text = table({"test/loss": 1.0, "test/r2/rooms": 0.5}, LitMLP(num_features=2, num_classes=3, task=task))
    assert f"test, by {part}" in text.splitlines()


def test_the_note_about_a_missing_best_checkpoint_names_a_metric_of_the_validation() -> None:
    assert no_monitor_note({"train_mse": 1, "val_mse": 1}).endswith("such as --monitor val_mse")
    assert no_monitor_note({"val/my metric": 1}).endswith("such as --monitor 'val/my metric'")
    assert no_monitor_note({"g_loss": 1}).endswith("such as --monitor NAME")
