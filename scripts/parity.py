"""Runs the ported programs and their counterparts here in full, side by side, and writes docs/parity.md.

    python scripts/parity.py                                what docs/parity.jsonl does not hold yet
    python scripts/parity.py --results again/parity.jsonl   all of it anew, hours on 2 cores, and a page beside it
    python scripts/parity.py --only mnist_cnn --seeds 2     two seeds of one program
    python scripts/parity.py --page                         only the page and its pictures, from the results

Needs real MNIST and IMDB (LIT_MODELS_DATA) and `pip install -e '.[parity]'`. Every run is a process of its own on one
core, so that rounding does not depend on what else the machine does. A result is one line of docs/parity.jsonl,
written when its run ends: stop at any time, and start again to go on.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # `scripts` and `tests` are no installed packages
RESULTS = ROOT / "docs" / "parity.jsonl"
PACKAGES = ("torch", "lightning", "numpy", "keras", "tensorflow", "tensorflow-cpu", "jax")
LOCK = threading.Lock()
Run = tuple[str, str, int]
"""Program, side and seed."""


def main() -> None:
    """Reads the flags; does what is missing; writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", metavar="PROGRAM", help="programs by their config's name; all unless given"
    )
    parser.add_argument("--seeds", type=int, help="seeds of each program, from 0; the published number unless given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at the same time; one a core")
    parser.add_argument("--page", action="store_true", help="run nothing; write the page from the results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the results; the page lies beside it")
    parser.add_argument("--run", nargs=4, metavar=("PROGRAM", "SIDE", "SEED", "CORE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        program, side, seed, core = given.run
        stay_on(int(core))
        one(program, side, int(seed), given.results)
        return
    from scripts.parity_sides import PROGRAMS

    if unknown := set(given.only or ()) - set(PROGRAMS):
        parser.error(f"no program {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}")
    if given.jobs < 1 or (given.seeds is not None and given.seeds < 1):
        parser.error("--jobs and --seeds must be at least 1")
    if given.page and not given.results.is_file():
        parser.error(f"no results in {given.results}")
    if not given.page:
        wanted = planned(given.only, given.seeds)
        if any(PROGRAMS[name].backend for name, _, _ in wanted) and "LIT_MODELS_DATA" not in os.environ:
            parser.error("LIT_MODELS_DATA must name the folder that holds MNIST/raw and the IMDB archive")
        given.results.parent.mkdir(parents=True, exist_ok=True)
        do(wanted, given.results, jobs=given.jobs)
    from scripts.parity_page import write_page

    print(f"written: {write_page(read(given.results), given.results)}")


def planned(only: list[str] | None = None, seeds: int | None = None) -> list[Run]:
    """The published runs, or those of some programs and seeds: seed by seed, and the nudged ones last."""
    from scripts.parity_sides import PROGRAMS

    programs = {name: p for name, p in PROGRAMS.items() if name in (only or PROGRAMS)}
    pairs = [
        (name, side, seed)
        for seed in range(max(seeds or p.seeds for p in programs.values()))
        for name, p in programs.items()
        if seed < (seeds or p.seeds)
        for side in ("ours", "paired", "original")
    ]
    return pairs + [(name, "nudged", 0) for name, p in programs.items() if p.nudged]


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far, one a run; a line that a crash cut off counts as not there."""
    found = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def do(wanted: list[Run], path: Path, *, jobs: int) -> None:
    """Runs what is wanted and not done yet."""
    done = {(r["program"], r["side"], r["seed"]) for r in read(path)}
    missing = [run for run in wanted if run not in done]
    print(f"{len(wanted)} runs, {len(wanted) - len(missing)} of them done", flush=True)
    begun = time.perf_counter()
    finished = 0
    free: SimpleQueue[int] = SimpleQueue()
    for core in range(jobs):
        free.put(core)

    def process(run: Run) -> bool:
        nonlocal finished
        core = free.get()
        try:
            ok = child(run, path, core=core)
        finally:
            free.put(core)
        with LOCK:
            finished += 1
            passed = time.perf_counter() - begun
            left = passed / finished * (len(missing) - finished)
            print(
                f"{finished}/{len(missing)} ended after {passed / 60:.0f} min; about {left / 60:.0f} left", flush=True
            )
        return ok

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(process, missing))
    if not all(results):
        failed = [" ".join(map(str, run)) for run, ok in zip(missing, results, strict=True) if not ok]
        raise SystemExit(f"failed: {'; '.join(failed)}")


def child(run: Run, path: Path, *, core: int) -> bool:
    """One run in a process of its own, its epochs shown as they come; whether it ended well."""
    from scripts.parity_sides import PROGRAMS

    one_thread = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    xla = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "TF_CPP_MIN_LOG_LEVEL": "3"}
    backend = PROGRAMS[run[0]].backend
    environment = os.environ | one_thread | xla | ({"KERAS_BACKEND": backend} if backend else {})
    words = [sys.executable, __file__, "--results", str(path.resolve()), "--run", *map(str, run), str(core)]
    name = "{} {}, seed {}".format(*run)
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None, "it is a pipe"
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("epoch"):
                print(f"{name}: {line}", end="", flush=True)
    if process.returncode:
        print(f"{name} failed:\n{''.join(lines[-20:])}", flush=True)
    return process.returncode == 0


def stay_on(core: int) -> None:
    """Keeps this process and its threads on a core, by its place among those that the process may use."""
    if hasattr(os, "sched_setaffinity"):  # on Linux
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def one(program: str, side: Any, seed: int, path: Path) -> None:
    """Runs in this process, and adds the result to the file."""
    import torch

    from lit_models.runs.results import commit
    from scripts.parity_sides import PROGRAMS, run

    torch.set_num_threads(1)
    result = run(PROGRAMS[program], side, seed)
    installed = {d.name.replace("_", "-"): d.version for d in metadata.distributions()}
    versions = {name: installed[name] for name in PACKAGES if name in installed}
    record = {
        "program": program,
        "side": side,
        "seed": seed,
        **result,
        "computed_by": "lit_models" if side in ("ours", "nudged") else PROGRAMS[program].backend or "numpy",
        "commit": commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread a run",
        "versions": {"python": platform.python_version(), **versions},
    }
    cut_off = path.is_file() and not path.read_text().endswith("\n")
    with path.open("a") as file:
        file.write("\n" * cut_off + json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
