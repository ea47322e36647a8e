"""Our command line, first alone and then twice at the same time on the same cores."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.benchmark.cells import Job
from scripts.benchmark.rivals import ours
from scripts.processes import ROOT


def run(job: Job) -> dict[str, Any]:
    """Seconds of training of one run alone, and of the slower of two runs at the same time."""
    (alone,) = at_once(job, 1)
    beside = at_once(job, 2)
    return {"fit": alone, "beside": max(beside), "slowdown": max(beside) / alone}


def at_once(job: Job, number: int) -> list[float]:
    """Starts a number of equal runs together; returns the seconds of training of each."""
    jobs = [replace(job, folder=f"{job.folder}/{number}_{i}") for i in range(number)]
    for one in jobs:
        Path(one.folder).mkdir()
    started = [
        subprocess.Popen(ours.command(one), cwd=ROOT, env=dict(os.environ), stdout=subprocess.DEVNULL) for one in jobs
    ]
    statuses = [process.wait() for process in started]
    if any(statuses):
        raise RuntimeError("a run failed")
    reports = [next(Path(one.folder).glob("runs/*/*/results.json")) for one in jobs]
    return [float(json.loads(path.read_text(encoding="utf-8"))["seconds"]["fit"]) for path in reports]
