"""Builds data, model, callbacks and loggers from their settings. The model gets its sizes from the data."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import _InstantiatorFn
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy

from datamodules.base import DataModule
from datamodules.errors import UserError
from lit_models.cli.arguments import listed
from lit_models.cli.pairing import Derived, HasRestoredSettings, data_settings, model_settings, section_settings

if TYPE_CHECKING:
    from lit_models.cli.app import LitCLI


SPARE_BYTES, SPARE_PARTS = 2**26, 2000
"""A model may be this much larger than ten times the bytes, and twenty times the number, of its checkpoint's
weights."""


class Builder:
    """Builds the objects of a command line. jsonargparse calls it for each object, data before the model.

    Args:
        cli: the parsed command line.
    """

    advice = "leave it out"
    """Advice for a setting of the model that disagrees with the data."""

    def __init__(self, cli: "LitCLI") -> None:
        self.cli, self.parser, self.settings = cli, cli.words_parser, cli.settings
        self.derived = Derived()
        self.data: Any = None
        self.failure: Exception | None = None
        """The error of a constructor. jsonargparse's own message lists every type that it tried."""

    def register(self) -> None:
        """Registers this builder with the parser."""
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
        """Builds the datamodule: fills in settings that follow from others, and loads the state of the checkpoint."""
        with self._noting_failure(class_type):
            changed = self._data_settings(class_type, kwargs)
            self.derived.data |= changed.keys() - {"data_dir", "inputs"}
            self._fill("data", kwargs, changed, links=applied_instantiation_links)
            self.data = self._construct("data", class_type, *args, links=applied_instantiation_links, **kwargs)
            state = (self.parser.checkpoint or {}).get(class_type.__qualname__)
            if state and isinstance(self.data, DataModule):  # Lightning loads the state of other classes, after setup
                with self._restoring():
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
        """Builds the model: fills in the settings that follow from the data and from its checkpoint."""
        with self._noting_failure(class_type):
            typed = section_settings(self.parser.typed.get("model"))
            changed = model_settings(class_type, kwargs, typed, self.data, advice=self.advice)
            restored = self.parser.checkpoint is not None and isinstance(class_type, HasRestoredSettings)
            if self.parser.checkpoint is not None and isinstance(class_type, HasRestoredSettings):
                changed |= class_type.restored_settings(self.parser.checkpoint.get("hyper_parameters", {}))
            self.derived.model |= changed.keys()
            self._fill("model", kwargs, changed, links=applied_instantiation_links)
            with self._bounded_by_checkpoint(), self._restoring() if restored else nullcontext():
                return self._construct("model", class_type, *args, links=applied_instantiation_links, **kwargs)

    @contextmanager
    def _bounded_by_checkpoint(self) -> Iterator[None]:
        """Refuses a model that is much larger than its checkpoint, before its weights are created. The sizes in a small
        file could fill the memory."""
        if self.parser.checkpoint is None:
            yield
            return
        path = self.settings.ckpt_path
        weights = [w for w in self.parser.checkpoint["state_dict"].values() if isinstance(w, Tensor)]
        most_bytes = SPARE_BYTES + 10 * sum(weight.nbytes for weight in weights)
        most_parts = SPARE_PARTS + 20 * len(weights)
        num_bytes = num_parts = 0

        def count(module: nn.Module, name: str, part: Tensor | nn.Module | None) -> None:
            nonlocal num_bytes, num_parts
            num_parts += 1
            num_bytes += part.nbytes if isinstance(part, Tensor) and not is_lazy(part) else 0
            if num_bytes > most_bytes or num_parts > most_parts:
                raise UserError(f"{path} is a checkpoint of another model: this one is much larger than its weights")

        registrations = (
            register_module_parameter_registration_hook,
            register_module_buffer_registration_hook,
            register_module_module_registration_hook,
        )
        handles = [register(count) for register in registrations]
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if "allocate" not in str(error):
                raise
            raise UserError(f"{path}: its model does not fit into the memory") from error
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def _restoring(self) -> Iterator[None]:
        """Turns errors that are caused by values in a checkpoint into a UserError. The file may come from anybody."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            raise not_restored(self.settings.ckpt_path, error) from error

    def _fill(self, part: str, kwargs: dict[str, Any], changed: dict[str, Any], *, links: dict[str, Any]) -> None:
        """Sets derived settings, except those that a link of the program sets."""
        if not changed:  # a class without arguments has no section
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
        """Builds a callback or a logger."""
        with self._noting_failure(class_type):
            try:
                return class_type(*args, **kwargs)
            except ModuleNotFoundError as error:
                raise missing_package(class_type.__name__, error) from error

    @contextmanager
    def _noting_failure(self, class_type: type) -> Iterator[None]:
        """Keeps the error that is raised while an object is built. A ValueError in a constructor of the user or of
        Lightning is treated as a wrong setting."""
        try:
            yield
        except Exception as error:
            self.failure = error
            ours = class_type.__module__.partition(".")[0] in ("lit_models", "datamodules")
            if isinstance(error, ValueError) and not isinstance(error, UserError) and not ours:
                self.failure = UserError(f"{class_type.__name__}: {error} (--debug shows where)")
                self.failure.__cause__ = error
            raise


def not_restored(path: Any, error: Exception) -> UserError:
    """The error for a state in a checkpoint that cannot be restored."""
    reason = " ".join(str(error).split()) or "no reason given"
    text = f"{type(error).__name__}: {reason if len(reason) < 200 else f'{reason[:200]} …'}"
    return UserError(f"{path}: the state in it cannot be restored: {text} (--debug shows where)")


def missing_package(name: str, error: ModuleNotFoundError) -> UserError:
    """The error for a class that needs a missing package."""
    if error.name:
        return UserError(f"{name} needs the package {error.name}: pip install {error.name}")
    return UserError(f"{name} needs a package that is not installed: {' '.join(str(error).split())}")
