"""Classes of a user's own, as plain as Lightning has them, and mistakes in them."""

import re
from pathlib import Path

import pytest

from lit_models.runs.quiet import WARNINGS

from .conftest import Run

PLAIN = """
import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset


class Bare(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Points(L.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(8, 2), torch.zeros(8, dtype=torch.int64)), batch_size=4)


class Sized(Bare):
    def __init__(self, size: int = 2):
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
"""


@pytest.fixture(autouse=True)
def plain(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, of a name that no other test has imported."""
    name = f"plain_{empty_folder.parent.name}".replace("-", "_")
    (empty_folder / f"{name}.py").write_text(PLAIN)
    monkeypatch.syspath_prepend(str(empty_folder))
    return name


def test_a_plain_lightning_pair_trains(run: Run, plain: str) -> None:
    status, out, err = run(
        *("fit", "--model", f"{plain}.Bare", "--data", f"{plain}.Points", "--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1"),
    )
    assert status == 0, err
    assert "Bare: 6 trainable parameters" in out  # 2 x 2 weights and 2 biases
    assert "note: nothing was tested: model and data need a test_step and a test_dataloader" in out
    assert Path("runs/Bare-Points/version_0/checkpoints/last.ckpt").is_file()


def test_a_users_own_value_error_is_one_line(run: Run, plain: str) -> None:
    status, _, err = run("fit", "--model", f"{plain}.Sized", "--model.size", "0", "--data", f"{plain}.Points")
    assert (status, err) == (2, "error: Sized: size must be at least 1, got 0 (--debug shows where)\n")


BROKEN = """
import lightning as L
import torch
from torch.utils.data import DataLoader


class Broken(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(torch.ones(3, 5)).sum()

    def predict_step(self, batch, batch_idx):
        return self.layer(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class NoOptimizer(Broken):
    def __init__(self):
        super().__init__()

    configure_optimizers = L.LightningModule.configure_optimizers


class Empty(L.LightningDataModule):
    def train_dataloader(self):
        return DataLoader([], 2)


class Positional(L.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.rand(4, 2), 2)

    def predict_dataloader(self):
        return DataLoader(torch.rand(5, 2), 2, False, None, None, 0, None, False, True)
"""


@pytest.fixture
def broken(empty_folder: Path) -> str:
    """A module beside `plain`, with faults."""
    name = f"broken_{empty_folder.parent.name}".replace("-", "_")
    (empty_folder / f"{name}.py").write_text(BROKEN)
    return name


def test_a_fault_in_training_is_not_blamed_on_early_stopping(run: Run, broken: str) -> None:
    stopping = ("--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val_loss")
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        run("fit", "--model", f"{broken}.Broken", "--data", f"{broken}.Positional", *stopping)


def test_a_module_without_optimizer_is_told_the_flag(run: Run, broken: str) -> None:
    status, _, err = run("fit", "--model", f"{broken}.NoOptimizer", "--data", f"{broken}.Positional")
    example = "--optimizer Adam --optimizer.lr 0.001"
    wanted = f"NoOptimizer has no configure_optimizers: set an optimizer, such as {example}"
    assert (status, err) == (2, f"error: {wanted}\n")


def test_predict_takes_a_loader_with_positional_arguments(run: Run, broken: str) -> None:
    status, out, err = run("predict", "--model", f"{broken}.Broken", "--data", f"{broken}.Positional")
    assert status == 0, err
    assert "predictions: float32 (5, 1)" in out  # the last batch of 1 is kept


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--monitor_mode", "min"), "monitor_mode needs monitor: name the metric that it is about"),
        (
            ("--data.num_val", "0", "--test_weights", "last", "--monitor", "val/f1"),
            "monitor needs a validation part: set data.num_val or data.val_fraction, or leave it out",
        ),
        (
            ("--trainer.limit_val_batches", "0", "--monitor", "val/acc"),
            "monitor needs checkpoints and validation, and one of them is turned off: leave it out",
        ),
        (
            ("--trainer.enable_checkpointing", "false", "--monitor", "val/acc"),
            "monitor needs checkpoints and validation, and one of them is turned off: leave it out",
        ),
        (
            ("--trainer.limit_val_batches", "0", "--early_stopping", "val/acc:2"),
            "early_stopping watches val/acc, and trainer.limit_val_batches 0 turns validation off",
        ),
        (
            ("--trainer.barebones", "true"),
            "trainer.barebones allows no callbacks and loggers, and a run has some: leave it out",
        ),
        (
            ("--optimizer", "SGD", "--optimizer.lr", "0.1"),
            "LitCNN has its own optimizers: use --model.optimizer NAME, not --optimizer",
        ),
    ],
)
def test_a_setting_without_effect_is_refused(run: Run, words: tuple[str, ...], message: str) -> None:
    assert run("fit", "--config", "digits_cnn", *words) == (2, "", f"error: {message}\n")
    assert not Path("runs").exists()


@pytest.mark.filterwarnings("ignore:Total length of")
def test_a_note_says_that_data_without_a_sample_train_nothing(run: Run, broken: str) -> None:
    status, out, err = run("fit", "--model", f"{broken}.Broken", "--data", f"{broken}.Empty")
    assert status == 0, err
    assert "note: the training data have no batch, so nothing was trained\n" in out


def test_lightnings_warning_of_an_empty_training_loader_is_shown() -> None:
    (pattern,) = (message for message in WARNINGS if message.startswith("Total length"))
    text = "Total length of `{}` across ranks is zero. Please make sure this was your intention."
    assert re.match(pattern, text.format("DataLoader"))  # also of a part without samples
    assert not re.match(pattern, text.format("CombinedLoader"))  # of training alone
