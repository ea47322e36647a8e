"""Names that the program uses are free for a stranger's module: settings and attributes with them are left alone."""

import pytest
import torch

from .conftest import Stranger

PAIR = ("--model", "plain.Namesakes", "--data", "points.Points", "--trainer.max_epochs", "2")


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("plain.py", "points.py", "hyper.py", "ragged.py")


def test_settings_called_config_checkpoint_and_tokenizer_are_the_models_own(stranger: Stranger) -> None:
    out = stranger.succeeds("fit", *PAIR, "--model.config", "mine", "--model.checkpoint", "none.ckpt")
    assert "config mine, checkpoint none.ckpt, tokenizer none, accepts 1" in out
    last = "runs/Namesakes-Points/version_0/checkpoints/last.ckpt"
    settings = torch.load(stranger.folder / last, weights_only=True)["hyper_parameters"]
    assert {name: settings[name] for name in ("config", "checkpoint", "tokenizer", "accepts")} == {
        "config": "mine",
        "checkpoint": "none.ckpt",
        "tokenizer": "none",
        "accepts": 1,
    }
    config = "runs/Namesakes-Points/version_0/config.yaml"
    assert "config mine" in stranger.succeeds("fit", "--config", config)
    out = stranger.succeeds("test", "--ckpt_path", last, "--model.tokenizer", "words")
    assert "note: model.tokenizer is 'words', and was 'none' when the checkpoint was made" in out


def test_attributes_called_network_target_and_monitor_are_the_modules_own(stranger: Stranger) -> None:
    out = stranger.succeeds("fit", *PAIR, "--model.config", "mine")
    assert "  layer (Linear)                          (B, 2)" in out  # network is a text
    folder = stranger.folder / "runs/Namesakes-Points/version_0"
    assert torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["epoch"] == 1  # monitor is None: val_loss
    out = stranger.succeeds("predict", "--ckpt_path", str(folder / "checkpoints/best.ckpt"))
    assert out.startswith("predictions: float32 (21, 2)\n")  # target is a layer


def test_model_and_data_may_save_different_settings_of_one_name(stranger: Stranger) -> None:
    # The model's batch_size is 0, and the data's is 8: Lightning's loggers would refuse to merge them.
    stranger.succeeds("fit", "--model", "plain.Trained", "--data", "points.Remembered", "--trainer.max_epochs", "1")
    last = stranger.folder / "runs/Trained-Remembered/version_0/checkpoints/last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint["hyper_parameters"]["batch_size"] == 0
    assert checkpoint["datamodule_hyper_parameters"]["batch_size"] == 8


def test_a_setting_called_task_is_the_models_own(stranger: Stranger) -> None:
    words = ("fit", "--model", "hyper.Asked", "--data", "ragged.Ragged", "--trainer.limit_train_batches", "0")
    for task in ("binary", "multiclass"):
        assert f"task {task}" in stranger.runs(*words, "--model.task", task).out
    assert "task binary" in stranger.runs(*words).out
