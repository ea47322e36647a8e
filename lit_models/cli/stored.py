"""The settings that a command takes over from the config in a checkpoint. The file may come from anybody.

Values are taken over, and classes that `lit_models.cli.trust` allows in a checkpoint. Folders to write to, loggers,
profilers and plugins are never taken over, and of the callbacks only those in `CALLBACKS`. A note lists the settings
that are left out, with the flags that set them again.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import UserError
from lit_models.cli import strict_yaml, trust
from lit_models.cli.configs import strange_key, unreadable_place

EVALUATION = ("model", "data", "seed_everything", "experiment")
"""Settings that commands other than fit take over."""
NEVER = ("config", "ckpt_path", "inputs", "output", "top_k", "print_config", "quiet")
"""Settings that belong to one call."""
PLACES = ("runs_dir", "trainer.default_root_dir")
OBJECTS = ("logger", "plugins", "profiler")
"""Settings of the Trainer that write files or run other code."""
CALLBACKS = {"lit_models.runs.progress.ErrorLines"} | frozenset(
    f"lightning.pytorch.callbacks.{name}"
    for name in (
        *("BackboneFinetuning", "DeviceStatsMonitor", "EarlyStopping", "EMAWeightAveraging"),
        *("GradientAccumulationScheduler", "LearningRateMonitor", "ModelSummary", "RichModelSummary"),
        *("RichProgressBar", "StochasticWeightAveraging", "ThroughputMonitor", "Timer", "TQDMProgressBar"),
        "WeightAveraging",
    )
)
"""Callbacks that write no files and call no function that is given by its name."""


@dataclass
class Stored:
    """The config of a checkpoint.

    Args:
        content: the whole config, as data.
        taken: the settings that the command takes over.
        left_out: flags of the settings that it does not take over.
    """

    content: dict[str, Any] = field(default_factory=dict)
    taken: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def note(self) -> str | None:
        """A note about the settings that are left out; None if there are none."""
        if not self.left_out:
            return None
        flags = ", ".join(self.left_out)
        return f"note: settings of the checkpoint's run that are not taken over: {flags}; type them again to keep them"


def read_config(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The config in a checkpoint, as data; empty if there is none.

    Raises:
        UserError: the config is not a mapping, or not valid YAML within the limits of a config.
    """
    try:
        content = strict_yaml.load(checkpoint.get("config") or "{}")
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise UserError(f"{path}: its config cannot be read: {problem}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: its config is a {type(content).__name__}, expected a mapping")
    if (strange := strange_key(content)) is not None:
        raise UserError(f"{path}: in its config, {strange} is not the name of a setting")
    for key in ("model", "data", "trainer"):
        if not isinstance(content.get(key, {}), dict | None):
            raise UserError(f"{path}: {key} in its config is of type {type(content[key]).__name__}, expected a mapping")
    return content


def settings_of(path: Path, content: dict[str, Any], *, fit: bool, runs_dir: Any) -> Stored:
    """The settings that a command takes over.

    Args:
        path: path of the checkpoint.
        content: config of the checkpoint.
        fit: whether training continues, so that its settings are taken over too.
        runs_dir: default value of this setting.

    Raises:
        UserError: a checkpoint may not name one of the classes, or a string is the path of a pipe, a device or another
            machine.
    """
    stored = Stored(content)
    chosen = {k: v for k, v in content.items() if k not in NEVER and (fit or k in EVALUATION)}
    trainer = chosen.pop("trainer", None) or {}
    if chosen.pop("runs_dir", runs_dir) != runs_dir:
        stored.left_out.append("--runs_dir")
    if problem := unreadable_place(content):
        raise UserError(f"{path}: in its config, {problem}, which a checkpoint may not name")
    _check_classes(path, chosen)
    stored.taken = chosen
    if fit:
        stored.taken["trainer"] = _trainer_settings(trainer, stored.left_out)
    elif isinstance(precision := (content.get("trainer") or {}).get("precision"), str | int):
        stored.taken["trainer"] = {"precision": precision}
    return stored


def _check_classes(path: Path, content: dict[str, Any]) -> None:
    """Refuses classes that a checkpoint may not name.

    Raises:
        UserError: there are such classes; the message has the flags that allow them.
    """
    places = list(trust.class_paths(content))
    trust.allow_remembered(name for _, name in places)
    foreign = {place: name for place, name in places if not trust.allows(name)}
    if not foreign:
        return
    if own := [name for name in foreign.values() if not trust.can_be_trusted(name)]:
        raise UserError(f"{path}: {trust.refusal(own[0])}")
    flags = []
    for place, name in foreign.items():
        part = place.removesuffix(".class_path")
        flags.append(f"--{part} {name}" if part in trust.CLASS_FLAGS else f"--trust {trust.module_of(name)}")
    names = " and ".join(dict.fromkeys(foreign.values()))
    advice = f"if its code is yours, add {' '.join(dict.fromkeys(flags))}"
    raise UserError(f"{path} names {names}, which you have not run here before, and is not imported: {advice}")


def _trainer_settings(trainer: dict[str, Any], left_out: list[str]) -> dict[str, Any]:
    """The plain settings of a stored Trainer, and those of its callbacks that are in `CALLBACKS`."""
    taken: dict[str, Any] = {}
    for name, value in trainer.items():
        if name == "callbacks":
            callbacks = value if isinstance(value, list) else [value] if value else []
            taken[name] = [callback for callback in callbacks if _is_harmless(callback)] or None
            foreign = [_class_of(callback) for callback in callbacks if not _is_harmless(callback)]
            left_out += [f"--trainer.callbacks+={name}" for name in foreign]
        elif f"trainer.{name}" in PLACES or (name in OBJECTS and not isinstance(value, bool)) or not _is_plain(value):
            left_out += [f"--trainer.{name}"] if value else []
        else:
            taken[name] = value
    return taken


def _is_harmless(callback: Any) -> bool:
    return _class_of(callback) in CALLBACKS and (isinstance(callback, str) or _is_plain(callback.get("init_args")))


def _class_of(callback: Any) -> str:
    return str(callback.get("class_path") if isinstance(callback, dict) else callback)


def _is_plain(value: Any) -> bool:
    """Whether a value is plain data, without a class and without a string that could be an import path."""
    if isinstance(value, dict):
        return "class_path" not in value and all(_is_plain(part) for part in value.values())
    if isinstance(value, list):
        return all(_is_plain(part) for part in value)
    return not (isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split(".")))
