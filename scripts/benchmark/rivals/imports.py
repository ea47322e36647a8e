"""A process that only imports a package."""

import sys
from typing import Any

from scripts.benchmark.cells import Job


def command(job: Job) -> list[str]:
    """Python with one import."""
    return [sys.executable, "-c", f"import {job.options['package']}; print('imported')"]


def read(job: Job, lines: list[tuple[float, str]]) -> dict[str, Any]:
    """The time at which the import ended."""
    return {"first_step": lines[-1][0]}
