"""The interval between checkpoints: a number of steps, or a time such as "30s" or "5min"."""

import re
from dataclasses import dataclass

from datamodules.errors import UserError

UNITS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class SaveEvery:
    """The interval between checkpoints in an epoch.

    Args:
        steps: optimizer steps between two checkpoints, or None.
        seconds: seconds between two checkpoints, or None.
    """

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str | int) -> "SaveEvery":
        """Parses a number of steps, a time, or "epoch" for the ends of epochs only.

        Raises:
            UserError: the text has another form, or the number is not above 0.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", str(text).strip())
        if match and float(match[1]) > 0:
            return cls(seconds=float(match[1]) * UNITS[match[2]])
        if re.fullmatch(r"0*[1-9]\d*", str(text).strip()):
            return cls(steps=int(text))
        if str(text).strip() == "epoch":
            return cls()
        raise UserError(f"save_every is {text!r}, expected steps such as 500, a time such as 30s or 5min, or epoch")
