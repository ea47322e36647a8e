"""Times our command line and its rivals on the same work, and writes docs/benchmarks.md with its picture.

    python -m scripts.benchmark                          what is missing from docs/benchmarks/results.jsonl; two hours
    python -m scripts.benchmark --workload cnn xor       two workloads
    python -m scripts.benchmark --rival torch-loop       our command line and one rival
    python -m scripts.benchmark --short                  a few minutes; the page is runs/benchmark.md
    python -m scripts.benchmark --page                   only the page, from the results

Run it in the repository's root on a machine that does nothing else. MNIST and IMDB are read from LIT_MODELS_DATA; a
workload whose data are missing is skipped. Each cell is a process, and adds one line to the results when it ends. You
can interrupt the command at any time; the next call continues.
"""

import argparse
import signal
import sys
from pathlib import Path

from scripts.benchmark.cells import Size, Workload
from scripts.benchmark.plan import chosen, planned
from scripts.benchmark.results import forget, key, read
from scripts.benchmark.runs import cores, run_missing, stay_on, without_data
from scripts.benchmark.workloads import load
from scripts.processes import ROOT

RESULTS: dict[Size, Path] = {
    "full": ROOT / "docs" / "benchmarks" / "results.jsonl",
    "short": ROOT / "runs" / "benchmark" / "results.jsonl",
}
REPETITIONS: dict[Size, int] = {"full": 5, "short": 2}


def main() -> int:
    """Reads the flags, runs what is missing, and writes the page. Returns 1 if a cell failed."""
    workloads = load()
    parser = build_parser(workloads)
    flags = parser.parse_args()
    size: Size = "short" if flags.short else "full"
    path = flags.results or RESULTS[size]
    check(parser, flags, workloads, path)
    succeeded = True
    if not flags.page:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the process of a cell too
        wanted = chosen(workloads, flags.workload, flags.rival, flags.device)
        skipped = without_data(wanted)
        for name, data in skipped.items():
            print(f"skipped: {name}, as LIT_MODELS_DATA is not a folder with {data.upper()}")
        wanted = [w for w in wanted if w.name not in skipped]
        cells = planned(wanted, flags.rival, flags.device, flags.repetitions or REPETITIONS[size])
        if flags.anew:
            outdated = {cell.key(flags.device, size) for cell in cells}
            forget(path, lambda record: key(record) in outdated)
        stay_on(flags.threads)
        succeeded = run_missing(cells, path, device=flags.device, size=size, threads=flags.threads)
    if read(path):
        from scripts.benchmark.page import write_page  # imports matplotlib

        print(f"written: {write_page(read(path), path)}")
    return 0 if succeeded else 1


def check(
    parser: argparse.ArgumentParser, flags: argparse.Namespace, workloads: dict[str, Workload], path: Path
) -> None:
    """Ends the program with one line if a flag is wrong."""
    if unknown := set(flags.workload or ()) - set(workloads):
        parser.error(f"unknown workload {', '.join(sorted(unknown))}; choose from {', '.join(workloads)}")
    rivals = list(dict.fromkeys(e.name for w in workloads.values() for e in w.entries if not e.check))
    if unknown := set(flags.rival or ()) - set(rivals):
        parser.error(f"unknown rival {', '.join(sorted(unknown))}; choose from {', '.join(rivals)}")
    if (flags.repetitions is not None and flags.repetitions < 1) or not 1 <= flags.threads <= cores():
        parser.error(f"--repetitions must be at least 1, and --threads 1 to {cores()}")
    if flags.page and not path.is_file():
        parser.error(f"--page needs results, but there is no file {path}")


def build_parser(workloads: dict[str, Workload]) -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workload", nargs="+", metavar="NAME", help=f"of {', '.join(workloads)}; default: all")
    parser.add_argument("--rival", nargs="+", metavar="NAME", help="rivals beside ours; default: the quick ones")
    parser.add_argument("--repetitions", type=int, help="of each cell; default: 5, and 2 with --short")
    parser.add_argument("--short", action="store_true", help="a part of each epoch, to see that everything runs")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, default=cores(), help="of each process; default: all cores")
    parser.add_argument("--anew", action="store_true", help="run finished cells again")
    parser.add_argument("--page", action="store_true", help="run nothing; write the page from the results")
    parser.add_argument("--results", type=Path, help="results file; the page is beside its folder")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
