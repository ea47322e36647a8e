"""A stranger's checkpoints can be used again, whatever the settings, the layers and the states of their classes are."""

import pytest
import torch

from .conftest import Stranger

POINTS = ("--data", "points.Points")
RUN = ("--trainer.max_epochs", "1", "--experiment", "run")
CHECKPOINT = "runs/run/version_0/checkpoints/last.ckpt"


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("plain.py", "points.py", "hyper.py")


def used_again(stranger: Stranger, *words: str) -> str:
    """Trains, tests the checkpoint, and checks that the numbers agree; returns the output of the test."""
    done = stranger.runs("fit", *words, *RUN)  # Lightning warns of some settings
    assert done.status == 0, done.err
    done = stranger.runs("test", "--ckpt_path", CHECKPOINT)
    assert (done.status, "note" in done.out) == (0, False), done.err or done.out
    fitted, tested = (stranger.results("run", name)["metrics"] for name in ("results.json", "test.json"))
    assert fitted["test_loss"] == tested["test_loss"]
    return done.out


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("--model hyper.Colored --model.color BLUE", {"color": "BLUE"}),
        ("--model hyper.Chosen --model.optimizer SGD --model.optimizer.lr 0.1", {}),
        ("--model hyper.Wrapper --model.backbone hyper.Backbone --model.backbone.size 3", {}),
    ],
)
def test_a_setting_that_is_not_plain_comes_back_from_the_config(
    stranger: Stranger, words: str, kept: dict[str, str]
) -> None:
    out = used_again(stranger, *words.split(), *POINTS)
    content = torch.load(stranger.folder / CHECKPOINT, weights_only=True)
    assert content["hyper_parameters"] == {"num_classes": 2, "batch_size": 0} | kept
    if "Colored" in words:
        assert "<Color.BLUE: 'b'>" in out
    resumed = stranger.runs("fit", "--resume", "runs/run/version_0", "--trainer.max_epochs", "2")
    assert (resumed.status, "epoch 2/2" in resumed.out) == (0, True), resumed.err or resumed.out


def test_a_path_of_the_data_is_kept_as_text(stranger: Stranger) -> None:
    used_again(stranger, "--model", "plain.Trained", "--data", "hyper.Folder", "--data.folder", "pictures")
    content = torch.load(stranger.folder / CHECKPOINT, weights_only=True)
    assert content["datamodule_hyper_parameters"] == {"folder": "pictures"}


@pytest.mark.parametrize(
    ("words", "name", "kind"),
    [
        ("--model hyper.Stateful", "mine.colors", "list"),
        ("--model plain.Trained --trainer.callbacks+=hyper.Watcher", "callbacks.Watcher.function", "function"),
    ],
)
def test_a_state_that_is_not_plain_is_one_line_that_names_it(
    stranger: Stranger, words: str, name: str, kind: str
) -> None:
    line = stranger.refused("fit", *words.split(), *POINTS, *RUN)
    assert line == (
        f"error: the checkpoint's {name} holds a {kind}, which could not be read again safely: "
        "keep numbers, texts, tensors, lists and dicts in it; nothing was saved"
    )


@pytest.mark.parametrize("model", ["LateSetup", "LateModel", "Renamed"])
def test_weights_that_hooks_make_or_rename_are_loaded(stranger: Stranger, model: str) -> None:
    used_again(stranger, "--model", f"hyper.{model}", *POINTS)


def test_a_weight_that_does_not_fit_is_one_line_also_for_late_layers(stranger: Stranger) -> None:
    stranger.succeeds("fit", "--model", "hyper.LateModel", *POINTS, *RUN)
    line = stranger.refused("test", "--ckpt_path", CHECKPOINT, "--model.size", "3")
    assert line == (
        f"error: {CHECKPOINT} is a checkpoint of another LateModel: "
        "'late.weight' is (2, 2) in the file, (3, 2) in the model"
    )


def test_the_state_of_data_is_loaded_once_after_setup(stranger: Stranger) -> None:
    words = ("--model", "plain.Trained", "--data", "hyper.Counting")
    stranger.succeeds("fit", *words, *RUN)
    out = stranger.succeeds("test", "--ckpt_path", CHECKPOINT)
    assert out.count("counter 1.0") == 1


def test_a_fault_in_a_hook_that_reads_a_checkpoint_keeps_its_traceback(stranger: Stranger) -> None:
    assert stranger.runs("fit", "--model", "hyper.Faulty", *POINTS, *RUN, "--test_weights", "none").status == 0
    for words in (
        ("fit", "--resume", "runs/run/version_0", "--trainer.max_epochs", "2"),
        ("test", "--ckpt_path", CHECKPOINT),
    ):
        done = stranger.runs(*words)
        assert done.status == 1
        assert done.err.startswith("Traceback")
        assert "KeyError: 'my own fault'" in done.err
