"""Building data, model, callbacks and loggers from their settings; the data tell the model its sizes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import _InstantiatorFn
from lightning.pytorch.loggers import Logger

from datamodules.base import DataModule
from datamodules.errors import UserError
from lit_models.cli.arguments import listed
from lit_models.cli.pairing import Derived, HasRestoredSettings, data_settings, model_settings, section_settings

if TYPE_CHECKING:
    from lit_models.cli.app import LitCLI


class Builder:
    """Builds what a command line describes. jsonargparse calls it for each object, data before the model.

    Args:
        cli: the command line, parsed.
    """

    advice = "leave it out"
    """What to do about a model's setting that disagrees with the data."""

    def __init__(self, cli: "LitCLI") -> None:
        self.cli, self.parser, self.settings = cli, cli.words_parser, cli.settings
        self.derived = Derived()
        self.data: Any = None
        self.failure: Exception | None = None
        """What a constructor raised, which jsonargparse buries in a list of every type that it tried."""

    def register(self) -> None:
        """Makes the parser build its objects here."""
        for base, build in (
            (L.LightningDataModule, self.build_data),
            (L.LightningModule, self.build_model),
            (Callback, self.build_part),
            (Logger, self.build_part),
        ):
            self.cli.parser.add_instantiator(build, base, subclasses=True)

    def build_data(
        self, class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> Any:
        """The datamodule, with the settings that follow from others, and the state of the checkpoint."""
        with self._noting_failure(class_type):
            changed = self._data_settings(class_type, kwargs)
            self.derived.data |= changed.keys() - {"data_dir", "inputs"}
            self._fill("data", kwargs, changed, links=applied_instantiation_links)
            self.data = self._construct("data", class_type, *args, links=applied_instantiation_links, **kwargs)
            state = (self.parser.checkpoint or {}).get(class_type.__qualname__)
            if state and isinstance(self.data, DataModule):  # the state of others is loaded by Lightning, after setup
                self.data.load_state_dict(state)
            return self.data

    def _data_settings(self, data: type, settings: dict[str, Any]) -> dict[str, Any]:
        typed = section_settings(self.parser.typed.get("data"))
        model = self.cli.class_of("model") or L.LightningModule
        pair = (model, section_settings(self.settings.get("model")))
        changed = data_settings(data, settings, typed, self.parser.flags, pair)
        if issubclass(data, DataModule) and "seed" in settings and "seed" not in typed:
            changed["seed"] = self.settings.seed_everything
        if self.cli.subcommand == "predict" and self.settings.inputs is not None:
            if "inputs" not in settings:
                raise UserError(f"{data.__name__} takes no inputs: leave --inputs out")
            changed["inputs"] = listed(self.settings.inputs)
        return changed

    def build_model(
        self, class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> Any:
        """The model, with the settings that the data and its own checkpoint decide."""
        with self._noting_failure(class_type):
            typed = section_settings(self.parser.typed.get("model"))
            changed = model_settings(class_type, kwargs, typed, self.data, advice=self.advice)
            if self.parser.checkpoint is not None and isinstance(class_type, HasRestoredSettings):
                changed |= class_type.restored_settings(self.parser.checkpoint.get("hyper_parameters", {}))
            self.derived.model |= changed.keys()
            self._fill("model", kwargs, changed, links=applied_instantiation_links)
            return self._construct("model", class_type, *args, links=applied_instantiation_links, **kwargs)

    def _fill(self, part: str, kwargs: dict[str, Any], changed: dict[str, Any], *, links: dict[str, Any]) -> None:
        """Sets derived settings, except those that a link of the program's sets."""
        if not changed:  # a class without arguments has no section either
            return
        linked = {name.rpartition(".")[2] for name in links if name.startswith(f"{part}.")}
        section = self.settings[part]
        target = section.init_args if "class_path" in section and "init_args" in section else section
        for name, value in changed.items():
            if name not in linked:
                kwargs[name] = value
                if target is not section or "class_path" not in section:
                    target[name] = value

    def _construct(self, key: str, class_type: type, *args: Any, links: dict[str, Any], **kwargs: Any) -> Any:
        if self.cli.keeps_hyperparameters:
            build = _InstantiatorFn(cli=self.cli, key=key)
            return build(class_type, *args, applied_instantiation_links=links, **kwargs)
        return class_type(*args, **kwargs)

    def build_part(self, class_type: type, *args: Any, **kwargs: Any) -> Any:
        """A callback or a logger."""
        with self._noting_failure(class_type):
            try:
                return class_type(*args, **kwargs)
            except ModuleNotFoundError as error:
                raise missing_package(class_type.__name__, error) from error

    @contextmanager
    def _noting_failure(self, class_type: type) -> Iterator[None]:
        """Keeps what is raised while an object is built. A ValueError from a class of the user's, or of Lightning's, is
        about the settings that it was given."""
        try:
            yield
        except Exception as error:
            self.failure = error
            ours = class_type.__module__.partition(".")[0] in ("lit_models", "datamodules")
            if isinstance(error, ValueError) and not isinstance(error, UserError) and not ours:
                self.failure = UserError(f"{class_type.__name__}: {error} (--debug shows where)")
                self.failure.__cause__ = error
            raise


def missing_package(name: str, error: ModuleNotFoundError) -> UserError:
    """The error for a class that needs a package which is not installed."""
    if error.name:
        return UserError(f"{name} needs the package {error.name}: pip install {error.name}")
    return UserError(f"{name} needs a package that is not installed: {' '.join(str(error).split())}")
