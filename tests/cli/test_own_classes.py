"""Classes of a user's own, as plain as Lightning has them, and mistakes in them."""

from pathlib import Path

import pytest

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
    assert "note: Points has no test split here, so nothing was tested" in out
    assert Path("runs/Bare-Points/version_0/checkpoints/last.ckpt").is_file()


def test_a_users_own_value_error_is_one_line(run: Run, plain: str) -> None:
    status, _, err = run("fit", "--model", f"{plain}.Sized", "--model.size", "0", "--data", f"{plain}.Points")
    assert (status, err) == (2, "error: size must be at least 1, got 0\n")
