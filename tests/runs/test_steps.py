"""Short training steps: the numbers, hooks, logs and checkpoints of Lightning's own steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, StochasticWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import SimpleProfiler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules import XORDataModule
from lit_models import LitMLP
from lit_models.runs.progress import Bar
from lit_models.runs.steps import HOOKS, TrainingLoop, shorten_steps
from lit_models.testing.examples import quiet_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),  # of Lightning's own code, under a torch newer than it
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),  # no validation part
]


class Calls(Callback):
    """Notes the hooks of a step, with the batch or the loss that they get."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def note(self, name: str, module: L.LightningModule, values: tuple[Any, ...]) -> None:
        plain = [value.detach().tolist() for value in values if isinstance(value, Tensor)]
        weights = [weight.tolist() for weight in module.parameters()]
        grads = [None if weight.grad is None else weight.grad.tolist() for weight in module.parameters()]
        self.seen.append((name, module._current_fx_name, plain, len(values), weights, grads))


def _noting(name: str) -> Any:
    def hook(self: Calls, trainer: L.Trainer, module: L.LightningModule, *values: Any) -> None:
        self.note(name, module, values)

    return hook


for _name in HOOKS:
    setattr(Calls, _name, _noting(_name))


class Chatty(L.LightningModule):
    """Any module: logs in a step, returns a mapping, has hooks and a schedule."""

    after: ClassVar[str] = "on_after_backward"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.dropout = nn.Dropout(0.5)

    def training_step(self, batch: Tensor) -> dict[str, Tensor]:
        loss = self.layer(self.dropout(batch)).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return {"loss": loss, "twice": 2 * loss.detach()}

    def on_after_backward(self) -> None:
        self.log("slope", self.layer.weight.grad.abs().sum(), on_step=True)  # type: ignore[union-attr]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.log("end", outputs["twice"] + batch_idx, on_step=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.9)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def train_dataloader(self) -> Any:
        points = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
        return DataLoader(points, batch_size=2)  # type: ignore[arg-type]


def fit(folder: Path, module: L.LightningModule, *, short: bool, **settings: Any) -> tuple[L.Trainer, list[Any]]:
    """Trains `module`; returns the Trainer and the calls of the hooks of a callback."""
    calls = Calls()
    logger = CSVLogger(folder, name="", version="")
    callbacks = [calls, *settings.pop("more", [])]
    trainer = quiet_trainer(logger=logger, log_every_n_steps=2, callbacks=callbacks, **{"max_epochs": 2, **settings})
    if short:
        shorten_steps(trainer)
    data = XORDataModule(passes=7) if isinstance(module, LitMLP) else None
    L.seed_everything(0, verbose=False)
    trainer.fit(module, datamodule=data)
    return trainer, calls.seen


def xor() -> L.LightningModule:
    L.seed_everything(0, verbose=False)
    return LitMLP(num_features=2, num_classes=2, hidden_sizes=[4], dropout=0.3, optimizer="keras_adam", lr=0.1)


def chatty() -> L.LightningModule:
    L.seed_everything(0, verbose=False)
    return Chatty()


SETTINGS = [
    {},
    {"accumulate_grad_batches": 2},
    {"gradient_clip_val": 0.01},
    {"precision": "64-true"},
    {"precision": "bf16-mixed"},
    {"max_steps": 5},
    {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    {"limit_train_batches": 3},
    {"precision": "bf16-true"},
]


def equal(ours: Any, theirs: Any) -> bool:
    """Whether two checkpoints have the same values, tensors to the last bit."""
    if isinstance(theirs, Tensor):
        return isinstance(ours, Tensor) and ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(equal(ours[key], value) for key, value in theirs.items())
    if isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    return bool(ours == theirs)


def both(folder: Path, build: Any, settings: Callable[[], dict[str, Any]], *, to_the_end: bool = True) -> list[Any]:
    """Trains with short steps, `to_the_end` or in the first epoch only, and with Lightning's. Returns the checkpoint,
    what the hooks saw, and what was logged."""
    sides = []
    for short in (True, False):
        trainer, calls = fit(folder / str(short), build(), short=short, **settings())
        loop = trainer.fit_loop.epoch_loop
        assert isinstance(loop, TrainingLoop) is short
        assert not isinstance(loop, TrainingLoop) or (loop.short is not None) is to_the_end
        trainer.save_checkpoint(path := folder / f"{short}.ckpt")
        content = torch.load(path, weights_only=True)
        logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
        metrics = folder / str(short) / "metrics.csv"
        sides.append((content, calls, logged, metrics.read_text() if metrics.is_file() else ""))
    return sides


@pytest.mark.parametrize("build", [xor, chatty])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_short_steps_equal_lightnings_to_the_last_bit(tmp_path: Path, build: Any, settings: dict[str, Any]) -> None:
    """Weights, state of optimizer and loops, logged values, and what each hook sees."""
    ours, theirs = both(tmp_path, build, lambda: settings)
    assert ours[1:] == theirs[1:]
    assert len({name for name, *_ in ours[1]}) == len(HOOKS)  # all of them were called
    assert equal(ours[0], theirs[0])


class Validated(Chatty):
    """Has a validation part, and a schedule that follows its loss."""

    def validation_step(self, batch: Tensor) -> None:
        self.log("val", self.layer(batch).square().mean())

    def val_dataloader(self) -> Any:
        return DataLoader(torch.ones(4, 3), batch_size=2)  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "val"}}


class Skipping(Chatty):
    """Returns no loss for one batch."""

    def training_step(self, batch: Tensor) -> Any:
        return None if batch[0, 0] < 0 else super().training_step(batch)

    def on_after_backward(self) -> None:
        return None

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.log("batch", float(batch_idx), on_step=True)


