"""From what a person typed to a checked configuration: config names, several inputs, the checkpoint's own config."""

import argparse
import importlib
import inspect
import json
import re
import sys
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import lightning as L
import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from lit_models import catalog
from lit_models.errors import line_of, nearest, read_config, shorten_parser_error
from lit_models.pairing import unknown_class
from lit_models.runs.checkpoints import read_checkpoint

TestWeights = Literal["last", "best", "none"]
OutputFormat = Literal["csv", "jsonl"]
MISSING = object()
FROM_CHECKPOINT = ("model", "data", "seed_everything", "experiment")
PREDICT_ONLY = ("--output", "--data.inputs", "--data.init_args.inputs")
OWNERS = {"--test_weights": "fit"} | dict.fromkeys(PREDICT_ONLY, "predict")
ABOVE_ZERO = {"accumulate_grad_batches", "check_val_every_n_epoch", "num_nodes", "val_check_interval"}
OR_ALL = {"devices", "max_epochs", "max_steps", "num_sanity_val_steps"}  # -1 is no limit


def build_parser(command: str) -> LightningArgumentParser:
    """The parser of one command: config files, model, data, Trainer, and our own settings."""
    parser = LightningArgumentParser(
        prog=f"lit_models {command}",
        description=f"{command}: every setting; `{command} --help` shows the common ones.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", action="config", help="Config file or shipped config's name; several add up.")
    parser.add_argument("--seed_everything", type=int, default=0, help="Seed of all randomness.")
    parser.add_argument(
        "--experiment", type=str | None, default=None, help="Name of the run's folder; the config's name."
    )
    parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all runs.")
    parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to start from.")
    # Every command reads the same configs, so each takes the other's settings; `check_flags` refuses them as flags.
    parser.add_argument("--test_weights", type=TestWeights, default="last", help="fit: weights to test, or none.")
    parser.add_argument("--output", type=OutputFormat, default="csv", help="predict: format of the predictions' file.")
    parser.add_lightning_class_args(L.Trainer, "trainer")
    parser.add_lightning_class_args(L.LightningModule, "model", subclass_mode=True, required=True)
    parser.add_lightning_class_args(L.LightningDataModule, "data", subclass_mode=True, required=True)
    parser.set_defaults(
        {
            "trainer.max_epochs": 10,
            "trainer.num_sanity_val_steps": 0,
            "trainer.enable_progress_bar": sys.stderr.isatty(),
            "trainer.enable_model_summary": False,
        }
    )
    return parser


def join_inputs(arguments: list[str]) -> list[str]:
    """`--data.inputs a b c` as one list, so that a shell's `*.png` works."""
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word in ("--data.inputs", "--data.init_args.inputs"):
            values = []
            while rest and not rest[0].startswith("--") and rest[0] != "-c":
                values.append(rest.pop(0))
            if values:
                joined.append(as_list(values))
        elif word.startswith(("--data.inputs=", "--data.init_args.inputs=")):
            flag, _, value = joined.pop().partition("=")
            joined.append(f"{flag}={as_list([value])}")
    return joined


def as_list(values: list[str]) -> str:
    """Several words as a JSON list, which a sentence with a colon in it needs too; a list is left as it is."""
    return values[0] if len(values) == 1 and values[0].startswith("[") else json.dumps(values)


def named_configs(arguments: list[str]) -> tuple[list[str], list[Path]]:
    """The arguments with each config's name replaced by its path, and those paths in order; every file is read once
    to find its mistakes.

    Raises:
        FileNotFoundError: no such config.
        ValueError: a mistake in one, with `file:line`.
    """
    found: list[Path] = []
    replaced = []
    for previous, word in zip(["", *arguments[:-1]], arguments, strict=True) if arguments else ():
        flag, equals, value = word.partition("=")
        if previous in ("--config", "-c"):
            found.append(catalog.find_config(word))
            replaced.append(str(found[-1]))
        elif flag in ("--config", "-c") and equals:
            found.append(catalog.find_config(value))
            replaced.append(f"{flag}={found[-1]}")
        else:
            replaced.append(word)
    for path in found:
        read_config(path)
    return replaced, found


def option(arguments: list[str], name: str) -> str | None:
    """Value of the last `--name value` or `--name=value` among the arguments."""
    value = None
    for word, following in zip_longest(arguments, arguments[1:]):
        if word == f"--{name}":
            value = following
        elif word.startswith(f"--{name}="):
            value = word.partition("=")[2]
    return value


def with_checkpoint(command: str, arguments: list[str], configs: list[Path]) -> tuple[list[str], dict[str, Any] | None]:
    """The arguments with the checkpoint's own config before them, and the checkpoint's content, if one is named.

    Raises:
        FileNotFoundError, ValueError: the checkpoint is missing or damaged.
    """
    path = option(arguments, "ckpt_path") or next((p for c in configs if (p := read_config(c).get("ckpt_path"))), None)
    if path is None:
        return arguments, None
    content = read_checkpoint(Path(path))
    config = yaml.safe_load(content.get("config") or "{}")
    kept = config if command == "fit" else {k: v for k, v in config.items() if k in FROM_CHECKPOINT}
    kept.pop("ckpt_path", None)
    if command != "fit" and (precision := (config.get("trainer") or {}).get("precision")):
        kept["trainer"] = {"precision": precision}
    return ([f"--config={yaml.safe_dump(kept)}", *arguments] if kept else arguments), content


