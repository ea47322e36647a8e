"""Writes docs/parity.md and its pictures from the results of `python -m scripts.parity`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scripts.parity.pictures import draw
from scripts.parity.programs import PROGRAMS, TRACED_STEPS
from scripts.parity.results import Results, Run, loss_differences
from scripts.rounding import NUDGE

CONFIDENCE = 0.95  # of the equivalence test; set before the first run
DIVERGED = 1e-3  # two losses of a step that differ by more are no longer one curve in the picture
TITLES = {
    "xor_mlp": "XOR, the numpy program",
    "mnist_cnn": "MNIST, the Keras CNN",
    "imdb_rnn": "IMDB, the Keras SimpleRNN",
    "imdb_lstm": "IMDB, the Keras program with LSTM",
    "imdb_gru": "IMDB, the Keras program with GRU",
}
INTRODUCTION = f"""# Parity over full training runs

This page compares full training runs: each original program and our counterpart, on the same real data.
`python -m scripts.parity` runs them and writes this page with its pictures. The result of each run is one line of
`docs/parity.jsonl`; the command runs only what is missing there. `tests/parity/` compares single steps in every test
run.

**Paired runs** start from the same weights and see the same batches in the same order: our initial weights are copied
into the original program. The two runs then differ only by rounding errors. Training is chaotic, so a difference in the
last digit grows. In the end, two runs can differ as much as two seeds do.

The **nudged run** shows how fast rounding errors grow. It is our program with seed 0 again, after a random relative
change of {NUDGE:g} in each initial weight. That is about the resolution of float32. If the original diverges from
ours no earlier than the nudged run does, rounding explains the difference. A program has a nudged run only if the
original with seed 0 diverges from ours within the recorded steps. The second plot of each picture shows the first
{TRACED_STEPS} steps. For the original it ends with the first epoch, which has 157 steps on IMDB. Differences in the
tables are differences in the training loss.

**Independent runs** use each framework's own random numbers. The claim is that the mean test accuracies of the last
weights differ by less than a margin. Two one-sided Welch tests check it at {CONFIDENCE:.0%} confidence. The claim is
shown if the {2 * CONFIDENCE - 1:.0%} confidence interval of the difference lies within the margin. The margins
were set in the code before the first run: 0.3 percentage points for MNIST, 2 for LSTM and GRU, 5 for SimpleRNN.
SimpleRNN has the largest margin because its last epoch varies widely between seeds, in Keras too. "Not shown" means
that there were too few seeds for their spread, or that the means differ too much.

Keras runs MNIST on TensorFlow and IMDB on JAX. The reason is that Keras 3 treats a word that occurs several times in a
batch differently on its backends. On JAX and torch, Keras' optimizers add the gradients of all occurrences and square
the sum. This is what their formula says and what this project does. On TensorFlow they square each gradient and add the
squares. Paired IMDB runs with TensorFlow therefore diverge by more than rounding.
"""


def write_page(runs: Sequence[Run], path: Path) -> Path:
    """Writes `parity.md` and one picture for each program beside the results file `path`. Returns the page's path."""
    folder = path.parent / "parity"
    folder.mkdir(parents=True, exist_ok=True)
    text = [INTRODUCTION]
    for name, program in PROGRAMS.items():
        results = Results(program, runs)
        text.append(f"## {TITLES[name]}\n")
        if results.pairs():
            picture = folder / f"{name}.png"
            draw(results, picture)
            text += [f"![Losses, differences in loss, and test accuracies of {name}](parity/{picture.name})\n"]
            text += [xor_table(results) if program.backend is None else paired_table(results)]
        else:
            text.append("There is no pair of runs yet.\n")
        text += [independent_table(results)] if program.backend else []
    text.append(versions(runs))
    page = path.with_suffix(".md")
    page.write_text("\n".join(text), encoding="utf-8")
    return page


def xor_table(results: Results) -> str:
    """Compares the trained weights of the paired numpy program with ours."""
    lines = [
        "| seed | largest difference in a weight | largest difference in an output | our outputs |",
        "| --- | --- | --- | --- |",
    ]
    for ours, theirs in results.pairs():
        weights, outputs = (np.abs(np.subtract(ours[key], theirs[key])).max() for key in ("weights", "outputs"))
        shown = ", ".join(f"{x:.4f}" for x in ours["outputs"])
        lines.append(f"| {ours['seed']} | {weights:.1e} | {outputs:.1e} | {shown} |")
    solved = [sum(is_solved(r) for r in results.sides[side]) for side in ("ours", "original")]
    counts = [len(results.sides[side]) for side in ("ours", "original")]
    return "\n".join(
        [
            *lines,
            "",
            f"Both programs train in float64 for {results.program.epochs * 1000:,} passes. A run solves XOR if every",
            "output is within 0.1 of its target. Independent runs that solve it: "
            f"{solved[0]} of {counts[0]} of ours, {solved[1]} of {counts[1]} of numpy.\n",
        ]
    )


