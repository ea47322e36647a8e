"""Our command line, as a user runs it: `python -m lit_models fit …` or `predict …`."""

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from scripts.benchmark.cells import Job
from scripts.benchmark.clock import CLOCK_FILE
from scripts.benchmark.encoder import checkpoint_folder
from scripts.benchmark.tokens import tokens_of

EPOCH = re.compile(r"epoch +\d+/\d+ ")
"""Beginning of the line that the program prints when an epoch has ended."""
CLOCK = "scripts.benchmark.step_clock.StepClock"
LIMITS = {"batches": "limit_train_batches", "val_batches": "limit_val_batches", "test_batches": "limit_test_batches"}
PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}


def command(job: Job) -> list[str]:
    """The words of the command."""
    settings, options = job.settings, job.options
    name = options.get("command", "fit")
    words = [sys.executable, "-m", "lit_models", name, "--config", settings["config"]]
    flags = {
        "seed_everything": job.repetition,
        "runs_dir": Path(job.folder) / "runs",
        "trainer.accelerator": "gpu" if job.device == "cuda" else "cpu",
        "trainer.devices": 1,
        "kernels": options.get("kernels", "auto"),
        **({"trainer.precision": PRECISION[options["precision"]]} if "precision" in options else {}),
        **({"report": "none", **fit_flags(job)} if name == "fit" else {}),  # no rival makes a report
        **settings.get("flags", {}),
        **options.get("flags", {}),
    }
    flags = {flag: str(value).format(data=job.data, encoder=checkpoint_folder()) for flag, value in flags.items()}
    words += [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    if options.get("clock"):
        words += ["--trainer.callbacks+", CLOCK, "--trainer.callbacks.nudge", str(options.get("nudge", 0.0))]
    return words


def fit_flags(job: Job) -> dict[str, Any]:
    """Flags for the length of a training."""
    settings, steps = job.settings, job.options.get("steps")
    if steps:
        return {"trainer.max_steps": min(steps, settings.get("batches") or steps), "test_weights": "none"}
    limits = {f"trainer.{LIMITS[key]}": settings[key] for key in LIMITS if settings.get(key)}
    epochs = settings["epochs"]
    return {"trainer.max_epochs": epochs, "test_weights": settings.get("test_weights", "last"), **limits}


def read(job: Job, lines: list[tuple[float, str]]) -> dict[str, Any]:
    """The numbers of a run, from the files in its folder and the times of its output lines.

    Args:
        job: the job.
        lines: the lines of its output: seconds since its start, and the text.
    """
    folder = Path(job.folder)
    clock = folder / CLOCK_FILE
    numbers: dict[str, Any] = json.loads(clock.read_text(encoding="utf-8")) if clock.is_file() else {}
    if job.options.get("command", "fit") == "fit":
        (report,) = folder.glob("runs/*/*/results.json")
        numbers |= of_report(json.loads(report.read_text(encoding="utf-8")))
    ends = [seconds for seconds, line in lines if EPOCH.match(line)]
    numbers["epochs"] = [end - begin for begin, end in pairwise(ends)]
    return numbers | tokens_of(job)


def of_report(report: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a training from `results.json`."""
    metrics = report["metrics"]
    accuracy = metrics.get("test/acc", metrics.get("val/acc"))
    return {
        "fit": report["seconds"]["fit"],
        "parameters": report["parameters"],
        "precision": report["precision"],
        "steps": report["steps"] // max(1, report["epochs"]),
        "kernels": report["kernels"],
        "accuracy": accuracy,
        "accuracy_after": report["epochs"],
        "device_name": report["device"],
    }
