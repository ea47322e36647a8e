"""The commands that do not use the Trainer, one file per command.

The file `my_name.py` is the command `my-name`, and the first line of its docstring is its line on the help screen. It
has the two functions of `Command`. Torch is imported only inside `main`, so that help and wrong flags need no torch.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from lit_models.cli.flags import FlagParser


class Command(Protocol):
    """The functions in the file of a command."""

    def parser(self) -> FlagParser:
        """The flags of the command, and examples for its help screen."""
        ...

    def main(self, words: list[str]) -> int:
        """Parses `words` and runs the command; returns the exit status.

        Raises:
            UserError: a mistake of the user.
        """
        ...


def summaries() -> dict[str, str]:
    """The summary of each command, by name. The files are read, and not imported."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    documents = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    return {name.replace("_", "-"): (text or "").partition("\n")[0] for name, text in documents.items()}


def load(name: str) -> Command:
    """A command by its name."""
    return cast(Command, import_module(f"{__name__}.{name.replace('-', '_')}"))
