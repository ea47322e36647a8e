"""The arguments that this program adds to those of LightningCLI, and the ranges of the Trainer's numbers."""

import argparse
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from datamodules.errors import UserError
from lit_models.cli.configs import Config
from lit_models.cli.own_flags import CKPT_PATH, RESERVED, TEXTS
from lit_models.kernels import Choice
from lit_models.runs.checkpoints import Saved
from lit_models.runs.reporting import ReportKind

TestWeights = Literal["last", "best", "none"]
Mode = Literal["min", "max"]
ABOVE_ZERO = {"accumulate_grad_batches", "check_val_every_n_epoch", "num_nodes", "val_check_interval"}
OR_ALL = {"devices", "max_epochs", "max_steps", "num_sanity_val_steps"}  # -1 means no limit


def add_run_arguments(parser: LightningArgumentParser) -> None:
    """Adds the arguments that every command has."""
    _add(parser, "experiment", str | None)
    _add(parser, "runs_dir", str, "runs")
    _add(parser, "kernels", Choice, "auto")
    parser.add_argument("--quiet", action="store_true", help=TEXTS["quiet"])


def add_command_arguments(parser: LightningArgumentParser, command: str) -> None:
    """Adds the arguments of one command. A config file may contain those of all commands."""
    for action in parser._actions:
        if action.dest == CKPT_PATH.name:
            action.help = CKPT_PATH.text
    if command == "fit":
        _add(parser, "resume", str | None)
        _add(parser, "save", Saved, "both")
        _add(parser, "save_every", str | int, "1min")
        _add(parser, "test_weights", TestWeights, "last")
        _add(parser, "monitor", str | None)
        _add(parser, "monitor_mode", Mode | None)
        _add(parser, "early_stopping", str | None)
    if command in ("fit", "test"):
        _add(parser, "report", ReportKind | None)
    if command == "predict":
        _add(parser, "output", str | None)
        _add(parser, "top_k", int | None)
        aliases = (
            "--data.inputs",
            "--data.init_args.inputs",
        )  # if the data class is fixed, its own argument has the first name
        new = (flag for flag in aliases if flag not in parser._option_string_actions)
        parser.add_argument("--inputs", *new, nargs="+", help=TEXTS["inputs"])


def _add(parser: LightningArgumentParser, name: str, kind: Any, default: Any = None) -> None:
    parser.add_argument(f"--{name}", type=kind, default=default, help=TEXTS[name])


@contextmanager
def clear_clashes() -> Iterator[None]:
    """Turns a flag that a program adds although it is there into a UserError."""
    try:
        yield
    except (argparse.ArgumentError, ValueError) as error:
        reserved = [flag for flag in re.findall(r"--?\w+", str(error)) if flag in RESERVED]
        if not reserved or not re.search("conflicting option|already exists", str(error)):
            raise
        raise UserError(f"{reserved[0]} is a flag of LitCLI: give the argument of your program another name") from error


def listed(inputs: list[str]) -> list[str]:
    """The inputs as a list. A single word such as '["a", "b"]' is parsed as a JSON list."""
    if len(inputs) == 1 and inputs[0].startswith("["):
        with suppress(ValueError, RecursionError):
            content = json.loads(inputs[0])
            if isinstance(content, list) and all(isinstance(text, str) for text in content):
                return content
    return inputs


def check_trainer_numbers(trainer: Namespace) -> None:
    """Refuses numbers of the Trainer that are NaN or too small. Lightning checks only some of them.

    Raises:
        UserError: the message names the setting, its range and the number.
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
            raise UserError(f"trainer.{name} must be {expected}, got {value:g}")
    _check_processes(trainer)


def _check_processes(trainer: Namespace) -> None:
    """Refuses many more processes than the CPU has cores."""
    cores, devices = os.cpu_count() or 1, str(trainer.get("devices"))
    most = max(8, 4 * cores)
    on_cpu = trainer.get("accelerator") == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    if on_cpu and devices.isdecimal() and int(devices) > most:
        text = f"trainer.devices is {devices}, and this machine has {cores} CPU cores"
        raise UserError(f"{text}: use at most {most} (four per core, and eight on any machine)")


def experiment_name(given: str | None, configs: list[Config], model: str, data: str) -> str:
    """Name of the run's folder: the setting, or the name of the first config, or the names of model and data.

    Raises:
        UserError: the name is a path.
    """
    pair = f"{model}-{data}".removesuffix("DataModule").removesuffix("-")
    name = given if given is not None else configs[0].path.stem if configs else pair
    if Path(name).name != name or name in ("", ".", "..") or not name.isprintable():
        raise UserError(f"experiment is the name of one folder and not a path, got {name!r}")
    return name
