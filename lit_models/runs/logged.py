"""The values that a module has logged: the metric that determines the best epoch, and the table at the end."""

import math
import re
import shlex
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast, runtime_checkable

import lightning as L

from datamodules.errors import UserError
from lit_models.tasks.targets import Classification, MultiLabel
from lit_models.tasks.task import LitTask

Mode = Literal["min", "max"]
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SPLIT_NAME = re.compile(rf"({'|'.join(sorted(SPLITS, key=len, reverse=True))})[/_ -](.+)")
USUAL = ("acc", "accuracy", "loss")
"""Metrics of the validation part that determine the best epoch by default."""
LONGEST_ROW = 30
"""Characters of a row's name in a table."""
LOWER = {
    "loss",
    "error",
    "err",
    "mae",
    "mse",
    "rmse",
    "mape",
    "nll",
    "perplexity",
    "ppl",
    "distance",
    "wer",
    "cer",
    "fid",
}
HIGHER = {"acc", "accuracy", "f1", "auc", "auroc", "precision", "recall", "specificity", "r2", "score", "iou", "dice"}
HIGHER |= {"jaccard", "matthews", "kappa", "bleu", "rouge", "pearson", "spearman", "psnr", "ssim", "match", "variance"}


@runtime_checkable
class HasMonitor(Protocol):
    """A module that names the metric for its best epoch."""

    @property
    def monitor(self) -> tuple[str, Mode]:
        """The metric's name, and whether lower or higher is better."""
        ...


def logged(trainer: L.Trainer) -> dict[str, float]:
    """All values that the module has logged, by name. If a value is logged per step and per epoch, that of the
    epoch."""
    values = {name: value for name, value in trainer.callback_metrics.items() if value.numel() == 1}
    doubled = {f"{name}_{kind}" for name in values for kind in ("step", "epoch")}
    return {name: float(value) for name, value in values.items() if name not in doubled}


def split_of(name: str) -> tuple[str, str]:
    """The split ("train", "val", "test", or "" if there is none) and the metric in a name such as `val/loss` or
    `test_acc`."""
    match = SPLIT_NAME.fullmatch(name)
    return (SPLITS[match[1]], match[2]) if match else ("", name)


def in_split(values: Mapping[str, float], split: str) -> dict[str, float]:
    """Puts the name of the split before values that were logged in another form. If a `test_step` logs "accuracy", or
    calls the `validation_step`, which logs "val_loss", these become "test/accuracy" and "test/val_loss"."""
    return {name if split_of(name)[0] == split else f"{split}/{name}": value for name, value in values.items()}


def monitor_of(
    module: L.LightningModule, values: Mapping[str, Any], *, wanted: str | None = None
) -> tuple[str, Mode | None] | None:
    """The metric that determines the best epoch: the one that the user names, the module's choice, or a usual one.

    Args:
        module: the module that is trained.
        values: values that it has logged.
        wanted: name of the metric that the user has chosen.

    Returns:
        Name and direction (None if unknown), or None if there is no such metric.

    Raises:
        UserError: the wanted metric is not logged.
    """
    if wanted is not None:
        if wanted not in values:
            raise UserError(f"monitor: {wanted!r} is not logged; logged are {', '.join(values) or 'no values'}")
        return wanted, None
    if isinstance(module, HasMonitor) and _is_monitor(module.monitor) and module.monitor[0] in values:
        return module.monitor
    of_validation = {split_of(name)[1]: name for name in values if split_of(name)[0] == "val"}
    name = next((of_validation[metric] for metric in USUAL if metric in of_validation), None)
    return (name, None) if name else None


def no_monitor_note(values: Mapping[str, Any]) -> str:
    """The note for a module that logs no usual metric. It names one of the metrics that could be used."""
    example = next((name for name in values if split_of(name)[0] == "val"), "NAME")
    return f"note: no best.ckpt is kept; name the metric that decides it, such as --monitor {shlex.quote(example)}"


def _is_monitor(value: Any) -> bool:
    """Whether the attribute `monitor` of a module is a name and a direction."""
    return isinstance(value, tuple) and len(value) == 2 and value[1] in ("min", "max")


def direction_of(name: str, *, setting: str = "monitor") -> Mode:
    """Whether lower or higher values of a metric are better, according to the words in its name.

    Args:
        name: name of the metric.
        setting: the setting that names it.

    Raises:
        UserError: the name does not tell.
    """
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if words & LOWER:
        return "min"
    if words & HIGHER:
        return "max"
    unknown = f"{setting}: it is unknown whether lower or higher {name!r} is better"
    mode = "--monitor_mode" if setting == "monitor" else f"--monitor {shlex.quote(name)} --monitor_mode"
    raise UserError(f"{unknown}: add {mode} min or max")


