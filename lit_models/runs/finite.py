"""Stops a run at the first loss, gradient, weight, buffer or metric that is not finite, and says where it appeared.

A buffer that is not finite before training, such as a mask of minus infinity, is not checked. On a CPU, loss and
weights are checked in each step. On other devices, each check waits for the device, so several steps are checked
together; the message still names the step.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from datamodules.errors import UserError
from lit_models.runs.checkpoint_files import CheckpointFiles, is_finite
from lit_models.tasks.task import LitTask

WINDOW = 50
"""Number of steps that are checked together on a device other than a CPU."""
REMEDY = "try a lower learning rate, or --trainer.gradient_clip_val 1"


class FiniteGuard(Callback):
    """Stops training before a number that is not finite can be saved.

    Args:
        folder: folder of the checkpoints, for the message.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.batch: Any = None
        self.batch_idx = 0
        self.steps = 0
        self.watched: list[tuple[str, Tensor]] = []
        self.values: list[Tensor] = []
        self.flags: list[tuple[str, str, Tensor]] = []
        """Values that are not checked yet: "loss" or "weights", the step, and the loss or the norm of the weights."""
        self.cause: str | None = None
        """The problem in this process that the other processes do not know yet."""
        self.constants: set[str] = set()
        """Buffers that were not finite before training."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.steps, self.flags, self.cause, self.watched = trainer.global_step, [], None, []
        self.constants = {
            name for name, buffer in pl_module.named_buffers() if not is_lazy(buffer) and not is_finite(buffer)
        }
        if isinstance(files := trainer.strategy.checkpoint_io, CheckpointFiles):
            files.constants = self.constants

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.watched = []  # a callback may have replaced weights

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.batch, self.batch_idx = batch, batch_idx

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Checks the loss before the weights change. PyTorch's anomaly detection (`--trainer.detect_anomaly true`) does
        this itself, and names the operation.

        Raises:
            UserError: the loss is not finite. With several processes, the error is raised at the end of the step, when
                all processes know of it.
        """
        if torch.is_anomaly_enabled():
            return
        if loss.device.type != "cpu":
            self.flags.append(("loss", self._place(trainer), loss.detach()))
        elif not math.isfinite(value := float(loss.detach())):
            step = self._rerun(trainer, pl_module)
            cause = f"the loss is {value} in {self._place(trainer)}: {origin(pl_module, self.batch, step)}"
            if trainer.world_size == 1:
                raise UserError(self._text(cause))
            self.cause = self.cause or cause

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Checks the weights after an optimizer step.

        Raises:
            UserError: a weight is not finite.
        """
        if trainer.global_step == self.steps:  # gradients are accumulated
            return
        self.steps = trainer.global_step
        if not self.watched:  # a lazy weight has a shape only after the first step
            buffers = [(name, b) for name, b in pl_module.named_buffers() if name not in self.constants]
            watched = [*pl_module.named_parameters(), *buffers]
            self.watched = [(n, t) for n, t in watched if t.is_floating_point() and not is_lazy(t)]
            self.values = [weight.detach() for _, weight in self.watched]
        if not self.watched:
            return
        on_cpu = all(value.is_cpu for value in self.values)
        if on_cpu and math.isfinite(sum(size.item() for size in torch._foreach_norm(self.values))):
            return
        self.flags.append(("weights", self._place(trainer), norm(self.values)))
        if on_cpu or len(self.flags) >= 2 * WINDOW:
            self._look(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks the logged metrics.

        Raises:
            UserError: a metric is not finite.
        """
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._look(trainer)
            text = f" in epoch {trainer.current_epoch + 1}"
            check_metrics(
                {name: float(v) for name, v in trainer.callback_metrics.items() if v.numel() == 1}, where=text
            )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._look(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Checks the remaining steps before a file is written."""
        self._look(trainer)

    def _look(self, trainer: L.Trainer) -> None:
        flags, self.flags = self.flags, []
        if not flags:
            return
        fine = torch.stack([value.reshape(()).float() for *_, value in flags]).isfinite().tolist()
        bad = [(what, place) for (what, place, _), is_fine in zip(flags, fine, strict=True) if not is_fine]
        if not bad:
            return
        lost = "the loss is not finite in"
        causes = [f"{lost} {p}: {REMEDY}" if what == "loss" else weights_cause(p, self.watched) for what, p in bad]
        cause = next((cause for cause in causes if cause), None)
        if isinstance(trainer.strategy, DDPStrategy) and trainer.world_size > 1:  # all have the same weights
            gathered: list[str | None] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, self.cause)
            cause = next((other for other in gathered if other), cause)
        if cause is not None:
            raise UserError(self._text(cause))

    def _rerun(self, trainer: L.Trainer, module: L.LightningModule) -> Callable[[], Any] | None:
        """A function that computes the loss of this step again; None if that could change a state or wait for other
        processes."""
        if trainer.world_size > 1:
            return partial(module, self.batch[0]) if isinstance(module, LitTask) else None
        return partial(module.training_step, self.batch, self.batch_idx) if module.automatic_optimization else None

    def _place(self, trainer: L.Trainer) -> str:
        return f"epoch {trainer.current_epoch + 1}, batch {self.batch_idx + 1}"

    def _text(self, cause: str) -> str:
        last = self.folder / "last.ckpt"
        return f"{cause}; {last} keeps the state before it" if last.is_file() else cause


def norm(tensors: list[Tensor]) -> Tensor:
    """The norm of all numbers. It is finite only if all are finite, but may overflow even then."""
    sizes = torch._foreach_norm(tensors)
    if len({part.dtype for part in sizes}) > 1:
        sizes = tuple(part.float() for part in sizes)
    return torch.stack(list(sizes)).sum()


def weights_cause(place: str, weights: list[tuple[str, Tensor]]) -> str | None:
    """The first weight, gradient or buffer that is not finite, in words; None if only the norm overflowed.

    A backward pass goes from the last layer to the first, so the last such gradient was computed first.
    """
    bad = [(name, weight) for name, weight in weights if not bool(weight.detach().isfinite().all())]
    if not bad:
        return None
    gradients = [name for name, weight in bad if weight.grad is not None and not bool(weight.grad.isfinite().all())]
    kind = "weight" if isinstance(bad[0][1], nn.Parameter) else "buffer"
    name, kind = (gradients[-1], "gradient") if gradients else (bad[0][0], kind)
    return f"the {kind} {name} is not finite in {place} ({len(bad)} of {len(weights)} weights): {REMEDY}"


def origin(module: nn.Module, batch: Any, run: Callable[[], Any] | None) -> str:
    """The place where a loss became infinite or NaN, with advice.

    Args:
        module: the model.
        batch: batch of the step.
        run: computes the loss again; None if that is impossible.
    """
    for name, values in tensors_of(batch):
        if values.is_floating_point() and not bool(values.isfinite().all()):
            rows = (~values.isfinite()).flatten(1).any(dim=1) if values.ndim > 1 else ~values.isfinite().reshape(-1)
            return f"the data are not finite: {name}, sample {int(rows.nonzero()[0]) + 1} of the batch; correct them"
    layer = first_layer(module, run) if run is not None else None
    return f"it appeared first in {layer}; {REMEDY}" if layer else REMEDY


def first_layer(module: nn.Module, run: Callable[[], Any]) -> str | None:
    """The first layer whose output is NaN or infinite; "the loss" if there is none; None if `run` fails."""
    layers: list[str] = []

    def look(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        bad = (part for _, part in tensors_of(output) if part.is_floating_point())
        if not layers and any(bool((part.isnan() | (part == math.inf)).any()) for part in bad):
            layers.append(f"{name} ({type(layer).__name__})")

    handles = [layer.register_forward_hook(partial(look, name)) for name, layer in module.named_modules() if name]
    try:
        with torch.no_grad():
            run()
    except Exception:  # a step may fail outside of the training loop
        return layers[0] if layers else None
    finally:
        for handle in handles:
            handle.remove()
    return layers[0] if layers else "the loss"


def tensors_of(values: Any, name: str = "batch") -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors in mappings, tuples and lists, with their places."""
    if isinstance(values, Tensor):
        yield name, values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from tensors_of(value, f"{name}[{key!r}]")
    elif isinstance(values, tuple | list):
        for i, value in enumerate(values):
            yield from tensors_of(value, f"{name}[{i}]")


def check_metrics(metrics: Mapping[str, float], *, where: str = "") -> None:
    """Checks the metrics of a split.

    Args:
        metrics: values by name.
        where: place for the message.

    Raises:
        UserError: a value is not finite; the message names it.
    """
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise UserError(f"{', '.join(bad)}{where}: {REMEDY}; leave out a metric that is undefined for these data")
