"""A number that is not finite stops the run, is named with its step and layer, and is never saved."""

import re
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules.errors import UserError
from lit_models import LitMLP, LitTask
from lit_models.runs.checkpoint_files import CheckpointFiles
from lit_models.runs.checkpoints import Checkpoints
from lit_models.runs.finite import FiniteGuard, check_metrics, norm, weights_cause
from lit_models.testing.examples import quiet_trainer
from tests.programs import Programs, forked

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),  # fewer than Lightning's logging interval
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),  # no validation part
]
REMEDY = "try a lower learning rate, or --trainer.gradient_clip_val 1"


class Plain(L.LightningModule):
    """Two layers and a square root in the middle, in Lightning's own style; `spoil` breaks a step."""

    def __init__(self, spoil: str = "", *, at: int = 2, manual: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = nn.Linear(3, 4), nn.Identity(), nn.Linear(4, 1)
        self.spoil, self.at, self.automatic_optimization = spoil, at, not manual
        self.middle.register_forward_hook(lambda layer, inputs, output: self.broken("layer", output))

    def broken(self, what: str, value: Tensor) -> Tensor:
        now = self.trainer.current_epoch == 1 and self.trainer.fit_loop.batch_idx == self.at - 1
        if not now or self.spoil != what:
            return value
        if what == "gradient":
            return value + (value * 0).sqrt()  # its derivative at 0 is 0 * infinity
        return value / 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x = self.broken("gradient", self.middle(self.first(batch[0])))
        loss = self.broken("loss", self.last(x).square().mean())
        self.log("train_loss", loss)
        if not self.automatic_optimization:
            optimizer: Any = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.broken("metric", self.last(self.first(batch[0])).square().mean() + 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Buffered(Plain):
    """Has a mask of minus infinity, and a buffer that a step changes."""

    def __init__(self, spoil: str = "") -> None:
        super().__init__(spoil)
        self.register_buffer("mask", torch.full((2,), -torch.inf))
        self.register_buffer("level", torch.ones(2))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.get_buffer("level").copy_(self.broken("buffer", torch.ones(2)))
        return super().training_step(batch, batch_idx)


def loader(rows: int = 12, *, bad: tuple[int, float] | None = None) -> Any:
    """Batches of four, so that an epoch has three steps."""
    inputs = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    if bad is not None:
        inputs[bad[0], 1] = bad[1]
    return DataLoader(list(zip(inputs, torch.arange(rows) % 2, strict=True)), batch_size=4)  # type: ignore[arg-type]


def stopped(model: L.LightningModule, folder: Path, data: Any = None, **settings: Any) -> str:
    """The message of a fit of three epochs that does not end well, with each checkpoint checked."""
    trainer = quiet_trainer(
        callbacks=[FiniteGuard(folder), Checkpoints(folder)],
        enable_checkpointing=True,
        num_sanity_val_steps=0,
        **{"max_epochs": 3, "devices": 1, **settings},
    )
    trainer.strategy.checkpoint_io = CheckpointFiles()
    with pytest.raises(UserError) as caught:
        trainer.fit(model, data or loader(), None if isinstance(model, LitTask) else loader(4))
    for path in folder.glob("*.ckpt"):
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(weight.isfinite().all()) for name, weight in state.items() if name != "mask"), path
    return str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("layer", "the loss is nan in epoch 2, batch 2: it appeared first in middle (Identity); " + REMEDY),
        ("loss", "the loss is inf in epoch 2, batch 2: it appeared first in the loss; " + REMEDY),
        ("gradient", "the gradient first.bias is not finite in epoch 2, batch 2 (2 of 4 weights): " + REMEDY),
        ("metric", "val_loss is inf in epoch 2: " + REMEDY + "; leave out a metric that is undefined for these data"),
    ],
)
def test_the_first_bad_number_is_named_and_the_last_good_checkpoint_stays(
    spoil: str, message: str, tmp_path: Path
) -> None:
    # In validation, the batch index of the training loop stays at the epoch's last one.
    text = stopped(Plain(spoil, at=3 if spoil == "metric" else 2), tmp_path)
    kept = f"; {tmp_path / 'last.ckpt'} keeps the state before it" if spoil != "metric" else ""
    assert text == message + kept
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 0
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 0


