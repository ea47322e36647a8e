"""what is in your data, and what is wrong with them"""

import time
from pathlib import Path

from datamodules.errors import MissingFileError, UserError
from lit_models import startup
from lit_models.cli.flags import FlagParser

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
    flags.add_argument("--output", metavar="FILE", help=f"a new file for the page; {PAGE} here unless given")
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
    output = page_path(settings.output)
    start = time.perf_counter()
    startup.begin()
    from lit_models.cli.data_check import check

    return check([*named, *rest], words, output=None if settings.report == "none" else output, start=start)


def page_path(output: str | None) -> Path:
    """The new file: `output` if it is given, otherwise `data.html` in the current folder, with a number if needed.

    Raises:
        UserError: `output` exists already.
        MissingFileError: the folder of `output` does not exist.
    """
    if output is None:
        path, number = Path(PAGE), 1
        while path.exists():
            number += 1
            path = Path(f"{Path(PAGE).stem}_{number}{Path(PAGE).suffix}")
        return path
    path = Path(output).expanduser()
    if path.exists():
        raise UserError(f"{path} exists already and is not overwritten; give --output another name")
    if not path.parent.is_dir():
        raise MissingFileError(f"no folder {path.parent} for {path.name}; create it, or give --output another path")
    return path
