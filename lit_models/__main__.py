"""The entry point: finds the command and runs it. Only the commands import torch."""

import argparse
import os
import sys

from datamodules.errors import UserError
from lit_models import startup
from lit_models.cli.commands import load
from lit_models.cli.configs import find_config, read_config
from lit_models.cli.help import COMMANDS, PROGRAM, TRAINER_COMMANDS, flags_help, help_screen, trainer_help
from lit_models.cli.messages import is_users, nearest, one_line


def main(argv: list[str] | None = None) -> int:
    """Runs `argv`, or the arguments of the process if it is None.

    Returns:
        The exit status: 0; 1 if `doctor` reports a fault or `reproduce` different numbers; 2 after a mistake of the
            user; 3 if `predict` cannot read some inputs; 130 after Ctrl-C.
    """
    startup.is_program = argv is None
    try:
        status = dispatch(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()  # raises BrokenPipeError here if the pipe is closed
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # a reader such as `head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def dispatch(argv: list[str]) -> int:
    """Finds the command and runs it; returns the exit status."""
    options, words = front_parser().parse_known_args(argv)
    if options.version:
        from lit_models.cli.metadata import version

        print(f"lit-models {version()}")
        return 0
    if not words or words == ["help"]:
        print(help_screen())
        return 0
    command, *arguments = words
    if command.startswith("-"):
        configs, rest = split_configs(words)
        command = rest[0] if rest else ""
        if command and not command.startswith("-") and command not in COMMANDS:
            return refuse(unknown(command))
        if not command and has_sections(configs):
            return refuse(f"the command is missing: {PROGRAM} {' '.join(argv)} fit")
        if command not in TRAINER_COMMANDS:
            return refuse(f"the command comes before its options: {PROGRAM} {' '.join(command_first(argv))}")
    if command not in COMMANDS:
        return refuse(unknown(command))
    if command not in TRAINER_COMMANDS:
        return other_command(command, arguments, show_help=options.help, debug=options.debug)
    if options.help:
        print(trainer_help(command))
        return 0
    return trainer_command([*words, *(["--help"] if options.help_all else [])], debug=options.debug)


def front_parser() -> argparse.ArgumentParser:
    """Parses the options of the whole program, wherever they are in the command line."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in (("-h", "--help"), ("--help-all",), ("--version",), ("--debug",)):
        parser.add_argument(*names, action="store_true")
    return parser


def split_configs(words: list[str]) -> tuple[list[str], list[str]]:
    """Separates the `--config` files before the command from the other words."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    try:
        options, rest = parser.parse_known_args(words)
    except argparse.ArgumentError:
        return [], []
    return options.config, rest


def has_sections(names: list[str]) -> bool:
    """Whether one of the configs has a section for each command."""
    try:
        return any(COMMANDS.keys() & read_config(find_config(name)).content.keys() for name in names)
    except UserError:  # the command reports the problem of the file
        return False


def unknown(command: str) -> str:
    """The message for a command that does not exist."""
    hint = nearest(command, COMMANDS) or f"; there are {', '.join(COMMANDS)}"
    return f"unknown command {command!r}{hint}"


def refuse(message: str) -> int:
    """Prints an error on one line; returns the exit status 2."""
    print(f"error: {message}", file=sys.stderr)
    return 2


def command_first(argv: list[str]) -> list[str]:
    """Puts the command before its options; the command is `fit` if there is none."""
    command = next((word for word in argv if word in COMMANDS), "fit")
    rest = list(argv)
    if command in rest:
        rest.remove(command)
    return [command, *rest]


def trainer_command(words: list[str], *, debug: bool) -> int:
    """Runs a command of the Trainer; returns the exit status."""
    find_users_modules()
    join_others()
    startup.begin()
    from lit_models.cli.app import main as run

    return run(words, debug=debug)


def other_command(command: str, words: list[str], *, show_help: bool, debug: bool) -> int:
    """Runs a command of `cli/commands/`, or shows its help; returns the exit status."""
    find_users_modules()
    join_others()
    loaded = load(command)
    if show_help:
        print(flags_help(loaded.parser()))
        return 0
    try:
        return loaded.main(words)
    except Exception as error:
        if debug or not is_users(error):
            raise
        print(one_line(error), file=sys.stderr)
        return 2


def join_others() -> None:
    """Starts to watch the other processes of this run. They may end while this one imports torch."""
    if "LOCAL_RANK" in os.environ:
        from lit_models.runs import processes

        processes.join()


def find_users_modules() -> None:
    """Adds the current folder to the import path, as `python -m` does, so that a my_model.py there is found."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


if __name__ == "__main__":
    sys.exit(main())
