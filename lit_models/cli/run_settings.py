"""What a command asks of its run, from the settings of the command line."""

import os
import shlex
import sys
from pathlib import Path

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
    checkpoint = parser.checkpoint or {}
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
        test_weights=settings.get("test_weights", "none"),
        monitor=settings.get("monitor"),
        monitor_mode=settings.get("monitor_mode"),
        early_stopping=EarlyStop.parse(settings.get("early_stopping")),
        saved=settings.get("save", "both"),
        save_every=SaveEvery.parse(settings.get("save_every", "1min")),
        output=Output.of(settings.get("output"), settings.get("top_k")),
        report=kind_of(settings.get("report")),
        quiet=settings.quiet,
    )