class Missing(Skipping):
    """Has batches that are None, as of a collate function that leaves out bad samples."""

    def train_dataloader(self) -> Any:
        points = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))

        def collate(rows: list[Tensor]) -> Tensor | None:
            return None if rows[0][1] < 0 else torch.stack(rows)

        return DataLoader(points, batch_size=2, collate_fn=collate)  # type: ignore[arg-type]


class Normalized(Chatty):
    """Has running means, for which an average of weights takes one more epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def training_step(self, batch: Tensor) -> Any:
        return super().training_step(self.norm(batch))

    def on_after_backward(self) -> None:
        return None

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Wrapper(torch.optim.Optimizer):
    """An optimizer of an optimizer, such as Lookahead: moves the weights back by half of each step."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        super().__init__(optimizer.param_groups, {})

    def step(self, closure: Any = None) -> Any:
        weights = [weight for group in self.param_groups for weight in group["params"]]
        before = [weight.detach().clone() for weight in weights]
        loss = self.optimizer.step(closure)
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.lerp_(old, 0.5)
        return loss


class Wrapped(Chatty):
    """Is trained by an optimizer that contains another one."""

    def configure_optimizers(self) -> Any:
        return Wrapper(torch.optim.SGD(self.parameters(), lr=0.1))


class WithoutGradients(torch.optim.SGD):
    """Turns gradients off around the closure, as optimizers of other packages do."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = closure()
        super().step()
        return loss


class ClosureWithoutGradients(Chatty):
    def configure_optimizers(self) -> Any:
        return WithoutGradients(self.parameters(), lr=0.1)


class LineSearch(Chatty):
    """Is trained by an optimizer that computes the loss several times in a step."""

    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)


class LoggingBackward(Chatty):
    """Logs within the backward pass."""

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        self.log("before", loss.detach(), on_step=True)
        super().backward(loss, *args, **kwargs)


MODULES: dict[str, tuple[type[Chatty], Any]] = {
    "validation in the epoch, plateau": (Validated, lambda: {"val_check_interval": 2}),
    "early stopping": (Validated, lambda: {"more": [EarlyStopping("val", patience=0, min_delta=1e6)], "max_epochs": 5}),
    "no loss": (Skipping, dict),
    "no batch": (Missing, dict),
    "average of weights": (
        Normalized,
        lambda: {"more": [StochasticWeightAveraging(swa_lrs=0.1, swa_epoch_start=1)], "max_epochs": 3},
    ),
    "optimizer of an optimizer": (Wrapped, dict),
    "optimizer that turns gradients off": (ClosureWithoutGradients, dict),
    "several losses in a step": (LineSearch, dict),
    "logs in the backward pass": (LoggingBackward, dict),
}


@pytest.mark.filterwarnings("ignore:.*returned `None`", "ignore:.*None", "ignore:.*lr_scheduler.step")
@pytest.mark.parametrize("name", MODULES)
def test_unusual_modules_train_as_with_lightnings_steps(tmp_path: Path, name: str) -> None:
    kind, settings = MODULES[name]

    def build() -> L.LightningModule:
        L.seed_everything(0, verbose=False)
        return kind()

    ours, theirs = both(tmp_path, build, settings, to_the_end=name != "average of weights")
    assert ours[1:] == theirs[1:]
    assert equal(ours[0], theirs[0])


class Manual(Chatty):
    """Optimizes itself."""

    automatic_optimization = False

    def training_step(self, batch: Tensor) -> None:  # type: ignore[override]
        self.manual_backward(self.layer(batch).sum())

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        return None


class Stepping(Chatty):
    """Replaces the optimizer's step."""

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)


def manual() -> L.LightningModule:
    module = Manual()
    module.automatic_optimization = False
    return module


@pytest.mark.parametrize(
    ("build", "settings"),
    [(manual, {}), (Stepping, {}), (Chatty, {"profiler": SimpleProfiler()})],
    ids=["manual optimization", "own optimizer_step", "profiler"],
)
def test_what_the_short_steps_cannot_do_is_lightnings(tmp_path: Path, build: Any, settings: dict[str, Any]) -> None:
    trainer, _ = fit(tmp_path, build(), short=True, **settings)
    loop = trainer.fit_loop.epoch_loop
    assert isinstance(loop, TrainingLoop)
    assert loop.short is None
    assert trainer.fit_loop.epoch_progress.current.completed == 2


class Mapped(Chatty):
    """Has batches that are mappings of float32 numbers."""

    def training_step(self, batch: Any) -> Any:
        assert batch["points"].dtype == torch.float64
        return super().training_step(batch["points"])

    def train_dataloader(self) -> Any:
        return DataLoader([{"points": torch.ones(3)}] * 4, batch_size=2)  # type: ignore[arg-type]


def test_a_mapping_is_converted_as_lightning_does(tmp_path: Path) -> None:
    def build() -> L.LightningModule:
        L.seed_everything(0, verbose=False)
        return Mapped()

    ours, theirs = both(tmp_path, build, lambda: {"precision": "64-true"})
    assert ours[1:] == theirs[1:]
    assert equal(ours[0], theirs[0])


def test_the_bar_is_drawn_ten_times_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("lit_models.runs.progress.time.monotonic", lambda: clock[0])
    bar, drawn = Bar(), []
    for step in range(1, 26):
        clock[0] += 0.04
        drawn += [step] if bar._should_update(step, 25) else []
    assert drawn == [1, 4, 7, 10, 13, 16, 19, 22, 25]  # 0.12 s are the first three steps of 0.04 s that pass 0.1 s
