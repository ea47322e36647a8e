"""`reproduce`: a finished run is run again from its folder, and the numbers of both are compared."""

import argparse
from pathlib import Path

import torch

from datamodules.errors import MissingFileError
from lit_models.cli.app import LitCLI
from lit_models.runs.progress import say
from lit_models.runs.reproduction import compare, read_results

MOST_THREADS = 1024
"""A larger number is not believed."""


def reproduce(settings: argparse.Namespace, words: list[str]) -> int:
    """Runs a finished run again, in a new folder beside it.

    Args:
        settings: the flags of `reproduce`.
        words: flags for `fit`.

    Returns:
        Exit status: 0 if all numbers are equal or within rounding, 1 if they are different.

    Raises:
        UserError: the run cannot be reproduced.
    """
    run = Path(settings.run).expanduser()
    results = read_results(run)
    config = run / "config.yaml"
    if not config.is_file():
        raise MissingFileError(f"{run} has no config.yaml: the run cannot be started again without it")
    threads = results.get("threads")
    if isinstance(threads, int) and 0 < threads <= MOST_THREADS:
        torch.set_num_threads(threads)
    place = run.resolve().parent
    runs_dir = settings.runs_dir or str(place.parent)
    cli = LitCLI(args=["fit", "--config", str(config), "--runs_dir", runs_dir, "--experiment", place.name, *words])
    assert cli.current_run is not None, "fit has a run"
    if not cli.trainer.is_global_zero:
        return 0
    again = cli.current_run.folder
    comparison = compare(run, again)
    say()
    say(f"{run} was run again in {again}")
    for line in comparison.lines:
        say(line)
    return 1 if comparison.verdict == "different" else 0
