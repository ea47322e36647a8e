"""The flags of the commands on files and run folders. Torch is imported only after the flags were read."""

import argparse
import re
import sys
from typing import NoReturn

from datamodules.errors import UserError
from lit_models.cli.help import file_command_help
from lit_models.cli.messages import is_users, nearest, one_line
from lit_models.export.formats import FORMATS
from lit_models.keras.adapters import ADAPTERS


class FlagParser(argparse.ArgumentParser):
    """The flags of one command. A wrong flag is reported on one line; the help is a table.

    Args:
        command: name of the command.
        usage: what follows the name on the usage line.
        needed: flags that must be given; they are checked after unknown flags, as argparse's own check hides a typo.
    """

    def __init__(self, command: str, usage: str, *, needed: tuple[str, ...]) -> None:
        super().__init__(prog=command, usage=usage, add_help=False, allow_abbrev=False)
        self.needed = needed

    def error(self, message: str) -> NoReturn:
        """Raises a UserError with argparse's message."""
        raise UserError(f"{self.prog}: {message.removeprefix('argument ')}")

    def read(self, words: list[str], *, passes_on: str | None = None) -> tuple[argparse.Namespace, list[str]]:
        """The settings in `words`, and the words that another parser reads.

        Args:
            words: what was typed.
            passes_on: beginning of the flags that another parser reads, with their values; None for no such flags.

        Raises:
            UserError: an unknown flag, with the nearest known one, or a wrong value.
        """
        settings, rest = self.parse_known_args(words)
        known = [option for action in self._actions for option in action.option_strings]
        for flag in (word.partition("=")[0] for word in rest if re.match("--?[a-zA-Z]", word)):
            if passes_on is None or not flag.startswith(passes_on):
                raise UserError(f"unknown flag {flag}{nearest(flag, known)}")
        if rest and not rest[0].startswith("-"):
            raise UserError(f"{self.prog}: unexpected argument {rest[0]!r}")
        missing = [name for name in self.needed if getattr(settings, name.lstrip("-").lower()) is None]
        if missing:
            raise UserError(f"{self.prog}: not given: {', '.join(missing)}")
        return settings, rest

    def rows(self) -> list[tuple[str, str]]:
        """Each flag with the name of its value, and what it does."""
        return [(f"{' '.join(a.option_strings)} {a.metavar}".strip(), a.help or "") for a in self._actions]


def import_keras_parser() -> FlagParser:
    """The flags of `import-keras`."""
    parser = FlagParser("import-keras", "FILE [options]", needed=("FILE",))
    parser.add_argument("file", nargs="?", metavar="FILE", help="a model that Keras saved: .keras, or legacy .h5")
    parser.add_argument(
        "--model", metavar="CLASS", help=f"network: {', '.join(ADAPTERS)}; recognised by its layers unless given"
    )
    parser.add_argument("--data", metavar="CLASS", help="data for the config, with --data.NAME VALUE; optional")
    parser.add_argument(
        "--dropout", metavar="RATE", type=float, help="rate of dropout that replaces all rates of the file"
    )
    parser.add_argument(
        "--experiment", metavar="NAME", help="the run folder is RUNS_DIR/NAME/version_N; the file's name unless given"
    )
    parser.add_argument("--runs_dir", metavar="DIR", default="runs", help="folder of all runs; runs unless given")
    return parser


def export_parser() -> FlagParser:
    """The flags of `export`."""
    formats = "; ".join(f"{name}: {known.summary}" for name, known in FORMATS.items())
    parser = FlagParser("export", "--format FORMAT --ckpt_path FILE [options]", needed=("--format", "--ckpt_path"))
    parser.add_argument("--format", metavar="FORMAT", type=format_name, help=formats)
    parser.add_argument("--ckpt_path", metavar="FILE", help="checkpoint with the model")
    parser.add_argument("--output", metavar="FILE", help="a new file; in the run folder unless given")
    return parser


def reproduce_parser() -> FlagParser:
    """The flags of `reproduce`."""
    parser = FlagParser("reproduce", "RUN [options]", needed=("RUN",))
    parser.add_argument("run", nargs="?", metavar="RUN", help="folder of a finished run, such as runs/x/version_0")
    parser.add_argument(
        "--runs_dir", metavar="DIR", help="folder of all runs for the new one; that of RUN unless given"
    )
    return parser


def format_name(text: str) -> str:
    """The name of a format.

    Raises:
        argparse.ArgumentTypeError: the format does not exist.
    """
    if text not in FORMATS:
        raise argparse.ArgumentTypeError(f"no format {text!r}{nearest(text, FORMATS)} (known: {', '.join(FORMATS)})")
    return text


PARSERS = {"import-keras": import_keras_parser, "export": export_parser, "reproduce": reproduce_parser}


def main(command: str, words: list[str], *, show_help: bool = False, debug: bool = False) -> int:
    """Runs a command, or shows its help; returns its exit status, or 2 after a mistake of the user's."""
    if show_help:
        parser = PARSERS[command]()
        print(file_command_help(command, str(parser.usage), parser.rows()))
        return 0
    try:
        return run(command, words)
    except Exception as error:
        if debug or not is_users(error):
            raise
        print(one_line(error), file=sys.stderr)
        return 2


def run(command: str, words: list[str]) -> int:
    """Reads the flags and does the work; returns the exit status.

    Raises:
        UserError: a wrong flag or file.
    """
    if command == "import-keras":
        settings, data_words = import_keras_parser().read(words, passes_on="--data.")
        if data_words and settings.data is None:
            raise UserError(f"{data_words[0].partition('=')[0]} needs --data CLASS")
        from lit_models.cli.import_keras import import_keras

        import_keras(settings, data_words)
    elif command == "reproduce":
        settings, fit_words = reproduce_parser().read(words, passes_on="--trust")
        from lit_models.cli.reproduce import reproduce

        return reproduce(settings, fit_words)
    else:
        settings, _ = export_parser().read(words)
        from lit_models.cli.export import export

        export(settings)
    return 0
