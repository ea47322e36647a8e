"""Limits the memory that a data file may take, so that a small file cannot fill the memory. `LIT_MODELS_MAX_GB` is the
maximum for any file.

The content of a file may take 100 times the file's size, or 64 MiB if that is more.
"""

import math
import os
from pathlib import Path

from datamodules.errors import UserError

FACTOR = 100
SMALL = 2**26
DEFAULT_GB = 4.0
JSON_FACTOR = 32  # bytes of memory for each byte of a JSON text with the smallest values, such as []
LINE_SHARE = 256  # a line may have 1/256 of the limit: 16 MiB by default


def most_bytes() -> int:
    """Maximum bytes of memory for one data file: `LIT_MODELS_MAX_GB` (in GiB), or 4 GiB.

    Raises:
        UserError: the variable is not a positive number.
    """
    text = os.environ.get("LIT_MODELS_MAX_GB", "")
    try:
        limit = float(text) if text else DEFAULT_GB
        if not 0 < limit < 2**20:
            raise ValueError
    except ValueError as error:
        raise UserError(f"LIT_MODELS_MAX_GB must be a positive number, got {text!r}") from error
    return int(limit * 2**30)


class Budget:
    """Counts the memory that the content of one file takes, and refuses too much.

    Args:
        path: the file, which exists.
        factor: how many times the file's size the content may take.
        streamed: the content is never in memory as a whole, so only `factor` limits it.
    """

    def __init__(self, path: Path, *, factor: int = FACTOR, streamed: bool = False) -> None:
        self.path, self.factor = path, factor
        self.size = path.stat().st_size
        self.relative = max(self.size * factor, SMALL)
        self.absolute = math.inf if streamed else most_bytes()
        self.spent = 0

    def spend(self, num_bytes: int) -> None:
        """Counts memory that will be used.

        Raises:
            UserError: the file takes more than it may.
        """
        self.spent += num_bytes
        if self.spent > self.absolute:
            gigabytes = f"more than {self.absolute / 2**30:.3g} GiB of memory"
            raise UserError(f"{self.path}: reading it takes {gigabytes}; set LIT_MODELS_MAX_GB to a larger number")
        if self.spent > self.relative:
            much = f"more than {self.relative / 2**20:.0f} MiB of memory, from a file of {self.size:,} bytes"
            raise UserError(f"{self.path}: reading it takes {much}; it is damaged, or made to fill the memory")


def longest_line() -> int:
    """Maximum bytes of a line, or of a field of a table."""
    return most_bytes() // LINE_SHARE