def test_a_buffer_is_watched_unless_it_was_infinite_before_training(tmp_path: Path) -> None:
    text = stopped(Buffered("buffer"), tmp_path)
    cause = f"the buffer level is not finite in epoch 2, batch 2 (1 of 5 weights): {REMEDY}"
    assert text == f"{cause}; {tmp_path / 'last.ckpt'} keeps the state before it"
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]["mask"].tolist() == [-torch.inf] * 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("layer", "the loss is nan in epoch 2, batch 2: " + REMEDY),
        ("gradient", "the gradient first.bias is not finite in epoch 2, batch 2 (2 of 4 weights): " + REMEDY),
    ],
)
def test_manual_optimisation_stops_too(spoil: str, message: str, tmp_path: Path) -> None:
    text = stopped(Plain(spoil, manual=True), tmp_path)
    assert text == f"{message}; {tmp_path / 'last.ckpt'} keeps the state before it"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_sample_is_named(value: float, tmp_path: Path) -> None:
    data = loader(bad=(6, value))
    torch.manual_seed(0)  # infinity times a weight may also give a loss of infinity, or a ReLU of 0
    text = stopped(LitMLP(num_features=3, num_classes=2, hidden_sizes=[4]), tmp_path, data)
    assert re.match(r"the loss is nan in epoch 1, batch 2: ", text)
    assert text.endswith("the data are not finite: batch[0], sample 3 of the batch; correct them")
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_diverging_task_names_its_layer_and_the_epoch_is_not_saved(tmp_path: Path) -> None:
    model = LitMLP(num_features=3, num_classes=2, hidden_sizes=[4], optimizer="sgd", lr=1e38)
    text = stopped(model, tmp_path)
    assert re.match(r"the (loss is \w+|gradient|weight) .*in epoch 1, batch \d", text)
    assert REMEDY in text
    assert not list(tmp_path.glob("*.ckpt"))


def test_accumulated_gradients_are_seen_at_the_optimizer_step(tmp_path: Path) -> None:
    text = stopped(Plain("gradient", at=1), tmp_path, accumulate_grad_batches=2)
    assert text.startswith("the gradient first.bias is not finite in epoch 2, batch 2 ")


def test_losses_are_looked_at_together_where_a_look_is_dear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, the flags are looked at every 50 steps, before each save, and at the end of an epoch."""
    guard = FiniteGuard(tmp_path)
    good = nn.Parameter(torch.ones(2))
    guard.watched = [("weight", good)]
    guard.flags = [
        ("loss", "epoch 1, batch 1", torch.tensor(1.0)),
        ("weights", "epoch 1, batch 1", torch.tensor(torch.inf)),  # the norm overflowed, and the weights are finite
        ("loss", "epoch 1, batch 2", torch.tensor(torch.nan)),
        ("loss", "epoch 1, batch 3", torch.tensor(torch.nan)),
    ]
    trainer = L.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    with pytest.raises(UserError, match=rf"^the loss is not finite in epoch 1, batch 2: {re.escape(REMEDY)}$"):
        guard.on_save_checkpoint(trainer, Plain(), {})
    guard.on_save_checkpoint(trainer, Plain(), {})  # what was looked at is not looked at again


def test_large_weights_are_finite() -> None:
    weights: list[tuple[str, Tensor]] = [
        ("a", nn.Parameter(torch.full((3,), 3e38))),
        ("b", nn.Parameter(torch.ones(2))),
    ]
    assert not norm([weight for _, weight in weights]).isfinite()
    assert weights_cause("epoch 1, batch 1", weights) is None
    nn.init.constant_(weights[1][1], torch.inf)
    text = "the weight b is not finite in epoch 1, batch 1 (1 of 2 weights): " + REMEDY
    assert weights_cause("epoch 1, batch 1", weights) == text


def test_finite_metrics_pass() -> None:
    check_metrics({"val/loss": 0.5, "val/acc": 0.0})
    with pytest.raises(UserError, match=r"^val/r2 is nan, val/loss is -inf: "):
        check_metrics({"val/r2": float("nan"), "val/acc": 1.0, "val/loss": float("-inf")})


def trained_on_a_bad_sample(folder: Path) -> None:
    model = LitMLP(num_features=3, num_classes=2, hidden_sizes=[4], optimizer="sgd", lr=0.1)
    trainer = quiet_trainer(
        callbacks=[FiniteGuard(folder), Checkpoints(folder)],
        enable_checkpointing=True,
        max_epochs=2,
        **forked(2),
    )
    trainer.fit(model, loader(bad=(11, float("nan"))))


def test_one_of_two_processes_tells_the_other_its_cause(tmp_path: Path, programs: Programs) -> None:
    """The second process has the bad sample; the first one ends with the same message."""
    with pytest.raises(RuntimeError, match=r"batch\[0\], sample 2 of the batch; correct them") as caught:
        programs.call(trained_on_a_bad_sample, tmp_path, folder=tmp_path)
    assert "the loss is nan in epoch 1, batch 2" in str(caught.value)
    assert not list(tmp_path.glob("*.ckpt"))
