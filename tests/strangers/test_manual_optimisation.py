"""Modules with several losses and optimizers: a classifier that also rebuilds its input, and a GAN."""

import csv

import pytest
import torch

from .conftest import Stranger, epoch_rows

TWO_LOSSES = ("--model", "two_losses.TwoLosses", "--data", "points.Points", "--trainer.max_epochs", "2")
GAN = ("--model", "gan.GAN", "--data", "gan.RealPoints", "--trainer.max_epochs", "2")


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("two_losses.py", "points.py", "gan.py")


def test_two_losses_and_two_optimizers_fit_validate_test_and_predict(stranger: Stranger) -> None:
    done = stranger.fresh("fit", *TWO_LOSSES)
    assert (done.status, done.err) == (0, "")
    results = stranger.results("TwoLosses-Points")
    metrics = results["metrics"]
    logged = {"train_class_loss", "train_rebuilt_loss", "val_loss", "val_rebuilt", "val_acc"}
    assert set(metrics) == logged | {"test_acc", "test_rebuilt"}
    assert metrics["test_acc"] > 0.9  # the clouds are 4 standard deviations apart
    assert epoch_rows(done.out)[1] == {name: f"{metrics[name]:.4f}" for name in logged}
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line and line[0] != " "}
    columns = ["class_loss", "rebuilt_loss", "loss", "rebuilt", "acc"]
    assert columns in [line.split() for line in done.out.splitlines()]
    wanted = {"loss": "-", "class_loss": "-", "rebuilt_loss": "-"}
    wanted |= {name.removeprefix("test_"): f"{metrics[name]:.4f}" for name in ("test_acc", "test_rebuilt")}
    assert rows["test"] == [wanted[column] for column in columns]

    best = "runs/TwoLosses-Points/version_0/checkpoints/best.ckpt"
    assert "val" in stranger.succeeds("validate", "--ckpt_path", best)
    stranger.succeeds("test", "--ckpt_path", best)
    stranger.succeeds("predict", "--ckpt_path", best, "--output", "predictions.csv")
    validated = stranger.results("TwoLosses-Points", "validate.json")["metrics"]
    assert set(validated) == {"val_loss", "val_rebuilt", "val_acc"}
    assert set(stranger.results("TwoLosses-Points", "test.json")["metrics"]) == {"test_acc", "test_rebuilt"}
    with (stranger.folder / "predictions.csv").open(newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    right = sum(label == str(i % 2) for i, label in enumerate(labels))  # the classes alternate
    assert len(labels) == 21
    assert right / 21 == pytest.approx(stranger.results("TwoLosses-Points", "test.json")["metrics"]["test_acc"])


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ((), 0),  # val_acc is a usual choice; of equal values, the first
        (("--monitor", "val_loss"), 1),
        (("--monitor", "val_rebuilt", "--monitor_mode", "min"), 1),
        (("--monitor", "val_rebuilt", "--monitor_mode", "max"), 0),
    ],
    ids=["usual", "named", "lowest", "highest"],
)
def test_the_best_checkpoint_follows_the_metric_that_is_named(
    stranger: Stranger, flags: tuple[str, ...], kept: int
) -> None:
    stranger.succeeds("fit", *TWO_LOSSES, "--model.lr", "0.05", *flags)
    folder = stranger.folder / "runs/TwoLosses-Points/version_0/checkpoints"
    assert torch.load(folder / "best.ckpt", weights_only=True)["epoch"] == kept
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 1


def test_a_wrong_monitor_is_one_line_with_what_is_logged(stranger: Stranger) -> None:
    logged = "train_class_loss, val_loss, val_rebuilt, val_acc, train_rebuilt_loss"
    line = stranger.refused("fit", *TWO_LOSSES, "--monitor", "val_accuracy")
    assert line == f"error: monitor: 'val_accuracy' is not logged; logged are {logged}"


def test_an_unknown_direction_is_refused_before_training(stranger: Stranger) -> None:
    line = stranger.refused("fit", *TWO_LOSSES, "--monitor", "val_rebuilt")
    unknown = "it is unknown whether lower or higher 'val_rebuilt' is better"
    assert line == f"error: monitor: {unknown}: add --monitor_mode min or max"
    assert not (stranger.folder / "runs").exists()


def test_a_gan_fits_tests_and_predicts_a_mapping(stranger: Stranger) -> None:
    out = stranger.succeeds("fit", *GAN)
    metrics = stranger.results("GAN-RealPoints")["metrics"]
    assert set(metrics) == {"g_loss", "d_loss", "test/real_loss"}
    assert epoch_rows(out)[-1] == {name: f"{metrics[name]:.4f}" for name in ("g_loss", "d_loss")}
    table = [line.split() for line in out.splitlines()]
    assert ["test", f"{metrics['test/real_loss']:.4f}"] in table
    assert ["g_loss", f"{metrics['g_loss']:.4f}"] in table

    folder = stranger.folder / "runs/GAN-RealPoints/version_0"
    saved = {path.name for path in (folder / "checkpoints").iterdir()}
    assert saved == {"last.ckpt", "previous.ckpt"}  # there is no validation
    last = "runs/GAN-RealPoints/version_0/checkpoints/last.ckpt"
    stranger.succeeds("test", "--ckpt_path", last)
    assert stranger.results("GAN-RealPoints", "test.json")["metrics"] == {
        "test/real_loss": pytest.approx(metrics["test/real_loss"], rel=1e-6)  # the same weights and data
    }
    out = stranger.succeeds("predict", "--ckpt_path", last)
    assert "predictions: real float32 (10, 2), drawn float32 (10, 2), score float32 (10,)" in out
    predictions = torch.load(folder / "predictions.pt", weights_only=True)
    assert list(predictions) == ["real", "drawn", "score"]
    torch.testing.assert_close(predictions["real"], torch.arange(20.0).reshape(10, 2) / 10, rtol=0, atol=0)
