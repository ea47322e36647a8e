"""docs/parity.md and its pictures, out of the results of `scripts/parity.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy import stats

from scripts.parity_sides import NUDGE, PROGRAMS, TRACED_STEPS, Program

Run = dict[str, Any]
CONFIDENCE = 0.95  # of the equivalence test; stated here, before any run
PARTED = 1e-3  # distance of two losses of a step that are no longer one curve on a picture
COLOURS = {"ours": "tab:blue", "paired": "tab:orange", "original": "tab:green", "nudged": "tab:grey"}
TITLES = {
    "xor_mlp": "XOR, the numpy program",
    "mnist_cnn": "MNIST, the Keras CNN",
    "imdb_rnn": "IMDB, the Keras SimpleRNN",
    "imdb_lstm": "IMDB, LSTM in its place",
    "imdb_gru": "IMDB, GRU in its place",
}


class Results:
    """The runs of one program, by side.

    Args:
        program: which.
        runs: results of all programs.
    """

    def __init__(self, program: Program, runs: Sequence[Run]) -> None:
        self.program = program
        mine = sorted((r for r in runs if r["program"] == program.config), key=lambda r: int(r["seed"]))
        self.sides = {side: [r for r in mine if r["side"] == side] for side in COLOURS}
        self.all = mine

    def pairs(self, other: str = "paired") -> list[tuple[Run, Run]]:
        """Our run and another side's with the same seed."""
        theirs = {r["seed"]: r for r in self.sides[other]}
        return [(r, theirs[r["seed"]]) for r in self.sides["ours"] if r["seed"] in theirs]

    def accuracies(self, side: str) -> list[float]:
        """Test accuracy of each run of a side, as a fraction."""
        return [r["test"]["acc"] for r in self.sides[side]]


def write_page(runs: Sequence[Run], results: Path) -> Path:
    """Writes `parity.md` and a picture a program beside the results; returns the page's path."""
    folder = results.parent / "parity"
    folder.mkdir(parents=True, exist_ok=True)
    text = [INTRODUCTION]
    for name, program in PROGRAMS.items():
        found = Results(program, runs)
        text.append(f"## {TITLES[name]}\n")
        if found.pairs():
            picture = folder / f"{name}.png"
            draw(found, picture)
            text += [f"![Paired curves, their distance, and test accuracies of {name}](parity/{picture.name})\n"]
            text += [xor_table(found) if program.backend is None else paired_table(found)]
        else:
            text.append("No pair of runs has ended yet.\n")
        text += [independent(found)] if program.backend else []
    text.append(machines(runs))
    page = results.with_suffix(".md")
    page.write_text("\n".join(text), encoding="utf-8")
    return page


INTRODUCTION = f"""# Parity, over whole trainings

Each program that a network here was ported from, and its counterpart, trained in full on the same real data. This page
and its pictures are written by `python scripts/parity.py`, out of `docs/parity.jsonl`, which holds each run; the
command runs what is missing there. `tests/parity/` shows the same for single steps, in each test run.

**Paired** runs have the same start (our initial weights, put into the original) and the same batches in the same order.
Then only rounding differs. Training is chaotic: a difference in the last digit grows until two runs agree only as two
seeds do. How fast, the *nudged* run shows: our own program of seed 0 once more, the weights of its start moved by a
random relative {NUDGE:g}, about what float32 can tell apart. If the original's curve leaves ours no earlier than our
own nudged one does, rounding accounts for the difference; where the original of that seed stays with ours over the
traced steps, there is no nudged run. The middle picture has the first {TRACED_STEPS} steps, of the original its first
epoch at most, which has 157 steps on IMDB.

**Independent** runs have each framework's own randomness. The claim is that mean test accuracies (of the last weights)
differ by less than a margin, at {CONFIDENCE:.0%} confidence, by two one-sided Welch tests. The margins stand in the
code, and were chosen before the first run: 0.3 points of percentage for MNIST, 2 for LSTM and GRU, 5 for the SimpleRNN,
whose last epoch swings widely from seed to seed in Keras too. "Not shown" says that the seeds were too few for their
spread, or the means too far apart.

Keras computes MNIST on TensorFlow and IMDB on JAX. The reason is a difference inside Keras 3: on TensorFlow its
optimizers square the gradient of each occurrence of a word before they add them, on JAX and torch they add first, as
their formula says and as here. With TensorFlow, paired IMDB runs part by more than rounding.
"""


