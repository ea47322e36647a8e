"""Errors that a user can cause and correct: in a flag, a config, a file or a dataset.

The command line prints such an error on one line and exits with status 2. Any other exception is a fault of the program
or of a library, and keeps its traceback.
"""

from collections.abc import Sequence

SHOWN = 5
"""Names that a message lists."""


class UserError(ValueError):
    """A mistake in the user's input. The message says what is wrong, where, and what to type instead."""


class MissingFileError(UserError, FileNotFoundError):
    """A file, folder, dataset or checkpoint that the user named cannot be found or downloaded."""


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are, for a message."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def require_at_least(minimum: int, **settings: int) -> None:
    """Checks that each setting is `minimum` or more.

    Raises:
        UserError: a value is smaller; the message names the setting.
    """
    for name, value in settings.items():
        if not value >= minimum:
            raise UserError(f"{name} must be at least {minimum}, got {value}")


def require_fraction(**settings: float) -> None:
    """Checks that each setting is 0 or more and below 1.

    Raises:
        UserError: a value is out of this range; the message names the setting.
    """
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise UserError(f"{name} is a fraction, 0 or more and below 1, got {value}")
