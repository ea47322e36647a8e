"""Reads and writes the results file, and runs each measurement in a process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts.processes import ONE_THREAD, ROOT, provenance

MEASURES = ("mnist", "simple", "gates", "steps", "xor", "nudged")


def read(path: Path) -> dict[str, Any]:
    """The results so far: measurement -> seed -> numbers."""
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return results


def measure_in_process(name: str, seed: int, path: Path) -> None:
    """Runs one measurement in a new process, unless the file has its result.

    Raises:
        SystemExit: the measurement failed.
    """
    if str(seed) in read(path).get(name, {}):
        return
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    command = [sys.executable, "-m", "scripts.porting", "--results", str(path.resolve()), "--run", name, str(seed)]
    environment = os.environ | ONE_THREAD | {"KERAS_BACKEND": backend}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise SystemExit(f"failed: {name} {seed}")
    print(f"{name}, seed {seed}: {read(path)[name][str(seed)]['seconds']} s", flush=True)


def run_one(name: str, seed: int, path: Path) -> None:
    """Measures in this process and adds the result to the file.

    Raises:
        SystemExit: there is no such measurement.
    """
    if name not in MEASURES:
        raise SystemExit(f"unknown measurement {name}; choose from {', '.join(MEASURES)}")
    import torch

    from scripts.porting.measures import FUNCTIONS

    torch.set_num_threads(1)
    began = time.perf_counter()
    numbers = FUNCTIONS[name](seed)
    seconds = round(time.perf_counter() - began, 1)
    results = read(path)
    results.setdefault(name, {})[str(seed)] = {**numbers, "seconds": seconds, **provenance()}
    path.write_text(json.dumps(results, indent=1) + "\n")
