"""a script with which your shell completes commands and flags"""

from lit_models import startup
from lit_models.cli.flags import FlagParser

SHELLS = ("bash", "zsh", "fish")


def parser() -> FlagParser:
    """The flags of the command."""
    flags = FlagParser(__name__, "SHELL", needed=("SHELL",), examples=("completion bash",))
    flags.add_argument("shell", nargs="?", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    return flags


def main(words: list[str]) -> int:
    """Prints the script; returns the exit status, 0.

    Raises:
        UserError: a wrong flag, or another shell.
    """
    settings, _ = parser().read(words)
    startup.begin()
    from lit_models.cli.completion import script

    print(script(settings.shell), end="")
    return 0
