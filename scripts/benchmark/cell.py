"""`python -m scripts.benchmark.cell job.json`: computes one cell of a rival in this process."""

import json
import sys
from importlib import import_module

from scripts.benchmark.cells import Job, MissingRival


def main() -> None:
    """Runs the job, and writes its numbers, or the reason why the rival cannot run here."""
    job = Job.read(sys.argv[1])
    rival = import_module(f"scripts.benchmark.rivals.{job.module}")
    try:
        numbers = rival.run(job)
    except MissingRival as reason:
        numbers = {"missing": str(reason)}
    job.result.write_text(json.dumps(numbers), encoding="utf-8")


if __name__ == "__main__":
    main()
