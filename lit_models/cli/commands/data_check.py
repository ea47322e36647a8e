"""what is in your data, and what is wrong with them"""

import time
from pathlib import Path

from lit_models import startup
from lit_models.cli.flags import FlagParser
from lit_models.runs.new_files import named_file, new_file

PAGE = "data.html"


def parser() -> FlagParser:
    """The flags of the command. Flags of `fit` are passed on."""
    flags = FlagParser(
        __name__,
        "[options]",
        passes_on=("-",),
        examples=(
            "data-check --config text_rnn --data.train_file my.csv",
            "data-check --data ImageFolderDataModule --data.root pets",
        ),
    )
    flags.add_argument(
        "--config", metavar="FILE_OR_NAME", action="append", help="a YAML file or a config's name, as `fit` takes it"
    )
    flags.add_argument("--data", metavar="CLASS", help="the data, and --data.NAME VALUE for each setting")
    flags.add_argument(
        "--output",
        metavar="FILE",
        help=f"a new file for the page; unless given, {PAGE} here, or data_2.html if it exists",
    )
    flags.add_argument("--report", metavar="KIND", choices=("html", "none"), help="none: writes no page")
    return flags


def main(words: list[str]) -> int:
    """Prints what is in the data, and writes a page.

    Returns:
        The exit status: 0, or 2 if something is surely a mistake.

    Raises:
        UserError: a wrong flag, or a mistake in the data that ends the reading.
    """
    settings, rest = parser().read(words)
    named = [word for name in settings.config or [] for word in ("--config", name)]
    named += ["--data", settings.data] if settings.data else []
    output = named_file(settings.output) if settings.output else new_file(Path(), PAGE)
    start = time.perf_counter()
    startup.begin()
    from lit_models.cli.data_check import check

    return check([*named, *rest], words, output=None if settings.report == "none" else output, start=start)
