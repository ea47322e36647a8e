"""The table of the epochs: one line per epoch with its metrics, its time, and the time left for the others."""

import textwrap
import time
from collections.abc import Iterable, Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from lit_models.runs.logged import is_by_class, logged, split_of
from lit_models.runs.progress import epoch_of, say

WIDTH = 80
ORDER = ("train", "", "val", "test")
"""Splits in the order of their columns."""
TIME, LEFT = 10, 9
"""Widths of the last two columns."""
EPOCHS_PER_HEADER = 20
RECENT = 5
"""Epochs from which the time left is computed."""


class EpochLines(Callback):
    """Prints one line per epoch: its metrics, its time with the validation, and the time left for the other epochs.

    A line has 80 columns. Metrics without room in the table follow below the line, with their names.
    """

    def __init__(self) -> None:
        self.start, self.first_batch = 0.0, 0.0
        """When the epoch began, and when its first batch was done."""
        self.waiting = ""
        self.seconds: list[float] = []
        self.columns: list[str] = []
        self.others: list[str] = []
        """Metrics without room in the table."""
        self.lines = 0
        """Lines since the header."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._print(trainer)
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.waiting = epoch_of(trainer)
        now, batches = time.perf_counter(), trainer.num_training_batches
        self.seconds.append(now - self.start)
        steady = list(self.seconds)
        if len(steady) == 1 and 1 < batches < float("inf"):  # the first batch of all contains what is done once
            steady = [(now - self.first_batch) * batches / (batches - 1)]
        self.left = time_left(trainer, steady)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.first_batch = time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: L.Trainer) -> None:
        """Prints the line of the last epoch. Its metrics are complete only after all callbacks and hooks."""
        if not self.waiting:
            return
        module = trainer.lightning_module
        values = {name: value for name, value in logged(trainer).items() if not is_by_class(name, module)}
        self._arrange(values)
        cells = [number(values[c], width(c)) if c in values else "-" for c in self.columns]
        ends = [f"{f'{self.seconds[-1]:.1f} s':>{TIME}}"]
        ends += [f"{tqdm.format_interval(self.left):>{LEFT}}"] if self.left is not None else []
        if self.lines % EPOCHS_PER_HEADER == 0:
            names = [*((c, width(c)) for c in self.columns), ("time", TIME)]
            names += [("left", LEFT)] if self.left is not None else []
            say(" " * len(self.waiting) + "".join(f"{name:>{w}}" for name, w in names))
        row = (f"{cell:>{width(c)}}" for c, cell in zip(self.columns, cells, strict=True))
        say("\n".join([self.waiting + "".join(row) + "".join(ends), *self._below(values)]))
        self.lines += 1
        self.waiting = ""

    def _arrange(self, values: Mapping[str, float]) -> None:
        """Adds columns for new metrics, in the order of the splits. If there is no room for all, the first metrics of
        each split have a column."""
        if values.keys() <= {*self.columns, *self.others}:
            return
        names = sorted(dict.fromkeys([*self.columns, *self.others, *values]), key=place_of_split)
        of_split = {split: [name for name in names if split_of(name)[0] == split] for split in ORDER}
        room = WIDTH - len(self.waiting) - TIME - LEFT
        self.columns, self.lines = [], 0
        for name in sorted(names, key=lambda name: of_split[split_of(name)[0]].index(name)):
            room -= width(name)
            if room < 0:
                break
            self.columns.append(name)
        self.columns.sort(key=names.index)
        self.others = [name for name in names if name not in self.columns]

    def _below(self, values: Mapping[str, float]) -> Iterable[str]:
        """The metrics without a column."""
        pairs = [f"{name}\0{number(values[name], width(name))}" for name in self.others if name in values]
        indent = " " * (len(self.waiting) + 2)
        lines = textwrap.wrap("  ".join(pairs), WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
        return [indent + line.replace("\0", " ") for line in lines]


def place_of_split(name: str) -> int:
    """The place of a metric's split among the columns."""
    return ORDER.index(split_of(name)[0])


def width(name: str) -> int:
    """Width of the column of a metric."""
    return max(10, 2 + len(name))


def number(value: float, room: int) -> str:
    """A value with four decimals, or in a shorter form if the column has no room for it."""
    text = f"{value:.4f}"
    return text if len(text) <= room - 2 else f"{value:.2e}"


def time_left(trainer: L.Trainer, seconds: list[float]) -> float | None:
    """Seconds until the last epoch or step; None if the training has no limit.

    Args:
        trainer: that trains.
        seconds: of each epoch so far.
    """
    recent = seconds[-RECENT:]
    epochs: list[float] = []
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        epochs.append(trainer.max_epochs - trainer.current_epoch - 1)
    if trainer.max_steps >= 0 and trainer.global_step:
        done = trainer.current_epoch + 1
        epochs.append((trainer.max_steps - trainer.global_step) * done / trainer.global_step)
    return max(0.0, min(epochs)) * sum(recent) / len(recent) if epochs else None
