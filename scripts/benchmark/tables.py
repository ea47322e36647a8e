"""Tables of the page: the rivals of a workload."""

from collections.abc import Sequence
from statistics import median

from scripts.benchmark.cells import OURS, Entry, Workload
from scripts.benchmark.figures import TIMES, Figures, digits

NOTHING = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown. Empty columns are left out."""
    kept = [i for i in range(len(head)) if i == 0 or any(row[i] != NOTHING for row in rows)]
    lines = [[head[i] for i in kept], ["---"] * len(kept), *([row[i] for i in kept] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rival_table(workload: Workload, figures: Figures) -> str:
    """A line for each rival that was measured, and a line for each that was not."""
    head = ["", workload.unit, "lowest to highest", "runs", "ours is faster", "first step, s", "whole program, s"]
    head += ["tokens a second", "memory, GB", "of the rate"]
    timed = [entry for entry in workload.entries if not entry.check]
    measured = [entry for entry in timed if figures.values(workload.name, entry.name, workload.figure)]
    lines = [table(head, [rival_row(workload, entry, figures) for entry in measured]), ""] if measured else []
    for entry in timed:
        if entry not in measured:
            reason = figures.problem(workload.name, entry.name) or "not run"
            lines.append(f"- {entry.name}: {reason}")
    return "\n".join(lines).rstrip("\n")


def rival_row(workload: Workload, entry: Entry, figures: Figures) -> list[str]:
    """The cells of a rival's line."""
    name = workload.name
    values = list(figures.values(name, entry.name, workload.figure).values())
    compared = entry.name != OURS and workload.figure in TIMES
    ratio = figures.times_faster(name, entry.name, workload.figure) if compared else None
    fraction = figures.fraction(workload, entry)
    tokens = figures.median(name, entry.name, "tokens")
    start = figures.median(name, entry.name, "first_step")
    if entry.name == OURS and start is None:
        start = figures.median(name, "check", "first_step")
    return [
        entry.name,
        digits(median(values)),
        f"{digits(min(values))} to {digits(max(values))}",
        str(len(values)),
        f"{digits(ratio.value)} times ({digits(ratio.low)} to {digits(ratio.high)})" if ratio else NOTHING,
        digits(start) if start is not None and workload.figure != "first_step" else NOTHING,
        whole_program(workload, entry, figures),
        f"{tokens / median(values):,.0f}" if tokens else NOTHING,
        memory(workload, entry, figures),
        f"{fraction:.0%}" if fraction is not None else NOTHING,
    ]


def memory(workload: Workload, entry: Entry, figures: Figures) -> str:
    """The largest memory of the process. It is not shown for two runs at once, as it is that of their parent
    process."""
    peak = figures.median(workload.name, entry.name, "gigabytes")
    if peak is None or workload.figure in ("gigabytes", "slowdown"):
        return NOTHING
    return digits(peak)


def whole_program(workload: Workload, entry: Entry, figures: Figures) -> str:
    """Seconds of the command with all epochs of the program, or of the process if there are no epochs."""
    name = workload.name
    if not workload.training_epochs:
        whole = figures.median(name, entry.name, "seconds")
        return digits(whole) if whole is not None and workload.figure in ("fit", "batches") else NOTHING
    epochs = figures.values(name, entry.name, "epoch")
    seconds = figures.values(name, entry.name, "seconds")
    counts = {r["repetition"]: len(r["epochs"]) for r in figures.of(name, entry.name) if r.get("epochs")}
    # For ours and Trainer, the first epoch is not among the measured ones, and takes about as long as they do.
    extra = dict.fromkeys(counts, 1 if entry.module in ("ours", "trainer") else 0)
    sums = [seconds[i] + (workload.training_epochs - counts[i] - extra[i]) * epochs[i] for i in counts]
    return digits(median(sums)) if sums else NOTHING
