"""What the tests of faults share: how many faults they try, and the record of what became of each."""

import json
import os
from pathlib import Path
from typing import TypeVar

import pytest

from tests.strangers.conftest import stranger

__all__ = ["stranger"]
Item = TypeVar("Item")


class Faults:
    """How many faults are tried, and the figures for `docs/reliability.md`.

    Args:
        report: file that gets a line of JSON for each test; None in a default run, which tries a few faults.
    """

    def __init__(self, report: Path | None) -> None:
        self.report = report

    def sample(self, every: list[Item], few: int) -> list[Item]:
        """All items in a full run; `few` of them, spread evenly, in a default run."""
        if self.report is not None or few >= len(every):
            return every
        return [every[round(i * (len(every) - 1) / max(1, few - 1))] for i in range(few)]

    def record(self, promise: str, fault: str, *, tried: int, kept: int) -> None:
        """Notes how many of the faults that were tried have kept the promise, and fails unless all have."""
        if self.report is not None:
            with self.report.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"promise": promise, "fault": fault, "tried": tried, "kept": kept}) + "\n")
        assert kept == tried, f"{fault}: {kept} of {tried}"


@pytest.fixture
def faults() -> Faults:
    """The record of this run; `make faults` names its file."""
    report = os.environ.get("LIT_MODELS_FAULTS")
    return Faults(Path(report) if report else None)
