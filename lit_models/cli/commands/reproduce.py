"""run a finished run again, and compare the numbers"""

from pathlib import Path

from datamodules.errors import MissingFileError
from lit_models import startup
from lit_models.cli.flags import FlagParser

MOST_THREADS = 1024
"""A larger file is refused."""


def parser() -> FlagParser:
    """The flags of the command."""
    flags = FlagParser(
        __name__,
        "RUN [options]",
        needed=("RUN",),
        passes_on=("--trust",),
        examples=("reproduce runs/digits_cnn/version_0",),
    )
    flags.add_argument("run", nargs="?", metavar="RUN", help="folder of a finished run, such as runs/x/version_0")
    flags.add_argument("--runs_dir", metavar="DIR", help="folder of all runs for the new one; that of RUN unless given")
    return flags


def main(words: list[str]) -> int:
    """Runs a finished run again, in a new folder beside it.

    Returns:
        Exit status: 0 if all numbers are equal or within rounding, 1 if they are different.

    Raises:
        UserError: a wrong flag, or a run that cannot be reproduced.
    """
    settings, fit_words = parser().read(words)
    startup.begin()
    import torch

    from lit_models.cli.app import LitCLI
    from lit_models.runs.progress import say
    from lit_models.runs.reproduction import compare, read_results

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
    cli = LitCLI(args=["fit", "--config", str(config), "--runs_dir", runs_dir, "--experiment", place.name, *fit_words])
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
