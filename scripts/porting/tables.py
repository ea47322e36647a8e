"""Markdown tables from the results of `python -m scripts.porting`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Results = dict[str, Any]


def numbers(results: Results, path: str) -> list[float]:
    """One number for each seed. `path` is, for example, "mnist/keras/test"."""
    measure, *keys = path.split("/")
    values = []
    for seed in sorted(results[measure], key=int):
        value = results[measure][seed]
        for key in keys:
            value = value[key]
        values.append(float(value))
    return values


def differences(results: Results, path: str, reference: str) -> list[float]:
    """Differences from the reference for the seeds that both have."""
    values, references = (
        dict(zip(sorted(results[p.split("/")[0]], key=int), numbers(results, p), strict=True))
        for p in (path, reference)
    )
    return [value - references[seed] for seed, value in values.items() if seed in references]


def mean(results: Results, path: str) -> float:
    """Mean over the seeds."""
    return float(np.mean(numbers(results, path)))


def spread(values: Sequence[float], form: str = ".4f") -> str:
    """The mean, the lowest and the highest number."""
    return f"{np.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def trained(results: Results, *, measure: str, ways: dict[str, str]) -> str:
    """Ways to train, the correct one first: loss of the last epoch, accuracies, and differences from the first row. The
    last row shows how much results vary by chance."""
    first = f"{measure}/{next(iter(ways))}"
    labels = {f"{measure}/{way}": label for way, label in ways.items()}
    labels[f"nudged/{measure.removeprefix('gates/')}"] = "*no mistake: initial weights changed by 1e-6*"
    mnist = measure == "mnist"
    columns = {"loss": "training loss", **({} if mnist else {"val": "validation accuracy"}), "test": "test accuracy"}
    rows = []
    for path, label in labels.items():
        cells = [spread(numbers(results, f"{path}/{column}")) for column in columns]
        change = spread(differences(results, f"{path}/test", f"{first}/test"), "+.4f")
        rows.append([label, *cells, "" if path == first else change])
    return table(["variant", *columns.values(), "difference from the first row"], rows)


def imported(results: Results, *, measure: str, ways: dict[str, str]) -> str:
    """Ways to import trained weights or to prepare inputs: test accuracy of the same network."""
    inside = f"{measure}/import"
    rows = [["Keras itself", spread(numbers(results, f"{inside}/keras/acc"))]]
    rows += [[label, spread(numbers(results, f"{inside}/{way}"))] for way, label in ways.items()]
    largest = max(numbers(results, f"{inside}/keras/largest_difference"))
    below = f"Largest difference between Keras' probabilities and those of the correct import: {largest:.0e}."
    return f"{table(['variant', 'test accuracy'], rows)}\n\n{below}"


def stepped(results: Results, *, data: str, ways: dict[str, str]) -> str:
    """Distance from Keras' weights after 50 steps. Each seed has a column, because some runs are chaotic and others
    are not."""
    labels = {**ways, "float32": "*no mistake: the correct way in float32*"}
    rows = [[label, *(f"{n:.2g}" for n in numbers(results, f"steps/{data}/{way}"))] for way, label in labels.items()]
    return table(
        ["distance from Keras' weights after 50 steps", *(f"seed {s}" for s in sorted(results["steps"]))], rows
    )


def stacked(*parts: Callable[[Results], str]) -> Callable[[Results], str]:
    """Several tables, one below the other."""
    return lambda results: "\n\n".join(part(results) for part in parts)


def bias(results: Results) -> str:
    """How far the sum of two trained biases moves."""
    rows = [
        [f"{steps} step{'s'[: steps > 1]}", spread(numbers(results, f"steps/bias_ratio_{steps}"), ".3f")]
        for steps in (1, 50)
    ]
    return table(["after", "distance moved by the sum of two biases, relative to one bias"], rows)


def xor(results: Results) -> str:
    """Passes of gradient descent with a summed and an averaged loss."""
    labels = {"sum": "half the squared error, summed over the four rows", "mean": "`F.mse_loss`, the mean"}
    seeds = sorted(results["xor"], key=int)
    rows = [[label, *(f"{results['xor'][s][way]:,}" for s in seeds)] for way, label in labels.items()]
    return table(["loss", *(f"passes, seed {s}" for s in seeds)], rows)


def counts(results: Results) -> str:
    """Ways to average one network's test metrics."""
    labels = {
        "samples": "mean over all samples",
        "mean_of_batches": "mean of batch means",
        "last_dropped": "without the last batch (`drop_last=True`)",
    }
    rows = [
        [label, *(spread(numbers(results, f"mnist/count/{way}/{column}"), ".5f") for column in ("loss", "acc"))]
        for way, label in labels.items()
    ]
    return table(["variant", "test loss", "test accuracy"], rows)


def dropout(results: Results) -> str:
    """A network with dropout, tested in evaluation mode and in training mode."""
    labels = {"test": "`network.eval()` before the test", "left_on": "still in training mode"}
    rows = [[label, spread(numbers(results, f"mnist/dropout/{way}"))] for way, label in labels.items()]
    return table(["variant", "test accuracy"], rows)


def split(results: Results) -> str:
    """Classes and accuracy of the validation part, which is the last fifth of each order."""
    labels = {"keras": "the last fifth of Keras' order", "split": "the last fifth of the files' order"}
    columns = {"positive_in_val": "positive reviews", "val": "validation accuracy", "test": "test accuracy"}
    rows = []
    for way, label in labels.items():
        cells = [spread(numbers(results, f"simple/{way}/{column}")) for column in columns]
        gap = differences(results, f"simple/{way}/val", f"simple/{way}/test")
        rows.append([label, *cells, spread(gap, "+.4f")])
    return table(["validation part", *columns.values(), "validation minus test accuracy"], rows)


def machine(results: Results) -> str:
    """Machine, commits and versions of the measurements."""
    runs = [run for by_seed in results.values() for run in by_seed.values()]
    machines = "; ".join(sorted({run["machine"] for run in runs}))
    commits = ", ".join(sorted({run["commit"][:9] + run["commit"][40:] for run in runs}))
    used = sorted({f"{name} {version}" for run in runs for name, version in run["versions"].items()})
    minutes = sum(run["seconds"] for run in runs) / 60
    seeds = "; ".join(f"{measure} {', '.join(sorted(by_seed, key=int))}" for measure, by_seed in results.items())
    return "\n".join(
        [
            f"- seeds: {seeds}",
            f"- machine: {machines}; {minutes:.0f} minutes in total",
            f"- commits {commits} (+: with uncommitted changes)",
            f"- {', '.join(used)}",
        ]
    )
