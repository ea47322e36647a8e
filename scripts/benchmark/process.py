"""Runs one cell in a separate process, and measures it from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scripts.benchmark.cells import Cell, Device, Job, Size, needs_bfloat16
from scripts.benchmark.clock import CLOCK_FILE, STARTED, STEP_CLOCK
from scripts.processes import ROOT

LONGEST = 1800
"""Seconds after which a cell is stopped, and counts as failed."""
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes per unit of `ru_maxrss`."""
OWN = ("GOMP_", "OMP_", "KMP_", "MALLOC_", "GLIBC_TUNABLES", "KERAS_BACKEND", "LIT_MODELS_KERNELS", "XLA_FLAGS")
"""Prefixes of environment variables that are removed for a cell, because they change what is measured."""


def missing(cell: Cell, *, has_bfloat16: bool) -> str | None:
    """Why the rival cannot run here, or None: a package that is not installed, or no instructions for bfloat16."""
    if needs_bfloat16(cell.entry.options) and not has_bfloat16:
        return "the processor has no instructions for bfloat16, and takes many times as long with it"
    absent = [name for name in cell.entry.packages if find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def run_cell(
    cell: Cell, *, device: Device, size: Size, threads: int, data: Path, has_bfloat16: bool = True
) -> dict[str, Any]:
    """The numbers of a cell; "missing" or "failed" with the reason if there are none."""
    if reason := missing(cell, has_bfloat16=has_bfloat16):
        return {"missing": reason}
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            workload=cell.workload.name,
            rival=cell.entry.name,
            module=cell.entry.module,
            options=dict(cell.entry.options),
            settings=cell.workload.settings_of(size),
            device=device,
            threads=threads,
            repetition=cell.repetition,
            data=str(data),
            folder=folder,
        )
        return run_job(job, cell.entry.environment, own_program=cell.entry.command)


def run_job(job: Job, extra: Mapping[str, str], *, own_program: bool) -> dict[str, Any]:
    """Runs a job.

    Args:
        job: the job.
        extra: environment variables of the process.
        own_program: whether the rival's file has the command of a separate program.
    """
    program: Any = import_module(f"scripts.benchmark.rivals.{job.module}") if own_program else None
    command = [sys.executable, "-m", "scripts.benchmark.cell", str(job.write())]
    command = program.command(job) if program else command
    measured, lines, errors = measure(command, environment(job, extra), Path(job.folder))
    if measured.pop("status"):
        return {"failed": last_line(errors), "errors": errors[-3000:], **measured}
    try:
        numbers = program.read(job, lines) if program else json.loads(job.result.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError) as error:
        return {"failed": f"its numbers cannot be read: {error!r}", "errors": errors[-3000:], **measured}
    return {**measured, **numbers}


def environment(job: Job, extra: Mapping[str, str]) -> dict[str, str]:
    """Environment variables of a process: the user's without those that change what is measured, and some of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    threads = str(job.threads)
    ours = {
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), threads),
        "TF_NUM_INTRAOP_THREADS": threads,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        STEP_CLOCK: str(Path(job.folder) / CLOCK_FILE),
        STARTED: repr(time.time()),
    }
    return {**kept, **ours, **({"CUDA_VISIBLE_DEVICES": ""} if job.device == "cpu" else {}), **extra}


def measure(
    command: list[str], environment: Mapping[str, str], folder: Path
) -> tuple[dict[str, Any], list[tuple[float, str]], str]:
    """Runs a command. Returns its exit status, seconds, CPU seconds and largest memory; its output lines with their
    times in seconds; and its standard error."""
    lines: list[tuple[float, str]] = []
    with (folder / "errors.txt").open("w+", encoding="utf-8", errors="replace") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        timer = threading.Timer(LONGEST, stop, [process.pid])
        timer.start()
        assert process.stdout is not None, "it is a pipe"
        try:
            with process.stdout:
                lines += ((time.perf_counter() - began, line) for line in process.stdout)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            stop(process.pid)
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - began
        errors.seek(0)
        text = errors.read()
    cpu_seconds, bytes_ = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT
    numbers = {"status": process.returncode, "seconds": seconds, "cpu_seconds": cpu_seconds, "gigabytes": bytes_ / 1e9}
    return numbers, lines, text


def stop(pid: int) -> None:
    """Kills a process that `measure` has started, and its child processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def last_line(text: str) -> str:
    """The last line that is not empty, at most 200 characters."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")[:200]
