"""Pairs data with a model: checks that they fit, passes the sizes of the data on, and respects fixed settings of a
checkpoint."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from jsonargparse import Namespace

from datamodules.base import DataModule
from datamodules.errors import UserError
from datamodules.spec import DataSpec, HasFixedSettings, HasKind, HasSpec, HasTokenizer
from lit_models.cli import registry
from lit_models.cli.configs import Config
from lit_models.runs.plain_values import plain_settings
from lit_models.tasks.task import LitTask

DATA_DIR_VARIABLE = "LIT_MODELS_DATA"
TRAINING = (
    "seed_everything",
    "kernels",
    *(f"trainer.{name}" for name in ("accumulate_grad_batches", "gradient_clip_val", "limit_train_batches")),
    *(f"trainer.{name}" for name in ("precision", "val_check_interval", "check_val_every_n_epoch")),
)
"""Settings that change the numbers of a resumed run. The length of the training is not one of them."""
UNCOMPARED = {"inputs", "data_dir"}  # settings that may differ from those of the checkpoint without a note


@runtime_checkable
class HasAccepts(Protocol):
    """A class of models that declares the kinds of data it accepts."""

    accepts: ClassVar[frozenset[str]]


@runtime_checkable
class HasPretrained(Protocol):
    """A class of models that can start from a pretrained checkpoint. The data must then have its token ids."""

    @classmethod
    def tokenizer_of(cls, settings: Mapping[str, Any]) -> str | None:
        """The pretrained checkpoint that the settings name, if any."""
        ...


@runtime_checkable
class HasRestoredSettings(Protocol):
    """A class of models with settings that its own checkpoints contain."""

    @classmethod
    def restored_settings(cls, hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
        """These settings."""
        ...


@dataclass
class Derived:
    """Names of settings that were filled in and not set by the user. A stored config leaves them out.

    Args:
        model: settings of the model.
        data: settings of the datamodule.
    """

    model: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)


def check_pair(model: type, data: type) -> None:
    """Refuses data that the model cannot read, before anything is read or downloaded. Classes that do not declare their
    kinds of data are not checked.

    Raises:
        UserError: they do not fit; the message names the models that do.
    """
    if not isinstance(data, HasKind) or not isinstance(model, HasAccepts) or data.kind in model.accepts:
        return
    fitting = ", ".join(registry.models_for(data.kind))
    reads = " or ".join(sorted(model.accepts))
    raise UserError(
        f"{model.__name__} reads {reads}, but {data.__name__} gives {data.kind}: models that fit are {fitting}"
    )


def check_optimizer(model: type | None, settings: Namespace) -> None:
    """Refuses `--optimizer` and `--lr_scheduler` if they would have no effect.

    Raises:
        UserError: the model has its own ones, or there is a schedule without an optimizer.
    """
    for name, ours in (("optimizer", "optimizer"), ("lr_scheduler", "schedule")):
        if settings.get(name) and model and issubclass(model, LitTask):
            raise UserError(f"{model.__name__} has its own {ours}s: use --model.{ours} NAME, not --{name}")
    if settings.get("lr_scheduler") and "optimizer" in settings and not settings.get("optimizer"):
        raise UserError("lr_scheduler needs an optimizer from the command line: add --optimizer NAME")


def data_settings(
    data: type, settings: dict[str, Any], typed: Mapping[str, Any], flags: set[str], model: tuple[type, dict[str, Any]]
) -> dict[str, Any]:
    """Settings of a datamodule that follow from others: the tokenizer from the model's checkpoint, and for datamodules
    of this package the data folder from the environment. The environment overrides config files, and flags override the
    environment.

    Args:
        data: the datamodule's class.
        settings: its settings, including defaults.
        typed: the settings that were set.
        flags: the flags that were typed.
        model: the model's class and settings.
    """
    changed = {}
    folder = os.environ.get(DATA_DIR_VARIABLE)
    typed_folder = flags & {"--data.data_dir", "--data.init_args.data_dir"}
    if folder and issubclass(data, DataModule) and "data_dir" in settings and not typed_folder:
        changed["data_dir"] = folder
    checkpoint = pretrained_checkpoint(*model)
    if checkpoint and isinstance(data, HasTokenizer) and data.tokenizer_setting not in typed:
        changed[data.tokenizer_setting] = checkpoint
    return changed


def pretrained_checkpoint(model: type, settings: Mapping[str, Any]) -> str | None:
    """The pretrained checkpoint that a model's settings name, if any."""
    return model.tokenizer_of(settings) if isinstance(model, HasPretrained) else None


def model_settings(
    model: type, settings: dict[str, Any], typed: Mapping[str, Any], data: Any, *, advice: str
) -> dict[str, Any]:
    """Settings of a model that follow from its data.

    Args:
        model: the model's class.
        settings: its settings, including defaults.
        typed: the settings that were set.
        data: the datamodule.
        advice: advice for a setting that disagrees with the data.

    Raises:
        UserError: a value that was set disagrees with the data, the model cannot learn such targets, or the data have
            the token ids of another checkpoint.
    """
    if not isinstance(data, HasSpec):
        return {}
    spec = data.spec()
    assert isinstance(spec, DataSpec), "spec() returns a DataSpec"
    if (checkpoint := pretrained_checkpoint(model, settings)) and spec.tokenizer and spec.tokenizer != checkpoint:
        raise UserError(f"{checkpoint!r} needs its own token ids, and the data have those of {spec.tokenizer!r}")
    known = spec.for_model()
    if not issubclass(model, LitTask):  # in other classes, a setting of this name may have another meaning
        known.pop("task", None)
    if spec.task != "classification" and "task" not in settings and isinstance(model, HasAccepts):
        raise UserError(f"{type(data).__name__} has targets for {spec.task}, and {model.__name__} classifies")
    changed = {}
    for name, value in known.items():
        if name not in settings or (name in typed and name in spec.RECOMMENDED):
            continue
        if name in typed and typed[name] != value:
            shown = value if len(str(value)) < 60 else f"{str(value)[:56]} …"
            raise UserError(f"model.{name} is {typed[name]!r}, but the data say {shown!r}: {advice}")
        changed[name] = value
    return changed