def is_solved(run: Run) -> bool:
    """Whether every output is within 0.1 of its target."""
    return bool(np.abs(np.subtract(run["outputs"], [0, 1, 1, 0])).max() < 0.1)


def paired_table(results: Results) -> str:
    """Differences of paired runs, one row for each seed, and of the nudged run."""
    lines = [
        f"| runs | seed | difference at step 1 | first step that differs by more than {DIVERGED:g} "
        "| difference in epoch 1 | difference in the last epoch | test accuracy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for side, label in (("paired", "original minus ours"), ("nudged", "nudged minus ours")):
        for ours, theirs in results.pairs(side):
            steps = loss_differences(theirs, ours)
            first, last = (theirs["epochs"][i]["loss"] - ours["epochs"][i]["loss"] for i in (0, -1))
            accuracy = f"{ours['test']['acc']:.4f} → {theirs['test']['acc']:.4f}"
            cells = [f"{steps[0]:+.1e}", first_diverged(steps), f"{first:+.1e}", f"{last:+.1e}", accuracy]
            lines.append(f"| {label} | {ours['seed']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def first_diverged(differences: NDArray[np.float64]) -> str:
    """Number of the first step, from 1, whose losses differ by more than `DIVERGED`."""
    diverged = np.abs(differences) > DIVERGED
    return str(int(np.argmax(diverged)) + 1) if diverged.any() else f"none of {len(differences)}"


def independent_table(results: Results) -> str:
    """Accuracies of both sides and the result of the equivalence test."""
    lines = ["| side | seeds | mean test accuracy | lowest | highest | best validation accuracy |", "| --- " * 6 + "|"]
    for side, label in (("ours", "ours"), ("original", f"Keras ({results.program.backend})")):
        values = results.accuracies(side)
        if values:
            runs = results.sides[side]
            best = [max((e["val_acc"] for e in r["epochs"] if "val_acc" in e), default=None) for r in runs]
            shown = ", ".join(f"{b:.4f}" for b in best if b is not None) or "no validation part"
            row = [label, str(len(values)), *(f"{x:.4f}" for x in (np.mean(values), min(values), max(values))), shown]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, "", verdict(results), ""])


def verdict(results: Results) -> str:
    """The confidence interval of the difference of the means, and whether it lies within the margin."""
    ours, theirs = (results.accuracies(side) for side in ("ours", "original"))
    margin = results.program.margin
    if min(len(ours), len(theirs)) < 2:
        return "There are too few runs for a test."
    # Two one-sided tests at 5 % are equivalent to a 90 % interval within the margin.
    level = 2 * CONFIDENCE - 1
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(level)
    low, high = float(interval.low), float(interval.high)
    p = max(
        float(stats.ttest_ind(np.add(ours, shift), theirs, equal_var=False, alternative=side).pvalue)
        for shift, side in ((margin, "greater"), (-margin, "less"))
    )
    shown = f"The mean of ours minus that of Keras is between {low:+.4f} and {high:+.4f} ({level:.0%} confidence)."
    runs = f"{len(ours)} runs of ours and {len(theirs)} of Keras, {results.program.seeds} planned of each"
    return (
        f"**{'Equivalent' if p < 1 - CONFIDENCE else 'Not shown'}.** {shown}\nMargin ±{margin:g}, p = {p:.2g}; {runs}."
    )


def versions(runs: Sequence[Run]) -> str:
    """Versions, commits and machines of the runs."""
    packages = sorted({", ".join(f"{n} {v}" for n, v in r["versions"].items()) for r in runs})
    commits = sorted({str(r["commit"])[:9] + "+" * str(r["commit"]).endswith("+") for r in runs})
    machines = sorted({str(r["machine"]) for r in runs})
    hours = sum(r["seconds"] for r in runs) / 3600
    return "\n".join(
        [
            "## Versions",
            "",
            *(f"- {line}" for line in packages),
            f"- commits {', '.join(commits)} (+: with uncommitted changes); {'; '.join(machines)}",
            f"- {hours:.1f} hours of training in {len(runs)} runs",
            "",
        ]
    )
