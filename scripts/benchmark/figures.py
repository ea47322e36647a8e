"""Numbers of the page: figures of each rival by repetition, targets with their results."""

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from scripts.benchmark.cells import OURS, Device, Entry, Target, Workload
from scripts.benchmark.ratios import Ratio, interval, paired_ratio
from scripts.benchmark.results import Record, has_numbers
from scripts.benchmark.workloads.machine import NAME as MACHINE
from scripts.benchmark.workloads.machine import PRODUCTS

TIMES = ("epoch", "fit", "batches", "first_step")
"""Figures in seconds, which are divided by those of rivals. The others are already ratios or sizes."""


class Outcome(NamedTuple):
    """The result of a target.

    Args:
        result: text on the page, such as "1.80 (1.71 to 1.92), ours beside keras-jax".
        met: whether the median reaches the bound; None without numbers.
    """

    result: str
    met: bool | None


class Figures:
    """The results of one device and size.

    Args:
        records: the lines of the results.
        device: "cpu" or "cuda".
        size: "full" or "short".
    """

    def __init__(self, records: Sequence[Record], device: Device, size: str) -> None:
        self.device, self.size = device, size
        self.records = [r for r in records if r["device"] == device and r["size"] == size]

    def of(self, workload: str, rival: str) -> list[Record]:
        """The cells of a rival that have numbers, by repetition; those of a check have the repetition 0."""
        cells = [r for r in self.records if (r["workload"], r["rival"]) == (workload, rival) and has_numbers(r)]
        return sorted(cells, key=lambda r: int(r["repetition"]))

    def values(self, workload: str, rival: str, figure: str) -> dict[int, float]:
        """A figure of each repetition. "epoch" is the median of the measured epochs of a cell."""
        values = {r["repetition"]: value_of(r, figure) for r in self.of(workload, rival)}
        return {i: value for i, value in values.items() if value is not None}

    def median(self, workload: str, rival: str, figure: str) -> float | None:
        """The median over the repetitions."""
        values = self.values(workload, rival, figure)
        return median(values.values()) if values else None

    def problem(self, workload: str, rival: str) -> str | None:
        """Why a rival has no numbers, if it was tried."""
        cells = [r for r in self.records if (r["workload"], r["rival"]) == (workload, rival)]
        reasons = [f"{kind}: {r[kind]}" for r in cells for kind in ("missing", "failed") if kind in r]
        return reasons[-1] if reasons else None

    def best(self, workload: str, rivals: Sequence[str], figure: str) -> str | None:
        """The rival with the smallest median."""
        medians = {name: self.median(workload, name, figure) for name in rivals}
        known = {name: value for name, value in medians.items() if value is not None}
        return min(known, key=lambda name: known[name]) if known else None

    def times_faster(self, workload: str, rival: str, figure: str, *, than: str = OURS) -> Ratio | None:
        """How many times faster `than` is: the figure of the rival divided by that of `than`."""
        return paired_ratio(self.values(workload, rival, figure), self.values(workload, than, figure))

    def rate(self, precision: str) -> float | None:
        """Operations a second of the machine in a precision."""
        return self.median(MACHINE, PRODUCTS, "bfloat16" if "bf16" in precision else "float32")

    def fraction(self, workload: Workload, entry: Entry) -> float | None:
        """Fraction of the machine's rate at which a rival computes the workload's products."""
        cells = self.of(workload.name, entry.name)
        seconds = self.median(workload.name, entry.name, workload.figure)
        rate = self.rate(str(cells[0].get("precision", "32"))) if cells else None
        if not workload.flops or self.size != "full" or seconds is None or rate is None:
            return None
        return workload.flops / seconds / rate

    def outcome(self, workload: Workload, target: Target) -> Outcome:
        """The result of a target."""
        side = self.best(workload.name, target.of, target.figure)
        if side is None:
            return Outcome("not measured", None)
        ours = self.values(workload.name, side, target.figure)
        if target.kind == "below":
            low, high, _ = interval(list(ours.values()))
            value = median(ours.values())
            return Outcome(f"{digits(value)} ({digits(low)} to {digits(high)})", value <= target.value)
        place = target.workload or workload.name
        best = self.best(place, target.against, target.figure)
        if best is None:
            return Outcome("no rival was measured", None)
        theirs = self.values(place, best, target.figure)
        faster = target.kind == "faster"
        ratio = paired_ratio(theirs, ours) if faster else paired_ratio(ours, theirs)
        if ratio is None:
            return Outcome("no pair of runs", None)
        text = f"{digits(ratio.value)} ({digits(ratio.low)} to {digits(ratio.high)}), {side} beside {best}"
        return Outcome(text, ratio.value >= target.value if faster else ratio.value <= target.value)


def value_of(record: Record, figure: str) -> float | None:
    """A figure of one cell."""
    value: Any = record.get(figure)
    if figure == "epoch":
        value = median(record["epochs"]) if record.get("epochs") else None
    return None if value is None else float(value)


def digits(value: float) -> str:
    """A number with three significant digits, such as 0.0123, 1.23, 12.3, 1,230 or 1.2e-06."""
    if value and abs(value) < 1e-3:
        return f"{value:.1e}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")
