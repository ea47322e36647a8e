"""The scripts with which a shell completes commands, flags, names and values. They are static: Tab starts no Python.

shtab writes the scripts, from the flags of each command. Those of the Trainer's commands come from the schema of their
settings. Each script also completes `python -m lit_models`.
"""

import argparse
import re
from collections.abc import Iterator
from typing import Any

import shtab

from lit_models.cli import registry
from lit_models.cli.commands import load
from lit_models.cli.help import COMMANDS, TRAINER_COMMANDS
from lit_models.cli.schema import command_schemas
from lit_models.cli.shells import CONFIGS, ENDINGS, FISH_CONFIGS, PREAMBLES

NAME = "lit-models"
DIRECTORIES = {"--resume", "--runs_dir"}
EVERYWHERE = ("--help", "--debug")
TRAINER_FLAGS = (*EVERYWHERE, "--help-all", "--quiet", "--print_config")
"""Flags without a value."""
CLASSES = ("--model", "--data")
LONGEST_HELP = 60


def script(shell: str) -> str:
    """The script of "bash", "zsh" or "fish"."""
    preamble = PREAMBLES.get(shell, "").replace("{names}", config_names())
    return f"{shtab.complete(program(), shell=shell, preamble=preamble)}\n{ENDINGS[shell]}"


def config_names() -> str:
    """The names of the configs; those of overlays also without their folder."""
    names = (name for config in registry.configs() for name in (config.name, config.name.rpartition("/")[2]))
    return " ".join(dict.fromkeys(names))


def program() -> argparse.ArgumentParser:
    """All commands with their flags, as plain argparse."""
    parser = argparse.ArgumentParser(prog=NAME, add_help=False)
    commands = parser.add_subparsers()
    for command, summary in COMMANDS.items():
        flags = commands.add_parser(command, help=_short(summary), add_help=False)
        if command in TRAINER_COMMANDS:
            _add_settings(flags, command_schemas()[command])
        else:
            for action in load(command).parser()._actions:
                _add_flag(flags, action)
        for name in TRAINER_FLAGS if command in TRAINER_COMMANDS else EVERYWHERE:
            flags.add_argument(name, action="store_true")
    return parser


def _add_flag(flags: argparse.ArgumentParser, action: argparse.Action) -> None:
    """A flag of a command of its own. A value without choices may be a file."""
    names = action.option_strings or [action.dest]
    if action.nargs == 0:
        flags.add_argument(*names, action="store_true", help=_short(action.help))
        return
    added = flags.add_argument(*names, choices=action.choices, nargs=action.nargs, help=_short(action.help))
    if action.choices is None:
        _complete(added, shtab.FILE)


def _add_settings(flags: argparse.ArgumentParser, schema: dict[str, Any]) -> None:
    """The flags of a command of the Trainer."""
    config = flags.add_argument("--config", help="a YAML file, or the name of a config")
    _complete(config, dict.fromkeys(PREAMBLES, CONFIGS) | {"fish": FISH_CONFIGS.replace("{names}", config_names())})
    flags.add_argument("--trust", help="a module of yours that a config may name")
    for name, part in _settings(schema).items():
        values = _values(part, schema["$defs"])
        nargs = "+" if name.endswith("inputs") else None
        action = flags.add_argument(name, choices=values or None, nargs=nargs, help=_short(part.get("description")))
        if name in CLASSES:
            flags.add_argument(f"{name}.help", choices=values)
        if not values and "string" in str(part):
            _complete(action, shtab.DIRECTORY if name in DIRECTORIES else shtab.FILE)


def _settings(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The part of the schema for each flag with a value."""
    found: dict[str, dict[str, Any]] = {}
    for name, part in schema["properties"].items():
        if "properties" in part:
            found |= {f"--{name}.{setting}": each for setting, each in part["properties"].items()}
        elif f"--{name}" not in EVERYWHERE + TRAINER_FLAGS:
            found[f"--{name}"] = part
        for each in _references(part, schema["$defs"]):
            for choice in each["anyOf"][1].get("allOf", ()):
                settings = choice["then"]["properties"]["init_args"].get("properties", {})
                found = {f"--{name}.{setting}": value for setting, value in settings.items()} | found
    return found


def _references(part: dict[str, Any], definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The definitions of the classes that may be the value of a setting."""
    for each in (part, *part.get("anyOf", ())):
        if "$ref" in each:
            yield definitions[each["$ref"].rpartition("/")[2]]


def _values(part: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """The values that a setting may have, if they can be listed."""
    values = [str(value) for each in (part, *part.get("anyOf", ())) for value in each.get("enum", ())]
    if "boolean" in (part["type"] if isinstance(part.get("type"), list) else [part.get("type")]):
        values += ["true", "false"]
    for each in _references(part, definitions):
        values += each["anyOf"][0].get("anyOf", [{}])[0].get("enum", [])
    return list(dict.fromkeys(values))


def _complete(action: argparse.Action, way: Any) -> None:
    """Tells shtab how the values of a flag are completed."""
    action.complete = way  # type: ignore[attr-defined]


def _short(text: str | None) -> str:
    """The beginning of a help text, without characters that a shell could read otherwise."""
    return re.sub(r"[^\w ,.;/()-]", "", (text or "").partition("\n")[0])[:LONGEST_HELP].strip()
