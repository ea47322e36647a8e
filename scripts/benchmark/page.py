"""Writes docs/benchmarks.md and its picture from the results of `python -m scripts.benchmark`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmark.cells import BOTH, Workload
from scripts.benchmark.equal_work import equal_work_table
from scripts.benchmark.figures import Figures, digits
from scripts.benchmark.picture import draw
from scripts.benchmark.ratios import LEAST_COVERAGE
from scripts.benchmark.results import Record, has_numbers
from scripts.benchmark.tables import NOTHING, rival_table, table
from scripts.benchmark.workloads import load
from scripts.benchmark.workloads.machine import NAME as MACHINE

NOTES = "notes.md"
"""File beside the results with the last part of the page, such as why a target was missed."""
INTRODUCTION = f"""# Benchmarks

This page compares our command line with its rivals on the same work, on one machine. `python -m scripts.benchmark`
runs all of them and writes this page. Each number is a cell: one process, with a fixed number of threads, and nothing
else on the machine. The first repetition of everything is followed by the second, and so on. The results are the lines
of `benchmarks/results.jsonl`.

**Ours** is the whole command `python -m lit_models fit`, with its logging, progress bar, validation and checkpoints.
Its seconds an epoch are the time between the lines that it prints, without the first epoch. **Keras** is the original
program with `fit`. It has a short training of a few batches first, in which Keras compiles, and then one measured
epoch. **Bare loops** in PyTorch are measured in the same way. They have no logging and no checkpoints, and their data
are in memory. "Tuned" means that freed memory stays with the process. For the CNN, it also means the channels-last
layout and the ReLU after the pooling.

A number is the median of the repetitions. "Ours is faster" is the median of the ratios of paired repetitions. Its
interval goes from the k-th smallest to the k-th largest ratio. It assumes no distribution. From five pairs on, it
contains the true median with a probability of at least {LEAST_COVERAGE:.0%}. With fewer pairs, it goes from the
smallest to the largest ratio, and the probability is lower: 75 % with three, 50 % with two. Rivals that are slower than
another one of their kind have fewer repetitions.

"Whole program" is the time of the command with all epochs of the program. It is the sum of the seconds outside the
measured epochs, and the number of epochs times the seconds an epoch. "Of the rate" compares the products of the network
with the machine's own rate of matrix products, measured in the same run.
"""
NOT_MEASURED = """## Not measured

- The time to an accuracy of 0.99 with a recipe of one's own choice.
- The memory of a training on 2 GB of CSV.
"""


def write_page(records: Sequence[Record], path: Path) -> Path:
    """Writes the page beside the folder of the results file `path`, and the picture into the folder. Returns the page's
    path."""
    folder = path.parent
    page = folder.with_suffix(".md")
    text = [INTRODUCTION]
    for device in BOTH:
        for size in ("full", "short"):
            figures = Figures(records, device, size)
            if figures.records:
                picture = folder / f"{device}_{size}.png"
                text += part(figures, picture, f"{folder.name}/{picture.name}")
    notes = folder / NOTES
    text += [notes.read_text(encoding="utf-8")] if notes.is_file() else []
    page.write_text("\n".join([*text, NOT_MEASURED]), encoding="utf-8")
    return page


def part(figures: Figures, picture: Path, address: str) -> list[str]:
    """The page's part about one device: machine, targets, a section for each workload."""
    workloads = [w for w in load().values() if w.name != MACHINE and figures.device in w.devices]
    measured = [w for w in workloads if any(figures.of(w.name, e.name) for e in w.entries)]
    blocks = [f"## {heading(figures)}\n", machine_lines(figures.records, figures), ""]
    if draw(measured, figures, picture):
        blocks.append(f"![Times of the rivals divided by ours]({address})\n")
    blocks += ["### Targets\n", targets_table(workloads, figures), ""]
    for workload in measured:
        blocks += [f"### {workload.title}\n", f"{workload.text}\n", rival_table(workload, figures), ""]
        if work := equal_work_table(workload, figures):
            blocks += ["The work of each:\n", work, ""]
    return blocks


def heading(figures: Figures) -> str:
    """The heading of a device."""
    cut = ", a part of each epoch" if figures.size == "short" else ""
    return f"{'On the CPU' if figures.device == 'cpu' else 'On a GPU'}{cut}"


def machine_lines(records: Sequence[Record], figures: Figures) -> str:
    """The hardware, the rates, the versions and the commits."""
    newest = records[-1]
    name = newest["gpu"] if figures.device == "cuda" else newest["cpu"]
    rates = [(word, figures.rate(precision)) for word, precision in (("float32", "32"), ("bfloat16", "bf16"))]
    shown = ", ".join(f"{word} {digits(rate / 1e9)} GFLOP/s" for word, rate in rates if rate)
    versions = ", ".join(f"{package} {version}" for package, version in newest["versions"].items())
    done = [r for r in records if has_numbers(r)]
    commits = dict.fromkeys(short_commit(r["commit"]) for r in done)
    hours = sum(float(r["seconds"]) for r in done) / 3600
    return "\n".join(
        [
            f"- {name}, {newest['cores']} cores, {newest['threads']} threads a process",
            *([f"- rate of matrix products: {shown}"] if shown else []),
            f"- {versions}",
            f"- {len(done)} processes in {hours:.2f} hours; commit {', '.join(commits)} (+: with uncommitted changes)",
        ]
    )


def short_commit(commit: str | None) -> str:
    """Nine characters of a commit, and "+" if files had changed."""
    return "unknown" if commit is None else commit[:9] + "+" * commit.endswith("+")


def targets_table(workloads: Sequence[Workload], figures: Figures) -> str:
    """Each target beside its result."""
    rows: list[list[Any]] = []
    for workload in workloads:
        for target in workload.targets:
            if figures.device in target.devices:
                result, met = figures.outcome(workload, target)
                met = met if figures.size == "full" else None  # a part of the work decides nothing
                verdict = {True: "**met**", False: "**missed**", None: NOTHING}[met]
                rows.append([workload.name, target.text, target.reach or NOTHING, result, verdict])
    return table(["workload", "target", "reach for", "result", "verdict"], rows)
