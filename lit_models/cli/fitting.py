"""`lit_models.fit`: the command `fit` as a function of Python, with the same checks, numbers and files."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from datamodules.base import DataModule
from datamodules.errors import UserError
from lit_models.cli.app import LitCLI
from lit_models.cli.building import Builder
from lit_models.cli.pairing import model_settings, section_settings
from lit_models.cli.plain_errors import errors_in_python
from lit_models.runs.progress import say

PLAIN = (str, int, float, bool, type(None))


class FitResult(NamedTuple):
    """What a training has left.

    Args:
        metrics: the final metrics by name, such as "test/acc".
        folder: the run folder, with checkpoints and `results.json`.
        model: the trained module.
    """

    metrics: dict[str, float]
    folder: Path
    model: L.LightningModule


class GivenBuilder(Builder):
    """Uses objects of the caller's where they are given."""

    def build_data(
        self, class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> Any:
        given = cast(FitCLI, self.cli).given.get("data")
        if given is None:
            links = applied_instantiation_links
            return super().build_data(class_type, *args, applied_instantiation_links=links, **kwargs)
        self.data = given
        return given

    def build_model(
        self, class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> Any:
        given = cast(FitCLI, self.cli).given.get("model")
        if given is None:
            links = applied_instantiation_links
            return super().build_model(class_type, *args, applied_instantiation_links=links, **kwargs)
        with self._noting_failure(class_type):
            typed = section_settings(self.parser.typed.get("model"))
            changed = model_settings(class_type, kwargs, typed, self.data, advice="build the model with this value")
            self.derived.model |= changed.keys()
        return given


class FitCLI(LitCLI):
    """Trains as `fit` does, with objects of the caller's.

    Args:
        words: the command line.
        given: the objects, by "model" and "data".
        callbacks: callbacks of the caller's.
    """

    builder_class = GivenBuilder

    def __init__(self, words: list[str], given: dict[str, Any], callbacks: list[Callback]) -> None:
        self.given = given
        super().__init__(args=words, trainer_defaults={"callbacks": callbacks} if callbacks else None)


def fit(
    model: Any = None,
    data: Any = None,
    *,
    config: str | Path | Sequence[str | Path] | None = None,
    max_epochs: int | None = None,
    callbacks: Sequence[Callback] = (),
    settings: Mapping[str, Any] | None = None,
    **trainer: Any,
) -> FitResult:
    """Trains and tests a model as the command `fit` does, in a new run folder.

    Args:
        model: name of a model, path of a class such as "my_model.LitMine", a class, or a module, which is trained.
        data: the same for data.
        config: name or file of a config, or several of them.
        max_epochs: passes over the training part, 0 or more; 10 if neither this nor a config sets it.
        callbacks: Lightning callbacks, in addition to those of the config.
        settings: other flags of the command by name, such as `{"model.lr": 0.01, "experiment": "first"}`.
        **trainer: settings of the Trainer, plain values, such as `accelerator="cpu"`.

    Raises:
        UserError: a mistake in one of these, with the message of the command.
    """
    words = ["fit"]
    for name in [config] if isinstance(config, str | Path) else config or ():
        words += ["--config", str(name)]
    given: dict[str, Any] = {}
    for part, value, base in (("model", model, L.LightningModule), ("data", data, L.LightningDataModule)):
        words += _words_of(part, value, base)
        if isinstance(value, base):
            given[part] = value
    if max_epochs is not None:
        trainer["max_epochs"] = max_epochs
    for name, value in ({f"trainer.{name}": value for name, value in trainer.items()} | dict(settings or {})).items():
        words.append(_word(name, value))
    with errors_in_python():
        cli = FitCLI(words, given, list(callbacks))
    assert cli.current_run is not None, "fit has a run"
    folder = cli.current_run.folder
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return FitResult(results["metrics"], folder, cli.model)


def _words_of(part: str, value: Any, base: type) -> list[str]:
    """The flags for a model or data: its class and the settings that it was built with."""
    if value is None:
        return []
    if isinstance(value, str):
        return [f"--{part}", value]
    cls = value if isinstance(value, type) else type(value)
    if not issubclass(cls, base):
        raise UserError(f"{part} is {value!r}, expected a name, or a {base.__name__} or its class")
    if "<" in cls.__qualname__:
        raise UserError(f"{part}: {cls.__name__} is defined inside a function: define it in a file or a cell")
    words = [f"--{part}", f"{cls.__module__}.{cls.__qualname__}"]
    if isinstance(value, type):
        return words
    known = inspect.signature(cls).parameters
    built_with = value.init_args if isinstance(value, DataModule) else value.hparams
    if not built_with and set(known) - {"args", "kwargs"}:
        say(f"note: {cls.__name__} does not tell its settings, so the run's config has its defaults")
    settings = {k: _as_plain(v) for k, v in built_with.items() if k in known and v is not None}
    chosen = {k: v for k, v in settings.items() if _is_plain(v)}
    if left_out := sorted(settings.keys() - chosen.keys()):
        say(
            f"note: {cls.__name__} has settings that are not plain values, so the run's config leaves them out: "
            f"{', '.join(left_out)}"
        )
    if isinstance(value, DataModule) and "seed" in known:
        chosen["seed"] = value.seed  # the object's own; that of the run is for a class or a name
    return words + [_word(f"{part}.init_args.{name}", setting) for name, setting in chosen.items()]


def _word(name: str, value: Any) -> str:
    """A flag with its value."""
    value = _as_plain(value)
    if not _is_plain(value):
        raise UserError(f"{name} is a {type(value).__name__}, expected a plain value, such as the name of a class")
    return f"--{name}={value if isinstance(value, str) else json.dumps(value)}"


def _as_plain(value: Any) -> Any:
    """A setting with its paths as texts."""
    if isinstance(value, list | tuple):
        return [_as_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    return isinstance(value, PLAIN) and not isinstance(value, Tensor)
