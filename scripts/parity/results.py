"""The results of one program, sorted by side and paired by seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.parity.programs import Program

Run = dict[str, Any]
"""A line of the results file."""
SIDES = ("ours", "paired", "original", "nudged")


class Results:
    """The runs of one program.

    Args:
        program: the program.
        runs: results of all programs.
    """

    def __init__(self, program: Program, runs: Sequence[Run]) -> None:
        self.program = program
        own = sorted((r for r in runs if r["program"] == program.config), key=lambda r: int(r["seed"]))
        self.sides = {side: [r for r in own if r["side"] == side] for side in SIDES}

    def pairs(self, other: str = "paired") -> list[tuple[Run, Run]]:
        """Our run and the other side's run for each seed that both have."""
        theirs = {r["seed"]: r for r in self.sides[other]}
        return [(r, theirs[r["seed"]]) for r in self.sides["ours"] if r["seed"] in theirs]

    def accuracies(self, side: str) -> list[float]:
        """Test accuracy of each run of a side, as a fraction."""
        return [r["test"]["acc"] for r in self.sides[side]]


def loss_differences(theirs: Run, ours: Run) -> NDArray[np.float64]:
    """Difference of the losses at each step that both runs recorded."""
    return np.array([a - b for a, b in zip(theirs["steps"], ours["steps"], strict=False)])