def xor_table(found: Results) -> str:
    """The trained weights of the numpy loop and ours, number by number."""
    lines = [
        "| seed | largest difference of a trained weight | of an output | outputs, ours |",
        "| --- | --- | --- | --- |",
    ]
    for ours, theirs in found.pairs():
        weights, outputs = (np.abs(np.subtract(ours[key], theirs[key])).max() for key in ("weights", "outputs"))
        shown = ", ".join(f"{x:.4f}" for x in ours["outputs"])
        lines.append(f"| {ours['seed']} | {weights:.1e} | {outputs:.1e} | {shown} |")
    solved = [sum(solves(r) for r in found.sides[side]) for side in ("ours", "original")]
    counts = [len(found.sides[side]) for side in ("ours", "original")]
    return "\n".join(
        [
            *lines,
            "",
            f"Both in float64, {found.program.epochs * 1000:,} passes. With its own randomness each solves it (every",
            f"output within 0.1): ours {solved[0]} of {counts[0]}, numpy {solved[1]} of {counts[1]}.\n",
        ]
    )


def solves(run: Run) -> bool:
    """Whether every output is within 0.1 of its target."""
    return bool(np.abs(np.subtract(run["outputs"], [0, 1, 1, 0])).max() < 0.1)


def apart(theirs: Run, ours: Run) -> NDArray[np.float64]:
    """Difference of the loss of each step that both runs have kept."""
    return np.array([a - b for a, b in zip(theirs["steps"], ours["steps"], strict=False)])


