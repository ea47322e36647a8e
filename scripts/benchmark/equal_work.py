"""The table that shows that all rivals did the same work, and that our fast path ran."""

from statistics import fmean
from typing import Any

from scripts.benchmark.cells import Entry, Workload
from scripts.benchmark.figures import Figures, digits
from scripts.benchmark.tables import NOTHING, table
from scripts.rounding import NUDGE

CLOSE, FIRST = 1e-4, 5
"""Largest difference of the losses of the fast and the plain code in the first steps, before rounding errors grow."""
FACTOR = 3
"""Over all steps, they may differ by this factor times the difference that a change like rounding causes."""
NAMES = {"32-true": "float32", "32": "float32", "bf16-mixed": "bfloat16", "bf16": "bfloat16", "64-true": "float64"}
NAMES |= {"64": "float64"}


def equal_work_table(workload: Workload, figures: Figures) -> str:
    """A line about the work of each rival, and the comparison of the losses; "" if there are no results."""
    head = ["", "parameters", "steps an epoch", "precision", "accuracy", "after epochs", "kernels"]
    rows = []
    for entry in workload.entries:
        cells = [] if entry.check else figures.of(workload.name, entry.name)
        if cells and "parameters" in cells[0]:
            rows.append(work_row(entry, cells, figures, workload))
    if not rows:
        return ""
    sentence = losses(workload, figures)
    return table(head, rows) + (f"\n\n{sentence}" if sentence else "")


def work_row(entry: Entry, cells: list[dict[str, Any]], figures: Figures, workload: Workload) -> list[str]:
    """A row about the work of one rival."""
    first = cells[0]
    precision = str(first["precision"])
    accuracy = figures.median(workload.name, entry.name, "accuracy")
    return [
        entry.name,
        f"{first['parameters']:,}",
        f"{first['steps']:,}",
        NAMES.get(precision, precision),
        f"{accuracy:.4f}" if accuracy is not None else NOTHING,
        str(first.get("accuracy_after", NOTHING)),
        kernels(first.get("kernels")),
    ]


def kernels(used: dict[str, Any] | None) -> str:
    """The layers that ran on their fast path, and those that did not, with the reason."""
    if not used or not (used["fast"] or used["plain"]):
        return NOTHING
    fast = f"fast: {', '.join(used['fast'])}" if used["fast"] else ""
    plain = "; ".join(f"plain: {name} ({', '.join(reasons)})" for name, reasons in used["plain"].items())
    return "; ".join(filter(None, [fast, plain]))


def losses(workload: Workload, figures: Figures) -> str:
    """Whether the fast and the plain code have the same losses, over the first steps and after many."""
    checks = [figures.of(workload.name, name) for name in ("check", "check, plain", "check, nudged")]
    if not all(checks):
        return ""
    ours, plain, nudged = (cells[-1]["losses"] for cells in checks)
    apart, grown = ([abs(a - b) for a, b in zip(side, plain, strict=True)] for side in (ours, nudged))
    first, ours_mean, nudged_mean = max(apart[:FIRST]), fmean(apart), fmean(grown)
    equal = first <= CLOSE and ours_mean <= max(CLOSE, FACTOR * nudged_mean)
    return (
        f"The fast and the plain code train from the same weights on the same batches: "
        f"{'equal' if equal else '**not equal**'}. In the first {FIRST} steps, their losses differ by {digits(first)} "
        f"at most. Over {len(ours)} steps, they differ by {digits(ours_mean)} on average. The plain code differs from "
        f"itself by {digits(nudged_mean)} on average, if each initial weight is changed by {NUDGE:g} of its value."
    )
