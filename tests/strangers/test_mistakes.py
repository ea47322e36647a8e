"""A stranger's mistake is one line with status 2; a fault in a stranger's class keeps its traceback with status 1."""

import pytest

from .conftest import Stranger

POINTS = ("--data", "points.Points", "--trainer.max_epochs", "1")


@pytest.fixture(autouse=True)
def files(stranger: Stranger) -> None:
    stranger.has("plain.py", "points.py", "houses.py", "gan.py", "mappings.py", "hyper.py")


def test_a_constructors_value_error_is_one_line(stranger: Stranger) -> None:
    line = stranger.refused("fit", "--model", "plain.Sized", "--model.size", "0", *POINTS)
    assert line == "error: Sized: size must be at least 1, got 0 (--debug shows where)"
    assert not (stranger.folder / "runs").exists()
    done = stranger.runs("fit", "--model", "plain.Sized", "--model.size", "0", *POINTS, "--debug")
    assert done.status == 1
    assert "Traceback" in done.err


@pytest.mark.parametrize(
    ("fault", "last_line"),
    [
        ("AttributeError", "AttributeError: 'Linear' object has no attribute 'nothing'"),
        ("KeyError", "KeyError: 'rate'"),
        ("in the training_step", "ValueError: a value is wrong in here"),
    ],
)
def test_a_fault_keeps_its_traceback(stranger: Stranger, fault: str, last_line: str) -> None:
    done = stranger.runs("fit", "--model", "plain.Broken", "--model.fault", fault, *POINTS)
    assert done.status == 1
    assert done.err.startswith("Traceback")
    assert "plain.py" in done.err
    assert done.err.splitlines()[-1] == last_line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model plain.Trained --data houses.Houses", "data: Houses needs file: add --data.file"),
        ("--model plain.Namesakes --data points.Points", "model: Namesakes needs config: add --model.config"),
        ("--model plain.Trane --data points.Points", "model: plain has no class 'Trane', did you mean Trained?"),
        ("--model plain.Trained --data point.Points", None),
        ("--model plain.Trained --data plain.Trained", "data: plain.Trained is not a LightningDataModule"),
        ("--model plain.Trained --model.num_class 3", "Trained has no setting 'num_class', did you mean num_classes?"),
    ],
)
def test_a_mistake_about_a_class_is_one_line(stranger: Stranger, words: str, message: str | None) -> None:
    place = "looked in the current folder and among the installed packages"
    expected = message or f"data: no module 'point' for point.Points ({place})"
    assert stranger.refused("fit", *words.split()) == f"error: {expected}"


def test_a_command_that_a_module_does_not_have_is_one_line(stranger: Stranger) -> None:
    line = stranger.refused("validate", "--model", "gan.GAN", "--data", "gan.RealPoints")
    assert "validation_step" in line
    done = stranger.runs("fit", "--model", "plain.Trained")  # Lightning warns of a validation_step without data first
    assert done.status == 2
    assert done.err.splitlines()[-1].startswith("error: `train_dataloader` must be implemented")


@pytest.mark.parametrize("model", ["LitMLP", "plain.Trained"])
def test_gradients_are_clipped_in_bf16(stranger: Stranger, model: str) -> None:
    sizes = ("--model.num_features", "2", "--model.num_classes", "2", "--model.optimizer", "adamw")
    flags = ("--trainer.gradient_clip_val", "0.5", "--trainer.precision", "bf16-mixed")
    done = stranger.runs("fit", "--model", model, *(sizes if model == "LitMLP" else ()), *POINTS, *flags)
    assert (done.status, done.err) == (0, "Using bfloat16 Automatic Mixed Precision (AMP)\n")
    results = stranger.results(f"{model.rpartition('.')[2]}-Points")
    assert results["precision"] == "bf16-mixed"
    assert results["steps"] == 96 // 8


def test_a_folder_that_a_training_step_opens_is_a_fault(stranger: Stranger) -> None:
    done = stranger.runs("fit", "--model", "hyper.Opens", *POINTS)
    assert (done.status, done.err.splitlines()[0]) == (1, "Traceback (most recent call last):")
    assert done.err.splitlines()[-1].startswith("IsADirectoryError")
    (stranger.folder / "taken").touch()
    line = stranger.refused("fit", "--model", "plain.Trained", *POINTS, "--runs_dir", "taken")
    assert line == "error: cannot write to taken/Trained-Points: Not a directory; set --runs_dir"


def test_a_step_that_knows_no_dataloaders_is_one_line(stranger: Stranger) -> None:
    line = stranger.refused("test", "--model", "plain.Trained", "--data", "points.Loaders")
    assert line.startswith("error: You provided multiple `test_dataloader`, but no `dataloader_idx` argument")
    done = stranger.runs("predict", "--model", "plain.Trained", "--data", "points.Loaders")
    assert "dataloader_idx" in done.err.splitlines()[-1]


def test_double_precision_loses_no_bit_of_a_plain_module(stranger: Stranger) -> None:
    precise = ("--trainer.precision", "64-true", "--experiment", "plain")
    stranger.succeeds(
        "fit", "--model", "plain.Trained", "--data", "points.Precise", "--trainer.max_epochs", "1", *precise
    )
    stranger.succeeds("test", "--ckpt_path", "runs/plain/version_0/checkpoints/last.ckpt")
    fitted, tested = (stranger.results("plain", name)["metrics"] for name in ("results.json", "test.json"))
    assert fitted["test_loss"] == tested["test_loss"]


def test_double_precision_loses_no_bit_in_a_checkpoint(stranger: Stranger) -> None:
    stranger.succeeds("fit", "--config", "xor_mlp", "--data.passes", "50", "--trainer.max_epochs", "1")
    stranger.succeeds("test", "--ckpt_path", "runs/xor_mlp/version_0/checkpoints/last.ckpt")
    fitted, tested = (stranger.results("xor_mlp", name)["metrics"] for name in ("results.json", "test.json"))
    assert fitted["test/loss"] == tested["test/loss"]
    assert fitted["test/loss"] != pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_class_that_only_a_later_batch_has_is_one_line(stranger: Stranger, command: str) -> None:
    sizes = ("--model.num_features", "2", "--model.num_classes", "3")
    words = ("--model", "LitMLP", *sizes, "--data", "hyper.Late", "--seed_everything", "1")
    line = stranger.refused(command, *words)
    expected = "class 3, and the model has the classes 0 to 2: set --model.num_classes 4 or more"
    assert line == f"error: the data's target is {expected}"


def test_a_loader_class_that_cannot_be_built_again_is_one_line(stranger: Stranger) -> None:
    line = stranger.refused("predict", "--model", "plain.Trained", "--data", "hyper.Ambiguous")
    assert line.startswith("error: The Own implementation has an error where more than one `__init__` argument")
