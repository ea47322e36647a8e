"""Draws how long each rival takes beside ours."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from scripts.benchmark.cells import OURS, Workload
from scripts.benchmark.figures import TIMES, Figures, digits
from scripts.benchmark.ratios import Ratio


def draw(workloads: Sequence[Workload], figures: Figures, path: Path) -> bool:
    """A bar for each rival: its time divided by ours, with its interval. Returns whether there was anything to draw."""
    parts = [(w, bars(w, figures)) for w in workloads if w.figure in TIMES]
    parts = [(w, ratios) for w, ratios in parts if ratios]
    if not parts:
        return False
    heights = [len(ratios) + 1.5 for _, ratios in parts]
    size = (9, 0.32 * sum(heights) + 0.5)
    figure, axes = plt.subplots(len(parts), 1, figsize=size, squeeze=False, height_ratios=heights)
    for axis, (workload, ratios) in zip(axes[:, 0], parts, strict=True):
        names = [name for name, _ in ratios]
        values = [ratio.value for _, ratio in ratios]
        spread = [[r.value - r.low for _, r in ratios], [r.high - r.value for _, r in ratios]]
        axis.barh(names, values, xerr=spread, color="tab:blue", height=0.7, error_kw={"ecolor": "black", "capsize": 2})
        axis.axvline(1, color="black", linewidth=1)
        axis.invert_yaxis()
        axis.set_title(f"{workload.title} ({workload.unit})", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.set_xlim(0, 1.15 * max(1.0, *(ratio.high for _, ratio in ratios)))
        for i, (_, ratio) in enumerate(ratios):
            axis.annotate(f" {digits(ratio.value)}", (ratio.high, i), va="center", fontsize=8)
    axes[-1, 0].set_xlabel(f"time divided by that of {OURS}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return True


def bars(workload: Workload, figures: Figures) -> list[tuple[str, Ratio]]:
    """The ratios of the rivals that were run together with ours."""
    names = [e.name for e in workload.entries if not e.check and e.name != OURS]
    ratios = [(name, figures.times_faster(workload.name, name, workload.figure)) for name in names]
    return [(name, ratio) for name, ratio in ratios if ratio is not None]