def paired_table(found: Results) -> str:
    """Differences of paired runs, a row a seed; the nudged run's under them."""
    lines = [
        f"| runs | seed | loss of step 1 | first step apart by {PARTED:g} | training loss, epoch 1 | last epoch "
        "| test accuracy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for side, label in (("paired", "original less ours"), ("nudged", "ours nudged less ours")):
        for ours, theirs in found.pairs(side):
            steps = apart(theirs, ours)
            first, last = (theirs["epochs"][i]["loss"] - ours["epochs"][i]["loss"] for i in (0, -1))
            test = f"{ours['test']['acc']:.4f} → {theirs['test']['acc']:.4f}"
            parted = int(np.argmax(np.abs(steps) > PARTED)) + 1 if (np.abs(steps) > PARTED).any() else None
            cells = [f"{steps[0]:+.1e}", str(parted or f"after {len(steps)}"), f"{first:+.1e}", f"{last:+.1e}", test]
            lines.append(f"| {label} | {ours['seed']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def independent(found: Results) -> str:
    """Accuracies of each side and the verdict of the equivalence test."""
    lines = ["| side | seeds | mean test accuracy | lowest | highest | best validation accuracy |", "| --- " * 6 + "|"]
    for side, label in (("ours", "ours"), ("original", f"Keras ({found.program.backend})")):
        values = found.accuracies(side)
        if values:
            best = [max((e["val_acc"] for e in r["epochs"] if "val_acc" in e), default=None) for r in found.sides[side]]
            shown = ", ".join(f"{b:.4f}" for b in best if b is not None) or "no validation part"
            row = [label, str(len(values)), *(f"{x:.4f}" for x in (np.mean(values), min(values), max(values))), shown]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", verdict(found), ""])


def verdict(found: Results) -> str:
    """One sentence: the interval of the difference of means, and whether it lies within the margin."""
    ours, theirs = (found.accuracies(side) for side in ("ours", "original"))
    margin = found.program.margin
    if min(len(ours), len(theirs)) < 2:
        return "Too few runs for a test."
    # Two one-sided tests at 5 % are the same as a 90 % interval within the margin.
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(2 * CONFIDENCE - 1)
    low, high = float(interval.low), float(interval.high)
    p = max(
        float(stats.ttest_ind(np.add(ours, shift), theirs, equal_var=False, alternative=side).pvalue)
        for shift, side in ((margin, "greater"), (-margin, "less"))
    )
    shown = f"ours less Keras is between {low:+.4f} and {high:+.4f}, margin ±{margin:g}, p = {p:.2g}"
    runs = f"{len(ours)} and {len(theirs)} of {found.program.seeds} planned runs"
    return f"**{'Equivalent' if p < 1 - CONFIDENCE else 'Not shown'}**: {shown} ({runs})."


def draw(found: Results, path: Path) -> None:
    """Paired curves, the distance of paired runs by step, and independent accuracies."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), width_ratios=(2, 2, 1))
    curves(axes[0], found)
    distances(axes[1], found)
    accuracies(axes[2], found)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def curves(axis: Axes, found: Results) -> None:
    """Training loss by epoch, and validation loss where there is one: ours as lines, the original's as dots."""
    for ours, theirs in found.pairs():
        for name, style in (("loss", "-"), ("val_loss", "--")):
            if name in ours["epochs"][0]:
                places = range(1, len(ours["epochs"]) + 1)
                axis.plot(places, [e[name] for e in ours["epochs"]], style, color=COLOURS["ours"], linewidth=1)
                axis.plot(places, [e[name] for e in theirs["epochs"]], "o", color=COLOURS["paired"], markersize=3)
    axis.set_title("paired: loss (dashed: validation)\nours: lines; original: dots", fontsize=9)
    axis.set_xlabel("epoch" if found.program.backend else "1,000 passes")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def distances(axis: Axes, found: Results) -> None:
    """How far the loss of each of the first steps lies from ours, for the original and for our nudged run."""
    for side, label in (("paired", "original"), ("nudged", "ours, nudged")):
        for i, (ours, theirs) in enumerate(found.pairs(side)):
            gap = np.abs(apart(theirs, ours))
            gap[gap == 0] = np.nan  # equal to the last digit: no place on a logarithmic axis
            axis.semilogy(range(1, len(gap) + 1), gap, color=COLOURS[side], linewidth=0.8, label="" if i else label)
    axis.set_title("distance of a step's loss from ours", fontsize=9)
    axis.set_xlabel("step")
    axis.legend(fontsize=8)


def accuracies(axis: Axes, found: Results) -> None:
    """Test accuracy of each independent run."""
    for i, side in enumerate(("ours", "original")):
        values = found.accuracies(side)
        axis.plot([i] * len(values), values, "o", color=COLOURS[side], alpha=0.7)
    axis.set_xticks([0, 1], ["ours", "original"])
    axis.set_xlim(-0.6, 1.6)
    axis.set_title("test accuracy,\nindependent seeds", fontsize=9)


def machines(runs: Sequence[Run]) -> str:
    """Versions, commits and machines of the runs."""
    versions = sorted({", ".join(f"{n} {v}" for n, v in r["versions"].items()) for r in runs})
    commits = sorted({str(r["commit"])[:9] + "+" * str(r["commit"]).endswith("+") for r in runs})
    where = sorted({str(r["machine"]) for r in runs})
    hours = sum(r["seconds"] for r in runs) / 3600
    return "\n".join(
        [
            "## Versions",
            "",
            *(f"- {line}" for line in versions),
            f"- commits {', '.join(commits)} (+: with changes); {'; '.join(where)}",
            f"- {hours:.1f} hours of training in {len(runs)} runs",
            "",
        ]
    )
