"""Regression on a stranger's CSV, sets of labels in a stranger's texts, and networks of a stranger's on LitTask."""

import csv
import random
from pathlib import Path

import pytest
import torch
import torchmetrics.functional

from .conftest import Stranger

TAGS = {"blue": ["sky", "sea", "ice"], "green": ["grass", "leaf", "moss"], "red": ["rose", "brick", "apple"]}


@pytest.fixture
def houses(stranger: Stranger) -> Path:
    """103 rows of a linear function with a little noise."""
    stranger.has("houses.py")
    draw = random.Random(0)
    rows = [(draw.random(), draw.random(), draw.gauss(0, 0.01)) for _ in range(103)]
    lines = [f"{a:.4f},{b:.4f},{2 * a - b + 0.5 + noise:.4f}" for a, b, noise in rows]
    return stranger.writes("houses.csv", "\n".join(["rooms,size,price", *lines]) + "\n")


@pytest.fixture
def tags(stranger: Stranger) -> tuple[str, ...]:
    """The flags for texts with any number of labels, 90 to train and 23 to test."""
    draw = random.Random(1)
    for name, size in (("train.csv", 90), ("test.csv", 23)):
        chosen = [[tag for tag in TAGS if draw.random() < 0.5] for _ in range(size)]
        lines = [f"the {' '.join(draw.choice(TAGS[tag]) for tag in row)},{';'.join(row)}" for row in chosen]
        stranger.writes(name, "\n".join(["text,label", *lines]) + "\n")
    data = ("--data", "TextDataModule", "--data.train_file", "train.csv", "--data.test_file", "test.csv")
    return (*data, "--data.label_separator", ";")


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("houses")
def test_regression_on_a_csv_fits_validates_tests_and_predicts_numbers(stranger: Stranger) -> None:
    pair = ("--model", "LitMLP", "--data", "houses.Houses", "--data.file", "houses.csv", "--data.batch_size", "8")
    done = stranger.runs("fit", *pair, "--model.metrics", "[r2, rmse]", "--model.lr", "0.01")
    assert (done.status, done.err) == (0, "")
    metrics = stranger.results("LitMLP-Houses")["metrics"]
    assert set(metrics) == {f"{split}/{n}" for split in ("train", "val", "test") for n in ("loss", "mae", "r2", "rmse")}
    assert metrics["test/r2"] > 0.5
    assert metrics["test/rmse"] ** 2 == pytest.approx(metrics["test/loss"], rel=1e-5)  # the loss is the squared error
    assert f"val/r2 {metrics['val/r2']:.4f}" in done.out
    assert ["loss", "mae", "r2", "rmse"] in [line.split() for line in done.out.splitlines()]

    best = "runs/LitMLP-Houses/version_0/checkpoints/best.ckpt"
    for command in ("validate", "test"):
        stranger.succeeds(command, "--ckpt_path", best)
    out = stranger.succeeds("predict", "--ckpt_path", best, "--output", "predictions.csv")
    assert out.startswith("price ")
    rows = predictions(stranger.folder)
    assert list(rows[0]) == ["input", "price"]
    predicted = torch.tensor([float(row["price"]) for row in rows])
    with (stranger.folder / "houses.csv").open(newline="") as file:
        wanted = torch.tensor([float(row["price"]) for row in csv.DictReader(file)])[int(0.8 * 103) :]
    r2 = stranger.results("LitMLP-Houses", "test.json")["metrics"]["test/r2"]
    # The file has 8 digits of each number.
    assert float(torchmetrics.functional.r2_score(predicted, wanted)) == pytest.approx(r2, abs=1e-5)


@pytest.mark.usefixtures("houses")
def test_mistakes_about_a_task_are_one_line(stranger: Stranger) -> None:
    stranger.has("tasks.py")
    data = ("--data", "houses.Houses", "--data.file", "houses.csv")
    line = stranger.refused("fit", "--model", "LitMLP", *data, "--model.metrics", "[f1]")
    known = "explained_variance, mae, mape, mse, pearson, r2, rmse, spearman"
    assert line == f"error: metrics: 'f1' is not a metric of regression: use {known}"
    line = stranger.refused("fit", "--model", "LitCNN", *data)
    assert line == "error: LitCNN reads images, but Houses gives features: models that fit are LitMLP"
    line = stranger.refused("fit", "--model", "tasks.LitByHand", *data)
    assert line == "error: Houses has targets for regression, and LitByHand classifies"


