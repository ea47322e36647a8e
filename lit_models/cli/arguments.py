"""The arguments that this program adds to those of LightningCLI, and the ranges of the Trainer's numbers."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from datamodules.errors import UserError
from lit_models.cli.configs import Config
from lit_models.kernels import Choice
from lit_models.runs.checkpoints import Saved
from lit_models.runs.reporting import ReportKind

TestWeights = Literal["last", "best", "none"]
Mode = Literal["min", "max"]
ABOVE_ZERO = {"accumulate_grad_batches", "check_val_every_n_epoch", "num_nodes", "val_check_interval"}
OR_ALL = {"devices", "max_epochs", "max_steps", "num_sanity_val_steps"}  # -1 means no limit


def add_run_arguments(parser: LightningArgumentParser) -> None:
    """Adds the arguments that every command has."""
    parser.add_argument(
        "--experiment", type=str | None, default=None, help="Name of the run's folder; the config's name if not set."
    )
    parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all runs.")
    parser.add_argument(
        "--kernels",
        type=Choice,
        default="auto",
        help="auto: fast code of this program where it applies; plain: PyTorch's.",
    )
    parser.add_argument("--quiet", action="store_true", help="Print only errors, warnings and the result.")


def add_command_arguments(parser: LightningArgumentParser, command: str) -> None:
    """Adds the arguments of one command. A config file may contain those of all commands."""
    for action in parser._actions:
        if action.dest == "ckpt_path":
            action.help = "Checkpoint file to start from; its own config supplies the settings that are not set."
    if command == "fit":
        parser.add_argument(
            "--resume", type=str | None, default=None, help="Run folder in which a stopped training goes on exactly."
        )
        parser.add_argument(
            "--save", type=Saved, default="both", help="Checkpoints that are kept: the last, the best, or both."
        )
        parser.add_argument(
            "--save_every",
            type=str | int,
            default="1min",
            help="Steps or time between two checkpoints inside an epoch: 500, 30s, 5min, or epoch for none.",
        )
        parser.add_argument(
            "--test_weights", type=TestWeights, default="last", help="Weights that are tested after training."
        )
        parser.add_argument(
            "--monitor",
            type=str | None,
            default=None,
            help="Metric that decides which epoch is the best; the model's own choice if not set.",
        )
        parser.add_argument(
            "--monitor_mode", type=Mode | None, default=None, help="Whether lower or higher values of it are better."
        )
        parser.add_argument(
            "--early_stopping",
            type=str | None,
            default=None,
            help="METRIC:EPOCHS, such as val/loss:3; stops if the metric has not improved for that many epochs.",
        )
    if command in ("fit", "test"):
        parser.add_argument(
            "--report",
            type=ReportKind | None,
            default=None,
            help="html: report.html in the run folder, the default; none: no report.",
        )
    if command == "predict":
        parser.add_argument(
            "--output",
            type=str | None,
            default=None,
            help="New file for the predictions, .csv, .jsonl or .pt; - for JSON Lines on standard output.",
        )
        parser.add_argument(
            "--top_k", type=int | None, default=None, help="Only the K most probable classes of each sample."
        )
        aliases = (
            "--data.inputs",
            "--data.init_args.inputs",
        )  # if the data class is fixed, its own argument has the first name
        parser.add_argument(
            "--inputs",
            *(flag for flag in aliases if flag not in parser._option_string_actions),
            nargs="+",
            help="What to predict: sentences, rows, files, folders, patterns such as *.png, or - for standard input.",
        )


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
        raise UserError(f"{text}: use at most {most}")


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
