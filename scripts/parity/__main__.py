"""Trains the original programs and our counterparts side by side, and writes docs/parity.md.

    python -m scripts.parity                                what is missing from docs/parity.jsonl
    python -m scripts.parity --results again/parity.jsonl   everything again, hours on 2 cores; the page is beside it
    python -m scripts.parity --only mnist_cnn --seeds 2     one program with two seeds
    python -m scripts.parity --page                         only the page and its pictures, from the results

Run it in the repository's root. It needs `pip install -e '.[parity]'` and real MNIST and IMDB in LIT_MODELS_DATA. Each
run is a process with one thread on one core, so that rounding does not depend on other programs. A run adds one line to
docs/parity.jsonl when it ends. You can interrupt the command at any time; the next call continues.
"""

import argparse
import os
from pathlib import Path

from scripts.parity.programs import PROGRAMS
from scripts.parity.runs import planned, read, run_missing, run_one, stay_on
from scripts.processes import ROOT

RESULTS = ROOT / "docs" / "parity.jsonl"


def main() -> None:
    """Reads the flags, runs what is missing, and writes the page."""
    parser = build_parser()
    flags = parser.parse_args()
    if flags.run:
        program, side, seed, core = flags.run
        stay_on(int(core))
        run_one(program, side, int(seed), flags.results)
        return
    if unknown := set(flags.only or ()) - set(PROGRAMS):
        parser.error(f"unknown program {', '.join(sorted(unknown))}; choose from {', '.join(PROGRAMS)}")
    if flags.jobs < 1 or (flags.seeds is not None and flags.seeds < 1):
        parser.error("--jobs and --seeds must be at least 1")
    if flags.page and not flags.results.is_file():
        parser.error(f"--page needs results, but there is no file {flags.results}")
    if not flags.page:
        wanted = planned(flags.only, flags.seeds)
        if any(PROGRAMS[name].backend for name, _, _ in wanted) and "LIT_MODELS_DATA" not in os.environ:
            parser.error("set LIT_MODELS_DATA to the folder that holds MNIST/raw and the IMDB archive")
        flags.results.parent.mkdir(parents=True, exist_ok=True)
        run_missing(wanted, flags.results, jobs=flags.jobs)
    from scripts.parity.page import write_page  # imports matplotlib and scipy

    print(f"written: {write_page(read(flags.results), flags.results)}")


def build_parser() -> argparse.ArgumentParser:
    """The flags. `--run` is internal: it is how this command starts the process of a run."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="PROGRAM", help="names of configs; default: all programs")
    parser.add_argument("--seeds", type=int, help="number of seeds of each program, from 0; default: as published")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at the same time; default: cores")
    parser.add_argument("--page", action="store_true", help="run nothing; write the page from the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="results file; the page is written beside it")
    parser.add_argument("--run", nargs=4, metavar=("PROGRAM", "SIDE", "SEED", "CORE"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
