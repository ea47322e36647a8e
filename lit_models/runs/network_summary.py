"""The layers of the network, with their output shapes and parameters, before the first epoch's line."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from lit_models import kernels
from lit_models.runs.progress import say, trainable
from lit_models.runs.showing import undisturbed
from lit_models.tasks.batches import parts_of
from lit_models.tasks.task import LitTask

NAME, SHAPE, COUNT = 40, 22, 14
"""Widths of the columns, below 80 with the margin of 2."""


class NetworkSummary(Callback):
    """Prints the layers that have parameters.

    The output shapes are those of two samples of the first batch, which a LitTask predicts before its first step. For
    other modules, they are those of the first step.
    """

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.handles: list[RemovableHandle] = []
        self.rows: list[tuple[str, str, int]] = []
        """Key, text and number of parameters of each layer."""
        self.title = ""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Counts the parameters, before a strategy may distribute them over processes."""
        self.title = title(pl_module)
        for name, layer in layers_of(pl_module):
            self.rows.append((name, f"{name} ({type(layer).__name__})", num_parameters(layer.parameters())))
            self.handles.append(layer.register_forward_hook(partial(self._note, name)))

    def _note(self, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        shape = shape_of(output)
        if shape is not None:
            self.shapes.setdefault(name, shape)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)  # this process has all weights
        if self.title and whole and isinstance(pl_module, LitTask):
            inputs = samples_of(parts_of(batch)[0])
            precision = trainer.precision_plugin.forward_context()
            with suppress(Exception), kernels.plain(), undisturbed(pl_module), torch.no_grad(), precision:
                pl_module(inputs)  # if it fails, so does the step, with the better message
            self._print(shape_of(inputs))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.title:
            self._print(shape_of(batch))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.title:  # no step was trained
            self._print(None)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._remove()

    def _print(self, batch: tuple[int, ...] | None) -> None:
        self._remove()
        lines = [self.title]
        if self.rows:
            lines.append(row("layer", "output, B: batch size", "parameters"))
        for key, text, count in self.rows:
            lines.append(row(text, with_batch(self.shapes.get(key), batch), f"{count:,}"))
        say("\n".join(lines))
        self.title, self.rows = "", []

    def _remove(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []


def samples_of(inputs: Any) -> Any:
    """The first two samples of a batch."""
    return {name: value[:2] for name, value in inputs.items()} if isinstance(inputs, Mapping) else inputs[:2]


def layers_of(module: L.LightningModule) -> list[tuple[str, nn.Module]]:
    """The layers with parameters. Those in a list, and those inside a wrapped library model, are layers of their
    own."""
    network = getattr(module, "network", None)
    layers = list((network if isinstance(network, nn.Module) else module).named_children())
    if len(layers) == 1:
        layers = list(layers[0][1].named_children()) or layers
    for name, layer in list(layers):
        if isinstance(layer, nn.ModuleList | nn.Sequential):
            at = layers.index((name, layer))
            layers[at : at + 1] = [(f"{name}.{i}", inner) for i, inner in layer.named_children()]
    return [(name, layer) for name, layer in layers if any(True for _ in layer.parameters())]


def title(module: L.LightningModule) -> str:
    """The line above the layers."""
    frozen = num_parameters(p for p in module.parameters() if not p.requires_grad)
    more = f", {frozen:,} frozen" if frozen else ""
    lazy = ", without those of lazy layers" if any(is_lazy(p) for p in module.parameters()) else ""
    return f"{type(module).__name__}: {trainable(module):,} trainable parameters{more}{lazy}"


def num_parameters(parameters: Iterable[Any]) -> int:
    """Numbers in parameters, without those whose shape is unknown, as in a lazy layer."""
    return sum(parameter.numel() for parameter in parameters if not is_lazy(parameter))


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of a tensor, or of the first one in a tuple, a list or a mapping; None if there is none.

    Packed sequences have the shape of padded ones: `(B, T, …)`.
    """
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, PackedSequence):
        return int(value.batch_sizes[0]), len(value.batch_sizes), *value.data.shape[1:]
    if isinstance(value, tuple | list) and value:
        return shape_of(value[0])
    return None


def with_batch(shape: tuple[int, ...] | None, batch: tuple[int, ...] | None) -> str:
    """A shape in words, with B for the size of the batch; "-" if it is unknown."""
    if shape is None:
        return "-"
    is_batch = bool(shape and batch) and shape[:1] == batch[:1] if batch else False
    parts = ["B", *map(str, shape[1:])] if is_batch else list(map(str, shape))
    return f"({', '.join(parts)})"


def row(name: str, shape: str, count: str) -> str:
    """A line of the table."""
    name = name if len(name) < NAME else f"{name[: NAME - 2]}…"
    return f"  {name:<{NAME}}{shape:<{SHAPE}}{count:>{COUNT}}"
