"""Which runs the study has, which are missing, and a process for each."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from scripts.parity.programs import PROGRAMS
from scripts.processes import ONE_THREAD, ROOT, provenance

Run = tuple[str, str, int]
"""Program, side and seed."""


def planned(only: list[str] | None = None, seeds: int | None = None) -> list[Run]:
    """The published runs, or those of some programs or seeds. Ordered by seed; the nudged runs are last."""
    programs = {name: p for name, p in PROGRAMS.items() if name in (only or PROGRAMS)}
    runs = [
        (name, side, seed)
        for seed in range(max(seeds or p.seeds for p in programs.values()))
        for name, p in programs.items()
        if seed < (seeds or p.seeds)
        for side in ("ours", "paired", "original")
    ]
    return runs + [(name, "nudged", 0) for name, p in programs.items() if p.nudged]


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far, one for each run. A line that an interrupted process left incomplete is skipped."""
    results = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        with contextlib.suppress(json.JSONDecodeError):
            results.append(json.loads(line))
    return results


def run_missing(wanted: list[Run], path: Path, *, jobs: int) -> None:
    """Runs all of `wanted` that have no result yet, `jobs` at the same time.

    Raises:
        SystemExit: a run failed; the message names each.
    """
    done = {(r["program"], r["side"], r["seed"]) for r in read(path)}
    missing = [run for run in wanted if run not in done]
    print(f"{len(wanted)} runs, {len(wanted) - len(missing)} of them done", flush=True)
    began = time.perf_counter()
    lock = threading.Lock()
    finished = 0
    free_cores: SimpleQueue[int] = SimpleQueue()
    for core in range(jobs):
        free_cores.put(core)

    def process(run: Run) -> bool:
        nonlocal finished
        core = free_cores.get()
        try:
            succeeded = run_in_process(run, path, core=core)
        finally:
            free_cores.put(core)
        with lock:
            finished += 1
            minutes = (time.perf_counter() - began) / 60
            left = minutes / finished * (len(missing) - finished)
            print(f"{finished}/{len(missing)} ended after {minutes:.0f} min; about {left:.0f} min left", flush=True)
        return succeeded

    with ThreadPoolExecutor(jobs) as pool:
        succeeded = list(pool.map(process, missing))
    if not all(succeeded):
        failed = [" ".join(map(str, run)) for run, ok in zip(missing, succeeded, strict=True) if not ok]
        raise SystemExit(f"failed: {'; '.join(failed)}")


def run_in_process(run: Run, path: Path, *, core: int) -> bool:
    """Starts one run in a new process and prints its epochs. Returns whether the run succeeded."""
    backend = PROGRAMS[run[0]].backend
    environment = os.environ | ONE_THREAD | ({"KERAS_BACKEND": backend} if backend else {})
    command = [sys.executable, "-m", "scripts.parity", "--results", str(path.resolve())]
    command += ["--run", *map(str, run), str(core)]
    name = "{} {}, seed {}".format(*run)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
    """Binds this process to one core, given as an index into the cores that the process may use."""
    if hasattr(os, "sched_setaffinity"):  # on Linux
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def run_one(program: str, side: Any, seed: int, path: Path) -> None:
    """Runs in this process and appends the result to the file."""
    import torch  # after the process is bound to its core

    from scripts.parity.sides import run

    torch.set_num_threads(1)
    result = run(PROGRAMS[program], side, seed)
    record = {
        "program": program,
        "side": side,
        "seed": seed,
        **result,
        "computed_by": "lit_models" if side in ("ours", "nudged") else PROGRAMS[program].backend or "numpy",
        **provenance(),
    }
    incomplete = path.is_file() and not path.read_text().endswith("\n")
    with path.open("a") as file:
        file.write("\n" * incomplete + json.dumps(record) + "\n")
