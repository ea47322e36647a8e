"""The output during training: one line per epoch, for screens and log files."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from tqdm import tqdm

from datamodules.errors import UserError
from datamodules.spec import HasKind
from lit_models.runs.logged import is_by_class, logged, split_of
from lit_models.tasks.task import LitTask

NOTHING = nullcontext()


_on_standard_error: ContextVar[bool] = ContextVar("on_standard_error", default=False)


@rank_zero_only
def say(text: str = "") -> None:
    """Prints a line on standard output, above a progress bar if there is one; in the first process only. Characters
    that the stream cannot show are replaced."""
    stream = sys.stderr if _on_standard_error.get() else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    tqdm.write(text.encode(encoding, "replace").decode(encoding), file=stream)


def say_on_standard_error() -> None:
    """Prints the lines from now on on standard error, because standard output has the results."""
    _on_standard_error.set(True)


@contextmanager
def own_stream() -> Iterator[None]:
    """At the end, lines are printed where they were before."""
    token = _on_standard_error.set(_on_standard_error.get())
    try:
        yield
    finally:
        _on_standard_error.reset(token)


class NoProfiler(PassThroughProfiler):
    """A profiler that measures nothing. Lightning calls it about 40 times per step, and its own `PassThroughProfiler`
    creates a context each time."""

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        return NOTHING


class Bar(TQDMProgressBar):
    """A progress bar that is drawn at most ten times a second. Lightning draws it after each step, which takes a part
    of the time of a short one."""

    def __init__(self) -> None:
        super().__init__(leave=False)
        self.next_time = 0.0

    def _should_update(self, current: int, total: int) -> bool:
        now = time.monotonic()
        if not super()._should_update(current, total) or (current != total and now < self.next_time):
            return False
        self.next_time = now + 0.1
        return True


class EpochLines(Callback):
    """Prints the network before training, and one line per epoch with metrics and seconds (including validation)."""

    def __init__(self) -> None:
        self.start = 0.0
        self.waiting = ""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        say("\n".join(network_lines(pl_module)))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._print(trainer)
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        width = len(str(trainer.max_epochs))
        self.waiting = f"epoch {trainer.current_epoch + 1:>{width}}/{trainer.max_epochs}"
        self.seconds = time.perf_counter() - self.start

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: L.Trainer) -> None:
        """Prints the line of the last epoch. Its metrics are complete only after all callbacks and hooks."""
        if self.waiting:
            order = ("train", "", "val", "test")
            module = trainer.lightning_module
            overall = {name: v for name, v in logged(trainer).items() if not is_by_class(name, module)}
            values = sorted(overall.items(), key=lambda pair: order.index(split_of(pair[0])[0]))
            metrics = "".join(f"  {name} {value:.4f}" for name, value in values)
            say(f"{self.waiting}{metrics}  {self.seconds:.1f} s")
            self.waiting = ""


def network_lines(module: L.LightningModule) -> list[str]:
    """One line per layer with its trainable parameters, below a line with their sum; at most 80 columns wide."""
    network = getattr(module, "network", None)
    layers = list((network if isinstance(network, nn.Module) else module).named_children())
    if len(layers) == 1:  # show the layers inside a wrapped library model
        layers = list(layers[0][1].named_children()) or layers
    for name, layer in list(layers):
        if isinstance(layer, nn.ModuleList):
            at = layers.index((name, layer))
            layers[at : at + 1] = [(f"{name}.{i}", inner) for i, inner in layer.named_children()]
    lazy = ", without those of lazy layers" if any(is_lazy(p) for p in module.parameters()) else ""
    lines = [f"{type(module).__name__}: {trainable(module):,} trainable parameters{lazy}"]
    for name, layer in layers:
        shown = repr(layer).splitlines()[0].removesuffix("(")
        if count := trainable(layer):
            shown = shown if len(shown) <= 48 else f"{shown[:47]}…"
            lines.append(f"  {name[:14]:<14} {shown:<48} {count:>13,}")
    return lines


def trainable(module: nn.Module) -> int:
    """Number of trainable parameters, without those of lazy layers whose shape is unknown."""
    weights = (p for p in module.parameters() if p.requires_grad and not is_lazy(p))
    return sum(p.numel() for p in weights)


class ErrorLines(Callback):
    """Prints the mean absolute error as the numpy program does, and at the end the prediction for every row.

    The error is that of the weights before the pass. For small tables that are trained whole in each step, such as XOR.

    Args:
        every: passes (steps) between two lines, at least 1.

    Raises:
        UserError: `every` below 1.
    """

    def __init__(self, *, every: int = 1000) -> None:
        if every < 1:
            raise UserError(f"every must be at least 1 step, got {every}")
        self.every = every

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Turns the callback off for other data, so that flags can replace model and data of a config."""
        data = cast(Any, trainer).datamodule
        features = isinstance(type(data), HasKind) and data.kind == "features"
        self.fits = features and isinstance(pl_module, LitTask) and len(pl_module.target.names) == 2

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.fits and trainer.global_step % self.every == 0:
            say(f"pass {trainer.global_step:>6,}  error {self._errors(pl_module, batch).mean():.4f}")

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not self.fits:
            return
        scores = cast(LitTask, pl_module).predictions(pl_module(batch[0]))[:, 1]
        for row, score, target in zip(batch[0].tolist(), scores.tolist(), batch[1].tolist(), strict=True):
            say(f"[{' '.join(f'{x:g}' for x in row)}] => {score:.4f}  (target {target})")

    @staticmethod
    def _errors(module: L.LightningModule, batch: Any) -> Tensor:
        inputs, target = batch
        errors: Tensor = cast(LitTask, module).predictions(module(inputs).detach())[:, 1] - target
        return errors.abs()
