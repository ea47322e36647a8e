"""The output of a command: its messages, its result, and the progress bar."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TextIO, cast

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from tqdm import tqdm

from datamodules.errors import UserError
from datamodules.spec import HasKind
from datamodules.storage.progress import hide_messages
from lit_models.tasks.task import LitTask

NOTHING = nullcontext()


@dataclass(frozen=True)
class Output:
    """Where the lines of a command go.

    Args:
        on_standard_error: whether they are printed on standard error, because standard output has the results.
        quiet: whether only warnings and the result are printed.
    """

    on_standard_error: bool = False
    quiet: bool = False


ALL = Output()
_output: ContextVar[Output] = ContextVar("output", default=ALL)


def say(text: str = "") -> None:
    """Prints a message on standard output, unless the command is quiet."""
    if not _output.get().quiet:
        show(text)


def warn(text: str) -> None:
    """Prints `warning: TEXT`, of a quiet command on standard error."""
    _write(f"warning: {text}", sys.stderr if _output.get().quiet else _stream())


def show(text: str = "") -> None:
    """Prints a line of the result, also of a quiet command."""
    _write(text, _stream())


def _stream() -> TextIO:
    return sys.stderr if _output.get().on_standard_error else sys.stdout


@rank_zero_only
def _write(text: str, stream: TextIO) -> None:
    """Prints a line, above a progress bar if there is one; in the first process only. Characters that the stream cannot
    show are replaced."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    tqdm.write(text.encode(encoding, "replace").decode(encoding), file=stream)


def say_on_standard_error() -> None:
    """Prints the lines from now on on standard error, because standard output has the results."""
    _output.set(replace(_output.get(), on_standard_error=True))


def be_quiet() -> None:
    """Prints only warnings and the result from now on."""
    _output.set(replace(_output.get(), quiet=True))
    hide_messages(True)


def is_quiet() -> bool:
    """Whether only warnings and the result are printed."""
    return _output.get().quiet


@contextmanager
def own_stream() -> Iterator[None]:
    """At the end, lines are printed as they were before."""
    token = _output.set(_output.get())
    try:
        yield
    finally:
        _output.reset(token)
        hide_messages(_output.get().quiet)


class NoProfiler(PassThroughProfiler):
    """A profiler that measures nothing. Lightning calls it about 40 times per step, and its own `PassThroughProfiler`
    creates a context each time."""

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        return NOTHING


class Bar(TQDMProgressBar):
    """A progress bar with rate, time left, and the metrics of the epoch so far.

    It is drawn at most ten times a second. Lightning draws it after each step, which takes a part of the time of a
    short one.
    """

    def __init__(self) -> None:
        super().__init__(leave=False)
        self.next_time = 0.0
        self.outputs: Any = None

    def _should_update(self, current: int, total: int) -> bool:
        now = time.monotonic()
        if not super()._should_update(current, total) or (current != total and now < self.next_time):
            return False
        self.next_time = now + 0.1
        return True

    def init_test_tqdm(self) -> Tqdm:
        """The bar of a test, which is removed at the end, as those of the other commands are."""
        bar = super().init_test_tqdm()
        bar.leave = False
        return bar

    def on_train_epoch_start(self, trainer: L.Trainer, *others: Any) -> None:
        super().on_train_epoch_start(trainer, *others)
        self.outputs = None
        self.train_progress_bar.set_description(epoch_of(trainer))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.outputs = outputs
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What a LitTask has measured in this epoch so far. For other modules, the values that they log with
        `prog_bar=True`, or otherwise the loss of the last step."""
        logged = super().get_metrics(trainer, pl_module)
        logged.pop("v_num", None)
        if isinstance(pl_module, LitTask):
            return {**logged, **pl_module.train_metrics.so_far()}
        if not logged and isinstance(self.outputs, Mapping) and isinstance(self.outputs.get("loss"), Tensor):
            return {"loss": float(self.outputs["loss"])}
        return logged


def epoch_of(trainer: L.Trainer) -> str:
    """The running epoch and the number of epochs, such as "epoch  3/30"."""
    if trainer.max_epochs is None or trainer.max_epochs < 0:
        return f"epoch {trainer.current_epoch + 1}"
    return f"epoch {trainer.current_epoch + 1:>{len(str(trainer.max_epochs))}}/{trainer.max_epochs}"


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
