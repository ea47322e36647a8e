"""Measures what each difference between Keras and PyTorch costs if a port ignores it. Updates docs/porting.md.

    python -m scripts.porting                         what is missing from docs/porting.json
    python -m scripts.porting --only mnist --seeds 1  one measurement with one seed
    python -m scripts.porting --page                  only the page's tables, from the results

Run it in the repository's root. It needs Keras with TensorFlow, and real MNIST and IMDB in LIT_MODELS_DATA.
`KERAS_BACKEND` chooses another backend. Each measurement is a process with one thread, so that rounding does not depend
on other programs. All measurements took 97 minutes on 2 cores. A result is saved to docs/porting.json when its
measurement ends. You can interrupt the command at any time; the next call continues. The text of the page is written by
hand. The command only writes the tables between the page's markers.
"""

import argparse
import os
from pathlib import Path

from scripts.porting.runs import MEASURES, measure_in_process, read, run_one
from scripts.processes import ROOT

RESULTS = ROOT / "docs" / "porting.json"
SEEDS = 3


def main() -> None:
    """Reads the flags, measures what is missing, and writes the tables."""
    parser = build_parser()
    flags = parser.parse_args()
    if flags.run:
        run_one(flags.run[0], int(flags.run[1]), flags.results)
        return
    if unknown := set(flags.only or ()) - set(MEASURES):
        parser.error(f"unknown measurement {', '.join(sorted(unknown))}; choose from {', '.join(MEASURES)}")
    if flags.seeds < 1:
        parser.error("--seeds must be at least 1")
    if not flags.page:
        if "LIT_MODELS_DATA" not in os.environ:
            parser.error("set LIT_MODELS_DATA to the folder that holds MNIST/raw and the IMDB archive")
        for name in flags.only or MEASURES:
            for seed in range(flags.seeds):
                measure_in_process(name, seed, flags.results)
    page = flags.results.with_suffix(".md")
    missing = [name for name in MEASURES if name not in read(flags.results)]
    if missing or not page.is_file():
        needs = f"results of {', '.join(missing)}" if missing else f"its text in {page}"
        if flags.page:
            parser.error(f"the page needs {needs}")
        print(f"no page written: it needs {needs}")
        return
    from scripts.porting.page import write_page

    print(f"written: {write_page(read(flags.results), page)}")


def build_parser() -> argparse.ArgumentParser:
    """The flags. `--run` is internal: it is how this command starts the process of a measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.porting", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; default: all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="number of seeds, from 0; default: %(default)s")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the tables from the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="results file; the page is beside it")
    parser.add_argument("--run", nargs=2, metavar=("MEASURE", "SEED"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
