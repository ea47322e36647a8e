"""The JSON schema of a config file, made from the parser of `fit`, so that an editor completes and checks configs.

jsonargparse makes the schema of all settings. This module adds the short names of classes, and the settings of each
class that a config may name. Classes of one's own have a dot in their names, and their settings are not checked.
"""

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonargparse import Namespace
from jsonargparse._completions_jsonschema import ParserJsonschema
from lightning.pytorch.cli import LightningArgumentParser

from lit_models.cli import registry
from lit_models.cli.app import LitCLI
from lit_models.cli.diagnosis import BASE_CLASSES, BASES, PARTS, all_subclasses
from lit_models.cli.help import TRAINER_COMMANDS
from lit_models.cli.stored import CALLBACKS

TITLE = "A config of lit-models"
OURS = ("lit_models.", "datamodules.")
KNOWN = (*OURS, "torch.optim.", *(f"lightning.pytorch.{name}." for name in ("callbacks", "cli", "loggers")))
"""Beginnings of the modules whose classes are listed."""
OWN_CLASS = {"type": "string", "pattern": r"\."}
"""A class of one's own, such as my_model.LitMine."""


class Parsers(LitCLI):
    """Builds the parsers of all commands, and parses nothing."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = Namespace(subcommand=None)  # type: ignore[no-untyped-call]

    def _set_seed(self) -> None:
        """Changes no random number."""

    def instantiate_classes(self) -> None:
        """Builds nothing."""

    def by_command(self) -> dict[str, LightningArgumentParser]:
        """The parser of each command."""
        return {command: self._subcommand_parsers[command] for command in TRAINER_COMMANDS}


@cache
def command_schemas() -> dict[str, dict[str, Any]]:
    """The schema of the settings of each command, with the definitions that they share."""
    maker = ConfigSchema()  # type: ignore[no-untyped-call]
    schemas = {command: maker.generate(parser) for command, parser in Parsers(args=[]).by_command().items()}
    for schema in schemas.values():
        schema["$defs"] = maker.defs
        schema["properties"]["trainer"]["properties"]["enable_progress_bar"].pop("default")  # it depends on the screen
    return {command: dict(_plain(schema)) for command, schema in schemas.items()}


def config_schema() -> dict[str, Any]:
    """The schema of a config file, which may have the settings of all commands."""
    whole: dict[str, Any] = {}
    for schema in command_schemas().values():
        whole = {**schema, **whole, "properties": schema["properties"] | whole.get("properties", {})}
    used = ConfigSchema()  # type: ignore[no-untyped-call]
    used.defs = whole.pop("$defs")
    about = {"title": TITLE, "description": "The settings of a run. `python -m lit_models list` shows what there is."}
    whole = {**whole, **about}
    return {**whole, "$defs": used.reachable_defs(whole)}


class ConfigSchema(ParserJsonschema):
    """Describes classes by their short names and, for each, its settings."""

    def subclass_def(self, class_type: Any, action: Any) -> dict[str, Any]:
        """A class name, or a section with `class_path` and `init_args`."""
        classes = list(_listed(class_type))
        names = [cls.__name__ for cls in classes]
        name: dict[str, Any] = {"anyOf": [{"enum": names}, OWN_CLASS]} if names else {"type": "string"}
        section: dict[str, Any] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {"class_path": name, "init_args": {"type": "object"}, "dict_kwargs": {"type": "object"}},
        }
        if classes:
            section["allOf"] = [self._settings_of(cls, action) for cls in classes]
        return {"anyOf": [name, section]}

    def _settings_of(self, cls: type, action: Any) -> dict[str, Any]:
        """The settings of a class, where a section names it."""
        path = f"{cls.__module__}.{cls.__qualname__}"
        settings = self.class_parser_schema(path, action, (inspect.getdoc(cls) or "").partition("\n")[0])
        return {
            "if": {"properties": {"class_path": {"enum": [cls.__name__, path]}}, "required": ["class_path"]},
            "then": {"properties": {"init_args": settings}},
        }


def _listed(base: Any) -> Iterator[type]:
    """The subclasses that a config usually names, sorted by name."""
    bases = (*BASES.values(), *PARTS.values())
    if not isinstance(base, type) or not issubclass(base, bases):
        return
    ours = {*registry.model_names(), *registry.data_names(), *(name.rpartition(".")[2] for name in CALLBACKS)}
    found = {cls.__name__: cls for cls in [base, *all_subclasses(base)] if f"{cls.__module__}.".startswith(KNOWN)}
    for name, cls in sorted(found.items()):
        is_ours = cls.__module__.startswith(OURS)
        hidden = name.startswith("_") or inspect.isabstract(cls) or name in BASE_CLASSES
        if not hidden and (not is_ours or name in ours):
            yield cls


def _plain(value: Any) -> Any:
    """The schema without what does not fit here: a config may leave out what another one sets, and has no key
    `$schema`."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if not isinstance(value, dict):
        return value
    whole = value.get("type") == "object"  # and not a condition
    kept = {key: _plain(part) for key, part in value.items() if not (whole and key == "required")}
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {key: part for key, part in kept["properties"].items() if key != "$schema"}
    return kept