@pytest.mark.parametrize(
    "model", ["LitTransformer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("LitRNN", "LitBERT"))]
)
def test_sets_of_labels_fit_validate_test_and_predict(stranger: Stranger, tags: tuple[str, ...], model: str) -> None:
    flags = ("--model.metrics", "[f1_macro, auroc]", "--trainer.max_epochs", "3", "--data.batch_size", "8")
    out = stranger.succeeds("fit", "--model", model, *tags, *flags)
    metrics = stranger.results(f"{model}-Text")["metrics"]
    names = ("loss", "acc", "f1_macro", "auroc")
    assert set(metrics) == {f"{split}/{name}" for split in ("train", "val", "test") for name in names}
    assert f"val/auroc {metrics['val/auroc']:.4f}" in out
    assert list(names) in [line.split() for line in out.splitlines()]

    best = f"runs/{model}-Text/version_0/checkpoints/best.ckpt"
    stranger.succeeds("validate", "--ckpt_path", best)
    stranger.succeeds("test", "--ckpt_path", best)
    stranger.succeeds("predict", "--ckpt_path", best, "--output", "predictions.csv", "--inputs", "the sky", "the grass")
    rows = predictions(stranger.folder)
    assert [row["input"] for row in rows] == ["the sky", "the grass"]
    for row in rows:
        chosen = [tag for tag in TAGS if float(row[f"p({tag})"]) > 0.5]
        assert row["labels"] == ";".join(chosen)


def test_a_network_of_a_strangers_takes_any_task(stranger: Stranger, houses: Path) -> None:
    stranger.has("tasks.py", "points.py")
    flags = ("--model.hidden_size", "4", "--model.metrics", "[f1]", "--trainer.max_epochs", "3")
    out = stranger.succeeds("fit", "--model", "tasks.LitMine", "--data", "points.Points", *flags)
    metrics = stranger.results("LitMine-Points")["metrics"]
    assert metrics["test/f1"] > 0.8
    assert f"val/f1 {metrics['val/f1']:.4f}" in out
    best = "runs/LitMine-Points/version_0/checkpoints/best.ckpt"
    for command in ("validate", "test", "predict"):
        stranger.succeeds(command, "--ckpt_path", best)
    stranger.succeeds("fit", "--model", "tasks.LitMine", "--data", "houses.Houses", "--data.file", houses.name)
    assert stranger.results("LitMine-Houses")["metrics"]["test/mae"] < 0.5  # prices have a standard deviation of 0.65


def test_a_classifier_of_a_strangers_fits_tests_and_predicts(stranger: Stranger) -> None:
    stranger.has("tasks.py", "points.py")
    flags = ("--model.lr", "0.05", "--model.metrics", "[f1_macro, recall_per_class]", "--trainer.max_epochs", "3")
    out = stranger.succeeds("fit", "--model", "tasks.LitByHand", "--data", "points.Points", *flags)
    metrics = stranger.results("LitByHand-Points")["metrics"]
    assert {"test/acc", "test/f1_macro", "test/recall/0", "test/recall/1"} < set(metrics)
    assert "test, by class\n       precision    recall        f1     count\n" in out
    best = "runs/LitByHand-Points/version_0/checkpoints/best.ckpt"
    stranger.succeeds("test", "--ckpt_path", best)
    stranger.succeeds("predict", "--ckpt_path", best, "--output", "predictions.csv")
    rows = predictions(stranger.folder)
    tested = stranger.results("LitByHand-Points", "test.json")["metrics"]["test/acc"]
    assert sum(row["label"] == str(i % 2) for i, row in enumerate(rows)) / 21 == pytest.approx(tested)
