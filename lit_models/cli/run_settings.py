"""What a command asks of its run, from the settings of the command line."""

import inspect
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from lit_models.cli.help import PROGRAM
from lit_models.cli.parser import LitArgumentParser
from lit_models.runs.early_stopping import EarlyStop
from lit_models.runs.predictions import Output
from lit_models.runs.reporting import kind_of
from lit_models.runs.resume import KEY
from lit_models.runs.save_every import SaveEvery
from lit_models.runs.settings import RunSettings


def program_name(is_own: bool) -> str:
    """How this program is called.

    Args:
        is_own: whether a program of the user has fixed classes or links, which `python -m lit_models` does not know.
    """
    script = sys.argv[0]
    return f"python {shlex.quote(os.path.relpath(script))}" if is_own and script.endswith(".py") else PROGRAM


def run_settings(
    program: str, words: list[str], settings: Namespace, parser: LitArgumentParser, config: str
) -> RunSettings:
    """The settings of a run.

    Args:
        program: how the program is called.
        words: the rest of the command line.
        settings: the settings of the command.
        parser: the parser that has read them.
        config: the configuration that the run keeps, YAML.

    Raises:
        UserError: a setting is out of its range.
    """
    checkpoint, ours = parser.checkpoint or {}, parser.ours(settings)
    return RunSettings(
        program=program,
        words=list(words),
        runs_dir=Path(settings.runs_dir),
        experiment=settings.experiment,
        seed=settings.seed_everything,
        checkpoint=Path(settings.ckpt_path) if settings.get("ckpt_path") else None,
        restarted=parser.restarted,
        resumed_step=checkpoint.get("global_step") if KEY in checkpoint else None,
        config=config,
        test_weights=ours.get("test_weights", "none"),
        monitor=ours.get("monitor"),
        monitor_mode=ours.get("monitor_mode"),
        early_stopping=EarlyStop.parse(ours.get("early_stopping")),
        saved=ours.get("save", "both"),
        save_every=SaveEvery.parse(ours.get("save_every", "1min")),
        output=Output.of(ours.get("output"), ours.get("top_k")),
        report=kind_of(ours.get("report")),
        quiet=settings.quiet,
    )


def default_of(name: str, parser: LitArgumentParser, class_of: Callable[[str], type | None]) -> Any:
    """The default of a setting; None if it is unknown.

    Args:
        name: the setting, such as "trainer.precision" or "model.init_args.lr".
        parser: the parser of the command.
        class_of: returns the class of "model" or "data", if there is one.
    """
    part, _, argument = name.partition(".init_args.")
    if argument:
        owner = class_of(part) if part in ("model", "data") else None
        parameter = inspect.signature(owner).parameters.get(argument) if owner else None
        return parameter.default if parameter and parameter.default is not parameter.empty else None
    known = any(action.dest == name for action in parser._actions)
    return parser.get_default(name) if known else None
