"""Whatever a stranger's module logs is on the epoch's line, in the table and in the results, in its split."""

import pytest
import torch

from .conftest import Stranger, epoch_rows


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("plain.py", "own_metrics.py", "points.py", "hyper.py")


def test_a_test_step_that_logs_other_names_is_a_test(stranger: Stranger) -> None:
    flags = ("--model", "plain.Loose", "--data", "points.Points", "--trainer.max_epochs", "1")
    out = stranger.succeeds("fit", *flags)
    metrics = stranger.results("Loose-Points")["metrics"]
    tested = {"test/val_loss", "test/val/loss/kl", "test/accuracy"}
    assert set(metrics) == {"train_loss", "val_loss", "val/loss/kl", *tested}
    assert metrics["test/val_loss"] != metrics["val_loss"]  # other data
    assert epoch_rows(out)[-1] == {name: f"{metrics[name]:.4f}" for name in ("train_loss", "val_loss", "val/loss/kl")}
    assert ["loss", "loss/kl", "val_loss", "val/loss/kl", "accuracy"] in [line.split() for line in out.splitlines()]
    row = ["test", "-", "-", f"{metrics['test/val_loss']:.4f}", "0.2500", "0.5000"]
    assert row in [line.split() for line in out.splitlines()]
    out = stranger.succeeds("test", "--ckpt_path", "runs/Loose-Points/version_0/checkpoints/last.ckpt")
    assert set(stranger.results("Loose-Points", "test.json")["metrics"]) == tested


def test_a_test_that_logs_nothing_has_run(stranger: Stranger) -> None:
    flags = ("--model", "plain.Silent", "--data", "points.Points", "--trainer.max_epochs", "1", "--report", "none")
    assert "note: test_step has run, and has logged no metric" in stranger.succeeds("fit", *flags).splitlines()
    checkpoint = ("--ckpt_path", "runs/Silent-Points/version_0/checkpoints/last.ckpt")
    for command in ("test", "validate"):
        step = "validation_step" if command == "validate" else "test_step"
        assert f"note: {step} has run, and has logged no metric" in stranger.succeeds(command, *checkpoint)
        assert stranger.results("Silent-Points", f"{command}.json")["metrics"] == {}
        line = f"error: Points has no {'test split' if command == 'test' else 'validation part'} here"
        limit = f"--trainer.limit_{command.removesuffix('idate')}_batches"
        assert stranger.refused(command, *checkpoint, limit, "0") == line


def test_each_of_several_dataloaders_is_on_the_screen(stranger: Stranger) -> None:
    flags = ("--model", "plain.Several", "--data", "points.Loaders", "--trainer.max_epochs", "1")
    out = stranger.succeeds("fit", *flags, "--monitor", "val_loss/dataloader_idx_1")
    metrics = stranger.results("Several-Loaders")["metrics"]
    names = [f"{split}_loss/dataloader_idx_{i}" for split in ("val", "test") for i in (0, 1)]
    assert set(metrics) == {"train_loss", *names}
    assert epoch_rows(out)[-1] == {name: f"{metrics[name]:.4f}" for name in ("train_loss", *names[:2])}
    rows = [line.split() for line in out.splitlines()]
    assert ["loss", "loss/dataloader_idx_0", "loss/dataloader_idx_1"] in rows
    assert ["test", "-", *(f"{metrics[name]:.4f}" for name in names[2:])] in rows
    assert (stranger.folder / "runs/Several-Loaders/version_0/checkpoints/best.ckpt").is_file()


def test_metric_objects_of_a_strangers_are_logged(stranger: Stranger) -> None:
    flags = ("--model", "own_metrics.Measured", "--data", "points.Points", "--trainer.max_epochs", "2")
    out = stranger.succeeds("fit", *flags)
    metrics = stranger.results("Measured-Points")["metrics"]
    assert set(metrics) == {"train_loss", "val_f1", "test_auroc", "test_recall"}
    assert epoch_rows(out)[-1] == {name: f"{metrics[name]:.4f}" for name in ("train_loss", "val_f1")}
    assert ["loss", "f1", "auroc", "recall"] in [line.split() for line in out.splitlines()]
    best = "runs/Measured-Points/version_0/checkpoints/best.ckpt"  # the module says: the highest val_f1
    for command in ("validate", "test", "predict"):
        stranger.succeeds(command, "--ckpt_path", best)
    scores, points = torch.load(stranger.folder / "runs/Measured-Points/version_0/predictions.pt", weights_only=True)
    assert (scores.shape, points.shape) == ((21,), (21, 2))


def test_a_metric_with_two_names_is_shown_twice(stranger: Stranger) -> None:
    out = stranger.succeeds("fit", "--model", "hyper.Twice", "--data", "points.Points", "--trainer.max_epochs", "1")
    rows = [line.split() for line in out.splitlines()]
    assert ["loss", "acc", "val/acc"] in rows
    assert ["val", "-", "0.2500", "0.5000"] in rows
