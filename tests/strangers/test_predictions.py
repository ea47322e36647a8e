"""What a stranger's predict_step returns is written whole, in the order of the input."""

import pytest
import torch
from torch import nn

from .conftest import Stranger, epoch_rows


def test_an_autoencoder_fits_validates_tests_and_predicts_images(stranger: Stranger) -> None:
    stranger.has("autoencoder.py")
    pair = ("--model", "autoencoder.Autoencoder", "--data", "autoencoder.Images")
    done = stranger.runs("fit", *pair, "--model.code_size=3")
    assert (done.status, done.err) == (0, "")
    metrics = stranger.results("Autoencoder-Images")["metrics"]
    assert set(metrics) == {"train/loss", "val/loss", "test/loss"}
    last = epoch_rows(done.out)[-1]
    assert last == {name: f"{metrics[name]:.4f}" for name in ("train/loss", "val/loss")}
    assert ["test", f"{metrics['test/loss']:.4f}"] in [line.split() for line in done.out.splitlines()]

    folder = stranger.folder / "runs/Autoencoder-Images/version_0"
    best = folder / "checkpoints/best.ckpt"
    assert "val" in stranger.succeeds("validate", "--ckpt_path", str(best))
    assert "test" in stranger.succeeds("test", "--ckpt_path", str(best))
    out = stranger.succeeds("predict", "--ckpt_path", str(best))
    assert out.splitlines()[0] == "predictions: float32 (10, 1, 8, 8)"
    predictions = torch.load(folder / "predictions.pt", weights_only=True)

    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8)))
    weights = torch.load(best, weights_only=True)["state_dict"].values()
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    images = torch.linspace(0, 1, 10)[:, None, None, None].expand(10, 1, 8, 8)
    # Batches of other sizes than the command's, 4, 4 and 2: rounding differs in the last bits.
    torch.testing.assert_close(predictions, network(images).detach(), rtol=1e-5, atol=1e-6)


def test_a_lazy_network_on_batches_that_are_mappings_predicts_words(stranger: Stranger) -> None:
    stranger.has("mappings.py")
    out = stranger.succeeds("fit", "--model", "mappings.Lazy", "--trainer.max_epochs", "4")
    assert out.startswith("Lazy: 0 trainable parameters, without those of lazy layers\n")
    results = stranger.results("Lazy")
    assert results["data"] is None
    assert results["parameters"] == 2 * 8 + 8 + 8 * 2 + 2
    assert {"loss", "val/loss"} < set(results["metrics"])
    assert epoch_rows(out)[-1] == {name: f"{results['metrics'][name]:.4f}" for name in ("loss", "val/loss")}
    last = "runs/Lazy/version_0/checkpoints/last.ckpt"
    for command in ("validate", "test", "predict"):
        stranger.succeeds(command, "--ckpt_path", last)
    words = torch.load(stranger.folder / "runs/Lazy/version_0/predictions.pt", weights_only=True)
    assert words == ["cherry", "melon"] * 4 + ["cherry"]


@pytest.fixture
def predicts(stranger: Stranger) -> tuple[str, ...]:
    stranger.has("plain.py", "points.py")
    return ("predict", "--model", "plain.Predicts", "--data", "points.Points", "--experiment", "p", "--model.form")


def test_arrays_are_written_as_tensors(stranger: Stranger, predicts: tuple[str, ...]) -> None:
    assert "predictions: points float32 (21, 2), place a list of 21" in stranger.succeeds(*predicts, "arrays")
    predictions = torch.load(stranger.folder / "runs/p/version_0/predictions.pt", weights_only=True)
    assert predictions["points"].shape == (21, 2)
    assert predictions["place"] == [str(i % 8) for i in range(21)]  # batches of 8


def test_predictions_of_whole_batches_are_written_one_a_batch(stranger: Stranger, predicts: tuple[str, ...]) -> None:
    out = stranger.succeeds(*predicts, "batches")
    note = "note: predict_step does not return one prediction a sample, so the file has one entry a batch"
    assert out.splitlines()[0] == note
    predictions = torch.load(stranger.folder / "runs/p/version_0/predictions.pt", weights_only=True)
    assert [len(batch["points"]) for batch in predictions] == [8, 8, 5]
    assert [batch["mean"].ndim for batch in predictions] == [0, 0, 0]


def test_what_cannot_be_written_is_one_line(stranger: Stranger, predicts: tuple[str, ...]) -> None:
    expected = "expected tensors, numbers or texts, or mappings, tuples or lists of them"
    assert stranger.refused(*predicts, "module") == f"error: predict_step returns a Predicts, {expected}"
    done = stranger.runs(*predicts, "nothing")  # Lightning warns too
    assert done.status == 2
    assert done.err.endswith("\nerror: predict_step of Predicts returns nothing, expected predictions\n")


def test_predictions_of_several_dataloaders_are_in_their_order(stranger: Stranger) -> None:
    stranger.has("plain.py", "points.py")
    stranger.succeeds("predict", "--model", "plain.Several", "--data", "points.Loaders")
    predictions = torch.load(stranger.folder / "runs/Several-Loaders/version_0/predictions.pt", weights_only=True)
    assert predictions[:, 0].tolist() == [0, 2, 4, 6, 8, 100, 102, 104]
