"""The pictures of docs/parity.md: losses of paired runs, their differences by step, and test accuracies."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from scripts.parity.results import Results, loss_differences

COLOURS = {"ours": "tab:blue", "paired": "tab:orange", "original": "tab:green", "nudged": "tab:grey"}


def draw(results: Results, path: Path) -> None:
    """Draws one program's results into a PNG file."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), width_ratios=(2, 2, 1))
    plot_losses(axes[0], results)
    plot_differences(axes[1], results)
    plot_accuracies(axes[2], results)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def plot_losses(axis: Axes, results: Results) -> None:
    """Training loss by epoch, and validation loss if there is one: ours as lines, the original's as dots."""
    for ours, theirs in results.pairs():
        for name, style in (("loss", "-"), ("val_loss", "--")):
            if name in ours["epochs"][0]:
                epochs = range(1, len(ours["epochs"]) + 1)
                axis.plot(epochs, [e[name] for e in ours["epochs"]], style, color=COLOURS["ours"], linewidth=1)
                axis.plot(epochs, [e[name] for e in theirs["epochs"]], "o", color=COLOURS["paired"], markersize=3)
    axis.set_title("paired runs: loss (dashed: validation)\nours: lines; original: dots", fontsize=9)
    axis.set_xlabel("epoch" if results.program.backend else "1,000 passes")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def plot_differences(axis: Axes, results: Results) -> None:
    """Absolute difference in the loss of each of the first steps, of the original and of the nudged run."""
    for side, label in (("paired", "original"), ("nudged", "nudged")):
        for i, (ours, theirs) in enumerate(results.pairs(side)):
            difference = np.abs(loss_differences(theirs, ours))
            difference[difference == 0] = np.nan  # a logarithmic axis has no zero
            axis.semilogy(
                range(1, len(difference) + 1), difference, color=COLOURS[side], linewidth=0.8, label="" if i else label
            )
    axis.set_title("difference from our loss, by step", fontsize=9)
    axis.set_xlabel("step")
    axis.legend(fontsize=8)


def plot_accuracies(axis: Axes, results: Results) -> None:
    """Test accuracy of each independent run."""
    for i, side in enumerate(("ours", "original")):
        values = results.accuracies(side)
        axis.plot([i] * len(values), values, "o", color=COLOURS[side], alpha=0.7)
    axis.set_xticks([0, 1], ["ours", "original"])
    axis.set_xlim(-0.6, 1.6)
    axis.set_title("test accuracy,\nindependent runs", fontsize=9)