def section_settings(section: Any) -> dict[str, Any]:
    """The settings of "model" or "data" in a configuration. The class may be chosen by name or fixed."""
    if not section:
        return {}
    settings = section.get("init_args") if "class_path" in section else section
    return dict(vars(settings)) if isinstance(settings, Namespace) else dict(settings or {})


def without_derived(config: Namespace, derived: Derived) -> Namespace:
    """The configuration without the settings that follow from the data, the seed and the model's checkpoint. When it
    runs again, these are derived again. Paths are absolute."""
    stored = config.clone()
    for part, names in (("model", derived.model), ("data", derived.data)):
        section = stored.get(part)
        settings = section.get("init_args") if section and "class_path" in section else section
        for name in names & (vars(settings).keys() if settings else set()):
            settings.pop(name)
        if settings:
            _make_absolute(settings)
    stored.pop("config", None)
    for name in ("ckpt_path", "resume", "inputs"):
        if name in stored:
            stored[name] = None
    return stored


def _make_absolute(settings: Namespace) -> None:
    """Makes relative paths of existing files and folders absolute, so that the config works in any folder. A setting is
    a path because of its name, such as `train_file`, or if its value has a slash or a suffix."""
    for name, value in vars(settings).items():
        named = name.rpartition("_")[2] in ("file", "dir", "path", "folder", "root", "checkpoint")
        if isinstance(value, list):
            settings[name] = [_absolute(item, named=named) for item in value]
        else:
            settings[name] = _absolute(value, named=named)


def _absolute(value: Any, *, named: bool) -> Any:
    """An absolute path in place of a relative one that exists; any other value as it is."""
    if not isinstance(value, str | Path) or not value or not os.path.exists(value):
        return value
    is_path = named or isinstance(value, Path) or os.sep in value or Path(value).suffix
    return type(value)(os.path.abspath(value)) if is_path else value


def _same_path(one: Any, other: Any) -> bool:
    """Whether two settings are paths of the same file. A stored config has absolute paths."""
    return isinstance(one, str) and isinstance(other, str) and os.path.abspath(one) == os.path.abspath(other)


def dropped_settings(configs: list[Config], config: Namespace) -> list[str]:
    """One note for each of "model" and "data" whose class a later config or a flag has replaced. It lists the settings
    of the replaced class that are dropped, and those that are kept because the new class has them too."""
    notes = []
    for part in ("model", "data"):
        section = config.get(part)
        if not section or "class_path" not in section:
            continue
        now, settings = section.class_path.rsplit(".", 1)[-1], section_settings(section)
        for file in configs:
            before = file.content.get(part)
            if not isinstance(before, dict):
                continue
            was = str(before.get("class_path", now)).rsplit(".", 1)[-1]
            values = before.get("init_args") or {}
            lost = [name for name in values if name not in settings]
            kept = [name for name, value in values.items() if name in settings and settings[name] == value]
            if was != now and (lost or kept):
                parts = [f"dropped {', '.join(lost)}"] * bool(lost) + [f"kept {', '.join(kept)}"] * bool(kept)
                notes.append(f"note: {now} replaces {was}; of its settings, {'; '.join(parts)}")
    return notes


def changed_settings(stored: Mapping[str, Any], config: Namespace, data: object) -> list[str]:
    """One note for each setting that a flag or a config has changed since the checkpoint was saved.

    Raises:
        UserError: the weights depend on the setting, as on the words of the token ids.
    """
    notes = []
    fixed: frozenset[str] = data.fixed_settings if isinstance(data, HasFixedSettings) else frozenset()
    for part in ("model", "data"):
        before, now = section_settings(stored.get(part)), plain_settings(section_settings(config.get(part)))
        for name in sorted(before.keys() & now.keys() - UNCOMPARED):
            same = _without_none(before[name]) == _without_none(now[name])
            if same or _same_path(before[name], now[name]):
                continue
            if part == "data" and name in fixed:
                raise UserError(
                    f"data.{name} is {now[name]!r}, but the checkpoint was trained with {before[name]!r}: leave it out"
                )
            notes.append(f"note: {part}.{name} is {now[name]!r}, and was {before[name]!r} when the checkpoint was made")
    return notes


def changed_training(stored: Mapping[str, Any], config: Namespace) -> list[str]:
    """One note for each setting in `TRAINING` that differs from that of the run that a fit resumes."""
    before = {**stored, **{f"trainer.{name}": value for name, value in (stored.get("trainer") or {}).items()}}
    return [
        f"note: {name} is {config.get(name)!r}, and was {before[name]!r} when the checkpoint was made"
        for name in TRAINING
        if name in before and before[name] != config.get(name)
    ]


def _without_none(value: Any) -> Any:
    """A setting without its nested values that are None, because a stored config may leave these out."""
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return value
