"""Runs the cells that have no result yet, one after the other, and shows the progress."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmark.cells import Cell, Device, Size, Workload
from scripts.benchmark.plan import missing_cells, seconds_left
from scripts.benchmark.process import run_cell
from scripts.benchmark.results import append, read
from scripts.processes import ROOT


def without_data(workloads: Sequence[Workload]) -> dict[str, str]:
    """The workloads that cannot run, each with the data that are missing in LIT_MODELS_DATA."""
    folder = Path(os.environ.get("LIT_MODELS_DATA") or "no folder")
    available = {
        "mnist": any(folder.glob("MNIST/raw/*")),
        "imdb": any((folder / name).exists() for name in ("aclImdb_v1.tar.gz", "aclImdb")),
        "": True,
    }
    return {w.name: w.needs for w in workloads if not available[w.needs]}


def run_missing(cells: Sequence[Cell], path: Path, *, device: Device, size: Size, threads: int) -> bool:
    """Runs all cells that have no numbers in the file `path`. Returns whether none failed.

    Raises:
        SystemExit: the data cannot be prepared.
    """
    missing = missing_cells(cells, read(path), device, size)
    print(f"{len(cells)} cells, {len(cells) - len(missing)} of them done", flush=True)
    if not missing:
        return True
    forecast = seconds_left(missing, read(path), device, size)
    print(f"about {forecast / 60:.0f} min on two idle cores; {threads} threads a process, on {device}", flush=True)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        machine = prepare(Path(folder), missing, device)
        for i, cell in enumerate(missing):
            numbers = run_cell(
                cell,
                device=device,
                size=size,
                threads=threads,
                data=Path(folder),
                has_bfloat16=machine.get("has_bfloat16", True),
            )
            names = ("device", "size", "workload", "rival", "repetition")
            record = dict(zip(names, cell.key(device, size), strict=True))
            append(path, {**record, **machine, "threads": threads, **shown(numbers), "time": round(time.time())})
            failures += "failed" in numbers
            left = seconds_left(missing[i + 1 :], read(path), device, size) / 60
            print(f"[{i + 1}/{len(missing)}] {line(cell, numbers)}; about {left:.0f} min left", flush=True)
    return not failures


def shown(numbers: dict[str, Any]) -> dict[str, Any]:
    """Numbers with six digits, without the standard error of the process."""
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in numbers.items()
        if name != "errors"
    }


def line(cell: Cell, numbers: dict[str, Any]) -> str:
    """The result of a cell, for the screen."""
    name = f"{cell.workload.name}, {cell.entry.name}" + (f", {cell.repetition}" if cell.repetition else "")
    if "missing" in numbers:
        return f"{name}: missing ({numbers['missing']})"
    if "failed" in numbers:
        return f"{name}: failed\n{numbers['errors']}\n{name} failed"
    return f"{name}: {numbers['seconds']:.1f} s"


def prepare(folder: Path, cells: Sequence[Cell], device: Device) -> dict[str, Any]:
    """Prepares the data once, in a separate process. Returns the record of the machine.

    Raises:
        SystemExit: it failed, or there is no GPU.
    """
    print("preparing the data …", flush=True)
    needs = {need for cell in cells for need in cell.workload.prepares}
    command = [sys.executable, "-m", "scripts.benchmark.prepare", str(folder), device, *sorted(needs)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit("the data could not be prepared")
    machine: dict[str, Any] = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    if device == "cuda" and not machine["gpu"]:
        raise SystemExit("--device cuda: PyTorch finds no GPU here")
    return machine


def stay_on(threads: int) -> None:
    """Binds this process and its child processes to as many cores as a cell has threads."""
    if hasattr(os, "sched_setaffinity"):  # on Linux
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
