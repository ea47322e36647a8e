"""The flags of a command in `cli/commands/`. Parsing them does not import torch."""

import argparse
import re
from typing import NoReturn

from datamodules.errors import UserError
from lit_models.cli.messages import nearest


class FlagParser(argparse.ArgumentParser):
    """The flags of one command. A wrong flag is reported on one line.

    Args:
        module: `__name__` of the command's file; the command has the file's name.
        usage: text after the name on the usage line.
        needed: flags that must be given. They are checked after unknown flags; argparse's own check would hide a typo.
        passes_on: prefixes of the flags that another parser reads; empty if only this parser reads flags.
        examples: command lines for the help screen.
    """

    def __init__(
        self,
        module: str,
        usage: str = "",
        *,
        needed: tuple[str, ...] = (),
        passes_on: tuple[str, ...] = (),
        examples: tuple[str, ...] = (),
    ) -> None:
        command = module.rpartition(".")[2].replace("_", "-")
        super().__init__(prog=command, usage=usage, add_help=False, allow_abbrev=False)
        self.needed, self.passes_on, self.examples = needed, passes_on, examples

    def error(self, message: str) -> NoReturn:
        """Raises a UserError with argparse's message."""
        raise UserError(f"{self.prog}: {message.removeprefix('argument ')}")

    def read(self, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Parses `words`. Returns the settings, and the words for another parser.

        Raises:
            UserError: a flag is unknown (the message has the nearest one), or a value is wrong.
        """
        if words and not self._actions and not self.passes_on:
            raise UserError(f"{self.prog} takes no arguments, got {' '.join(words)}")
        settings, rest = self.parse_known_args(words)
        known = [option for action in self._actions for option in action.option_strings]
        for flag in (word.partition("=")[0] for word in rest if re.match("--?[a-zA-Z]", word)):
            if not flag.startswith(self.passes_on):
                raise UserError(f"unknown flag {flag}{nearest(flag, known)}")
        if rest and not rest[0].startswith("-"):
            raise UserError(f"{self.prog}: unexpected argument {rest[0]!r}")
        missing = [name for name in self.needed if getattr(settings, name.lstrip("-").lower()) is None]
        if missing:
            raise UserError(f"{self.prog}: not given: {', '.join(missing)}")
        return settings, rest

    def rows(self) -> list[tuple[str, str]]:
        """Each flag with the name of its value, and its help text."""
        return [(f"{' '.join(a.option_strings)} {a.metavar}".strip(), a.help or "") for a in self._actions]
