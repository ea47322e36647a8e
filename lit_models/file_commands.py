"""`import-keras` and `export`: their flags, and the way to what they do. Torch is imported once the flags are read."""

import argparse
import re
import sys
from typing import NoReturn

from lit_models.errors import is_users, nearest, one_line

FORMATS = ("keras",)


class FlagParser(argparse.ArgumentParser):
    """Flags of one command, whose mistakes are one line and whose help is a table.

    Args:
        command: its name.
        usage: what follows the name.
    """

    def __init__(self, command: str, usage: str) -> None:
        super().__init__(prog=command, usage=usage, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises ValueError: argparse's message, on one line."""
        plain = message.removeprefix("argument ")
        raise ValueError(f"{self.prog}: {plain.replace('the following arguments are required:', 'not given:')}")

    def read(self, words: list[str]) -> argparse.Namespace:
        """The settings in `words`.

        Raises:
            ValueError: a mistake in a flag; names the nearest.
        """
        known = [option for action in self._actions for option in action.option_strings]
        for flag in (word.partition("=")[0] for word in words if re.match("--?[a-zA-Z]", word)):
            if flag not in known:
                raise ValueError(f"unknown flag {flag}{nearest(flag, known)}")
        settings, rest = self.parse_known_args(words)
        if rest:
            raise ValueError(f"{self.prog}: {rest[0]!r} belongs to no flag")
        return settings

    def rows(self) -> list[tuple[str, str]]:
        """Each flag with its value's name, and what it does."""
        return [(f"{' '.join(a.option_strings)} {a.metavar}".strip(), a.help or "") for a in self._actions]


def import_keras_parser() -> FlagParser:
    """The flags of `import-keras`."""
    parser = FlagParser("import-keras", "FILE [options]")
    parser.add_argument("file", metavar="FILE", help="a model that Keras saved: .keras, or legacy .h5")
    parser.add_argument(
        "--model", metavar="CLASS", help="what it has to be: LitMLP, LitCNN or LitRNN; else its layers tell"
    )
    parser.add_argument("--data", metavar="CLASS", help="data for the config, with --data.NAME VALUE; may be left out")
    parser.add_argument(
        "--dropout", metavar="RATE", type=float, help="the network's dropout in place of the file's rates"
    )
    parser.add_argument(
        "--experiment", metavar="NAME", help="the run's folder is RUNS_DIR/NAME/version_N; the file's name"
    )
    parser.add_argument("--runs_dir", metavar="DIR", default="runs", help="folder of all runs; runs unless given")
    return parser


def export_parser() -> FlagParser:
    """The flags of `export`."""
    parser = FlagParser("export", "--format FORMAT --ckpt_path FILE [options]")
    parser.add_argument("--format", metavar="FORMAT", required=True, type=format_name, help="keras: one .keras file")
    parser.add_argument("--ckpt_path", metavar="FILE", required=True, help="the checkpoint; the model is the one in it")
    parser.add_argument("--output", metavar="FILE", help="a new file; model.keras in the run's folder unless given")
    return parser


def format_name(text: str) -> str:
    """The name of a format.

    Raises:
        argparse.ArgumentTypeError: there is none of that name.
    """
    if text not in FORMATS:
        raise argparse.ArgumentTypeError(f"no format {text!r}{nearest(text, FORMATS)} (known: {', '.join(FORMATS)})")
    return text


PARSERS = {"import-keras": import_keras_parser, "export": export_parser}


def main(command: str, arguments: list[str]) -> int:
    """Runs a command; returns the exit status: 0, or 2 after a mistake of the user's."""
    debug = "--debug" in arguments
    try:
        run(command, [word for word in arguments if word != "--debug"])
    except Exception as error:
        if debug or not is_users(error):
            raise
        print(one_line(error), file=sys.stderr)
        return 2
    return 0


def run(command: str, arguments: list[str]) -> None:
    """Reads the flags and does the work.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in one line.
    """
    words, of_data = data_flags(arguments) if command == "import-keras" else (arguments, [])
    settings = PARSERS[command]().read(words)
    if of_data and settings.data is None:
        raise ValueError(f"{of_data[0].partition('=')[0]} needs --data CLASS")
    if command == "import-keras":
        from lit_models.keras_import import import_keras

        import_keras(settings, of_data)
    else:
        from lit_models.export.formats import export

        export(settings)


def data_flags(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The other words, and the flags `--data.NAME VALUE`, each as one word."""
    others: list[str] = []
    found: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--data."):
            others.append(word)
        elif "=" in word or not rest or rest[0].startswith("--"):
            found.append(word)
        else:
            found.append(f"{word}={rest.pop(0)}")
    return others, found
