"""The lines about the data: the first ones of `fit`, and those of `data-check`."""

import textwrap
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Callback

from datamodules.contents.facts import Contents, Part
from datamodules.errors import listed
from datamodules.spec import DataSpec, HasContents
from datamodules.storage.checksums import printable
from lit_models.runs.progress import say
from lit_models.tasks.task import LitTask

WIDTH = 80
UNBROKEN = "\u00a0"
"""A blank at which no line is broken."""
MOST_CLASSES = 10
"""Classes whose samples are counted on the screen."""


class DataLines(Callback):
    """Prints what is in the data before the training."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data = cast(Any, trainer).datamodule
        if trainer.is_global_zero and isinstance(data, HasContents):
            for line in content_lines(data.contents(spec_of(pl_module))):
                say(line)


def spec_of(module: L.LightningModule) -> DataSpec:
    """What a model says of its targets."""
    if not isinstance(module, LitTask):
        return DataSpec()
    names, task = module.target.names, module.hparams.get("task", "classification")
    if task == "regression":
        return DataSpec(task=task, num_targets=len(names), target_names=names)
    return DataSpec(task=task, num_classes=len(names), class_names=names)


def content_lines(contents: Contents, *, each_part: bool = False) -> list[str]:
    """The lines of the screen, at most 80 columns wide.

    Args:
        contents: what is in the data.
        each_part: show the classes of each part, and not only those of the training part.
    """
    sizes = " + ".join(f"{part.rows:,} {part.name}" for part in contents.parts)
    lines = [f"data: {sizes or 'no'} {contents.unit}"]
    counted = [part for part in contents.parts if part.counts is not None]
    shown = counted if each_part else counted[:1]
    lines += [f"{_heading(contents, part)}: {_classes(contents, part)}" for part in shown]
    if contents.guess is not None:
        scores = ", ".join(f"{score:.4f} {name}" for name, score in contents.guess.scores.items())
        lines.append(f"always answering {contents.guess.answer}: {contents.guess.metric} {scores}")
    lines += [f"{name}: {text}" for name, text in contents.facts]
    lines += [f"note: {text}" for text in contents.notes]
    lines += [f"mistake: {text}" for text in contents.mistakes]
    lines = [UNBROKEN.join(map(printable, line.split(UNBROKEN))) for line in lines]
    return [part for line in lines for part in _wrapped(line)]


def _heading(contents: Contents, part: Part) -> str:
    kind = "labels" if contents.task == "multilabel" else "classes"
    return f"{len(contents.names)} {kind} in {part.name}"


def _classes(contents: Contents, part: Part) -> str:
    """The classes with their samples; of many, the most frequent ones and the rarest one."""
    assert part.counts is not None, "the caller has chosen such a part"
    pairs = list(zip(contents.names, part.counts.tolist(), strict=False))
    if len(pairs) > MOST_CLASSES:
        pairs.sort(key=lambda pair: -pair[1])
    shown = [f"{name}{UNBROKEN}({count:,})" for name, count in pairs]
    return ", ".join(shown) if len(pairs) <= MOST_CLASSES else f"{listed(shown)}; the rarest is {shown[-1]}"


def _wrapped(line: str) -> list[str]:
    lines = textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line.replace(UNBROKEN, " ") for line in lines]