def parse(parser: LightningArgumentParser, arguments: list[str], configs: list[Path]) -> tuple[Namespace, Namespace]:
    """What was given (in configs and flags), and the whole configuration with every default.

    Raises:
        ValueError: a mistake in a flag or a config, on one line.
    """
    if not arguments:
        command = str(parser.prog).rsplit(" ", 1)[-1]
        raise ValueError(f"{command} needs a config, such as --config digits_cnn, or --model and --data; see `list`")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parser.parse_args(arguments, defaults=False), parser.parse_args(arguments)
    except (argparse.ArgumentError, TypeError, KeyError, ValueError) as error:
        raise ValueError(explain(parser, str(error), arguments, configs)) from error


def check_flags(command: str, arguments: list[str], config: Namespace) -> None:
    """Refuses a flag that only another command uses. In a config file it is fine.

    Raises:
        ValueError: names the flag and the command that it belongs to.
    """
    ours = config.data.class_path.startswith("datamodules.")  # a user's class may mean something else by `inputs`
    for flag in (word.partition("=")[0] for word in arguments):
        owner = OWNERS.get(flag, command)
        if owner != command and (ours or not flag.startswith("--data.")):
            raise ValueError(f"{flag} belongs to {owner}, and {command} does not use it: leave it out")


def check_numbers(trainer: Namespace) -> None:
    """Refuses the Trainer's numbers that are below their range or NaN, of which Lightning checks some only.

    Raises:
        ValueError: names the setting, its range and the number.
    """
    for name, value in vars(trainer).items():
        if not isinstance(value, int | float):
            continue
        if name in ABOVE_ZERO:
            fits, expected = value > 0, "above 0"
        elif name in OR_ALL:
            fits, expected = value >= -1, "0 or more, or -1 (no limit)"
        else:
            fits, expected = value >= 0, "0 or more"
        if not fits:
            raise ValueError(f"trainer.{name} must be {expected}, got {value}")


def explain(parser: LightningArgumentParser, message: str, arguments: list[str], configs: list[Path]) -> str:
    """The parser's complaint in one line, with the nearest right name and the place in a config."""
    for part, names in (("model", catalog.model_names()), ("data", catalog.data_names())):
        for name, place in named_classes(part, arguments, configs):
            if "." not in name and name not in names:
                return f"{place}{unknown_class(part, name, names)}"
            if "." in name and (why := import_fault(name)):
                return f"{place}{part}: {why}"
    if unknown := re.search(r"unrecognized arguments: (\S+)", message):
        return unknown_flag(parser, unknown[1])
    if missing := re.search(r"arguments are required: (.+)", message):
        return f"{missing[1]} not given: use --config, or --model and --data (`list` shows them)"
    text = shorten_parser_error(message)
    key = re.search(r"has no setting '([\w.]+)'", text) or re.search(
        r"key ['\"]([\w.]+)['\"] is not expected", text, re.I
    )
    if key is None:
        return text
    place = next((p for path in configs if (p := find_key(path, key[1]))), "")
    return f"{place}{text.rstrip('.')}{nearest(key[1].split('.')[-1], settings(parser, arguments, configs))}"


def unknown_flag(parser: LightningArgumentParser, word: str) -> str:
    """The sentence for a word that no flag takes."""
    flag = word.partition("=")[0]
    if not flag.startswith("-"):
        return f"{flag!r} belongs to no flag; several words are one value in quotes"
    known = [o for action in parser._actions for o in action.option_strings]  # argparse's list has no public name
    return f"unknown flag {flag}{nearest(flag, known)}"


def named_classes(part: str, arguments: list[str], configs: list[Path]) -> list[tuple[str, str]]:
    """Each class name given for "model" or "data", with its place in a config ("file:line: ", or "" for a flag)."""
    found = [(name, "") for flag in (part, f"{part}.class_path") if (name := option(arguments, flag))]
    for path in configs:
        section = read_config(path).get(part)
        name = section.get("class_path") if isinstance(section, dict) else section
        if isinstance(name, str):
            found.append((name, f"{line_of(path, f'{part}.class_path')}: "))
    return found


def import_fault(name: str) -> str | None:
    """Why a dotted class name cannot be imported; None when it can."""
    module, _, attribute = name.rpartition(".")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            return f"no module {module!r} for {name} (looked in the current folder and among the installed packages)"
        raise
    classes = [k for k, v in vars(found).items() if isinstance(v, type)]
    return None if hasattr(found, attribute) else f"{module} has no class {attribute!r}{nearest(attribute, classes)}"


def settings(parser: LightningArgumentParser, arguments: list[str], configs: list[Path]) -> list[str]:
    """Every setting's own name, for finding the nearest: the parser's, and those of the classes that are named."""
    names = {o.lstrip("-").split(".")[-1] for action in parser._actions for o in action.option_strings}
    for part, base in (("model", L.LightningModule), ("data", L.LightningDataModule)):
        for name, _ in named_classes(part, arguments, configs):
            known = {c.__name__: c for c in all_subclasses(base)}
            made = known.get(name.rsplit(".", 1)[-1])
            for ancestor in made.__mro__ if made else ():
                names |= set(inspect.signature(vars(ancestor).get("__init__", all_subclasses)).parameters)
    return sorted(names - {"self", "args", "kwargs"})


def all_subclasses(base: type) -> list[type]:
    """Every class below `base` that is imported."""
    found: list[type] = []
    children: list[type] = base.__subclasses__()
    for child in children:
        found += [child, *all_subclasses(child)]
    return found


def find_key(path: Path, key: str) -> str:
    """`file:line: ` of a setting in a config, looked for at the top and under each section, or nothing."""
    content = read_config(path)
    places = [key, *(f"{part}.{key}" for part in content), *(f"{part}.init_args.{key}" for part in content)]
    for place in places:
        node: Any = content
        for step in place.split("."):
            node = node.get(step, MISSING) if isinstance(node, dict) else MISSING
        if node is not MISSING:
            return f"{line_of(path, place)}: "
    return ""