def check_is_logged(setting: str, name: str, module: L.LightningModule, *, has_validation: bool) -> None:
    """Refuses a metric that the module will not log, if that is known before training.

    Args:
        setting: the setting that names the metric.
        name: name of the metric.
        module: the module.
        has_validation: whether the data have a validation part.

    Raises:
        UserError: the message has the metrics that will be logged.
    """
    if split_of(name)[0] == "val" and not has_validation:
        raise UserError(f"{setting} {name} needs a validation part: set data.num_val or data.val_fraction")
    if isinstance(module, LitTask) and (names := module.logged_names()) is not None and name not in names:
        known = [known for known in names if has_validation or split_of(known)[0] != "val"]
        raise UserError(f"{setting}: {name!r} is not logged; logged are {', '.join(known)}")


def is_by_class(name: str, module: L.LightningModule) -> bool:
    """Whether a value belongs to one of several classes, such as `val/recall/cat`. Only a LitTask logs such names. In
    other modules, a second slash has another meaning; Lightning, for example, adds `/dataloader_idx_0`."""
    return isinstance(module, LitTask) and "/" in split_of(name)[1] and "/dataloader_idx_" not in name


def table(metrics: Mapping[str, float], module: L.LightningModule) -> str:
    """The metrics as a table of 80 columns, with one row per split and one column per metric. Below it are, for the
    last split, one row per class, and then the values without a split, one per line.

    Args:
        metrics: values by name.
        module: the module that has logged them.
    """
    splits: dict[str, dict[str, float]] = {"train": {}, "val": {}, "test": {}}
    classes: dict[str, dict[str, dict[str, float]]] = {}
    others: dict[str, float] = {}
    for full_name, value in metrics.items():
        split, name = split_of(full_name)
        metric, _, label = name.partition("/")
        if not split:
            others[name] = value
        elif is_by_class(full_name, module):
            classes.setdefault(split, {}).setdefault(label, {})[metric] = value
        else:
            splits[split][full_name if name in splits[split] else name] = value
    lines = _grid({split: cells for split, cells in splits.items() if cells})
    if classes:
        split = max(classes, key=list(splits).index)
        lines += [*([""] if lines else []), f"{split}, by {_part_of(module)}", *_grid(classes[split])]
    width = max((len(name) for name in others), default=0)
    return "\n".join([*lines, *(f"{name:{width}}  {value:.4f}" for name, value in others.items())])


def _part_of(module: L.LightningModule) -> str:
    """The word for the last part of a name such as `val/recall/cat`: class, label or target."""
    target = module.target if isinstance(module, LitTask) else None
    return "class" if isinstance(target, Classification) else "label" if isinstance(target, MultiLabel) else "target"


def _cell(value: float) -> str:
    """A count, or a number with four decimals; "-" if it is undefined."""
    return f"{value:,}" if isinstance(value, int) else "-" if math.isnan(value) else f"{value:.4f}"


def _width(column: str) -> int:
    """Width of a column with a number and its name."""
    return max(10, 2 + len(column))


def _grid(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A table of named rows with at most six columns and 80 characters per line. Further columns follow below. Long
    names of rows are shortened."""
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    first = min(LONGEST_ROW, max(5, *(len(name) for name in rows))) if rows else 0
    lines: list[str] = []
    while columns:
        taken = (n for n in range(min(6, len(columns)), 1, -1) if first + sum(map(_width, columns[:n])) <= 80)
        size = next(taken, 1)
        part, columns = columns[:size], columns[size:]
        texts = {name: [_cell(cells.get(c, math.nan)) for c in part] for name, cells in rows.items()}
        widths = [max(10, 2 + max(map(len, column))) for column in zip(part, *texts.values(), strict=True)]
        lines.append(" " * first + "".join(f"{c:>{w}}" for c, w in zip(part, widths, strict=True)))
        for name, row in texts.items():
            if any(c in rows[name] for c in part):
                name = name if len(name) <= first else f"{name[: first - 1]}…"
                lines.append(f"{name:{first}}" + "".join(f"{t:>{w}}" for t, w in zip(row, widths, strict=True)))
    return lines


def log_one_of_each_name(model: L.LightningModule, data: L.LightningDataModule | None) -> None:
    """Gives the loggers the model's hyper-parameters alone where the data have others of the same names, which
    Lightning refuses to merge. A checkpoint keeps both."""
    theirs: dict[str, Any] = data.hparams_initial if data is not None else {}
    ours = model.hparams_initial
    if any(type(ours[name]) is not type(theirs[name]) or ours[name] != theirs[name] for name in ours.keys() & theirs):
        cast(Any, data)._log_hyperparams = False
