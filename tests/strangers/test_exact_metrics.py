"""Metrics of whole splits equal scikit-learn's, over ragged batches and over two processes."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
import torch

from .conftest import Stranger

METRICS = ["f1", "f1_macro", "f1_weighted", "auroc", "average_precision", "recall_per_class"]
TEST = ("test", "--model", "LitMLP", "--data", "ragged.Ragged", "--model.metrics", f"[{', '.join(METRICS)}]")
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.accelerator", "cpu")


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("ragged.py", "hyper.py", "points.py", "plain.py")


def expected(folder: Path, size: int, num_classes: int) -> dict[str, Any]:
    """The metrics of the probabilities in `predictions.csv`, by scikit-learn."""
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = np.array([[float(row[f"p(c{i})"]) for i in range(num_classes)] for row in rows])
    scores /= scores.sum(axis=1, keepdims=True)  # the file has 8 digits
    labels = [int(row["label"][1:]) for row in rows]
    generator = torch.Generator().manual_seed(1)
    torch.randn(size, 3, generator=generator)  # the points are drawn first
    target = torch.randint(num_classes, (size,), generator=generator).tolist()
    several: dict[str, Any] = {"average": "macro"} if num_classes > 2 else {}
    ranked = scores if num_classes > 2 else scores[:, 1]
    values = {
        "acc": sk.accuracy_score(target, labels),
        "f1": sk.f1_score(target, labels, **several),
        "f1_macro": sk.f1_score(target, labels, average="macro"),
        "f1_weighted": sk.f1_score(target, labels, average="weighted"),
        "auroc": sk.roc_auc_score(target, ranked, **({"multi_class": "ovr"} if num_classes > 2 else {})),
        "average_precision": sk.average_precision_score(target, ranked),
        "loss": sk.log_loss(target, scores, labels=range(num_classes)),
    }
    recalls = sk.recall_score(target, labels, average=None)
    values |= {f"recall/c{i}": value for i, value in enumerate(recalls)}
    return {f"test/{name}": pytest.approx(float(value), rel=1e-5) for name, value in values.items()}


@pytest.mark.parametrize("num_classes", [2, 3])
def test_metrics_are_those_of_the_whole_split(stranger: Stranger, num_classes: int) -> None:
    classes = ("--data.num_classes", str(num_classes))
    for batch_size in ("7", "23"):
        stranger.succeeds(*TEST, *classes, "--data.batch_size", batch_size)
    stranger.succeeds(
        "predict", "--model", "LitMLP", "--data", "ragged.Ragged", *classes, "--output", "predictions.csv"
    )
    wanted = expected(stranger.folder, 23, num_classes)
    for version in (0, 1):
        assert stranger.results("LitMLP-Ragged", "test.json", version=version)["metrics"] == wanted


def test_metrics_over_two_processes_are_those_of_one(stranger: Stranger) -> None:
    # Batches of 3, 3 and 1: of the last, one process has no sample.
    sizes = ("--data.size", "7", "--data.batch_size", "3", "--data.num_classes", "2")
    stranger.succeeds(*TEST, *sizes)
    done = stranger.runs(*TEST, *sizes, *TWO, processes=2)
    assert done.status == 0, done.err
    one, two = (stranger.results("LitMLP-Ragged", "test.json", version=version) for version in (0, 1))
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["metrics"] == {name: pytest.approx(value, rel=1e-6) for name, value in one["metrics"].items()}


def test_a_process_without_a_sample_evaluates_and_predicts_with_the_others(stranger: Stranger) -> None:
    one_sample = ("--model", "LitMLP", "--data", "ragged.Ragged", "--data.size", "1", "--data.num_classes", "2")
    scores = ("--model.metrics", "[accuracy, f1, recall_per_class, average_precision]")
    for command in ("test", "predict"):
        for name, processes in (("one", ()), ("two", TWO)):
            more = scores if command == "test" else ("--output", f"{name}.csv")
            done = stranger.runs(command, *one_sample, *more, *processes, processes=2 if processes else 1)
            assert done.status == 0, done.err
    one, two = (stranger.results("LitMLP-Ragged", "test.json", version=version) for version in (0, 1))
    assert two["metrics"] == {name: pytest.approx(value, rel=1e-6) for name, value in one["metrics"].items()}
    assert (stranger.folder / "one.csv").read_bytes() == (stranger.folder / "two.csv").read_bytes()


def test_predictions_of_a_plain_loader_in_two_processes_are_in_input_order(stranger: Stranger) -> None:
    done = stranger.runs("predict", "--model", "ragged.Echo", "--data", "ragged.Numbered", *TWO, processes=2)
    assert done.status == 0, done.err
    predictions = torch.load(stranger.folder / "runs/Echo-Numbered/version_0/predictions.pt", weights_only=True)
    torch.testing.assert_close(predictions["number"], torch.arange(23.0)[:, None], rtol=0, atol=0)
    assert predictions["name"] == [f"sample {i}" for i in range(23)]


def test_each_sample_of_a_plain_loader_is_measured_once_in_two_processes(stranger: Stranger) -> None:
    # 21 samples in batches of 5: of the third batch, the first process has one sample and the second has none.
    words = ("--data", "points.Points", "--data.batch_size", "5", "--trainer.max_epochs", "1", "--experiment", "run")
    done = stranger.runs("fit", "--model", "hyper.LitNormed", *words, *TWO, processes=2)
    assert done.status == 0, done.err
    two = stranger.results("run")
    assert two["processes"] == 2
    for command, split in (("validate", "val"), ("test", "test")):
        stranger.succeeds(command, "--ckpt_path", "runs/run/version_0/checkpoints/last.ckpt", "--trainer.devices", "1")
        one = stranger.results("run", f"{command}.json")["metrics"]
        assert one == {name: pytest.approx(two["metrics"][name], rel=1e-6) for name in one}
        assert set(one) == {f"{split}/loss", f"{split}/acc"}


@pytest.mark.slow  # two more processes that import torch
def test_fewer_samples_to_predict_than_processes_are_one_line(stranger: Stranger) -> None:
    done = stranger.fresh("predict", "--model", "ragged.Echo", "--data", "ragged.Numbered", "--data.size", "1", *TWO)
    expected = "error: the data to predict have 1 samples for 2 processes: use at most --trainer.devices 1"
    assert (done.status, expected in done.err.splitlines()) == (2, True), done.err
    assert "Traceback" not in done.err
