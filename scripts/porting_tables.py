"""Tables in Markdown out of the results of `scripts/porting.py`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Results = dict[str, Any]


def numbers(results: Results, place: str) -> list[float]:
    """One number a seed. `place` is a path, such as "mnist/keras/test"."""
    measure, *keys = place.split("/")
    found = []
    for seed in sorted(results[measure], key=int):
        value = results[measure][seed]
        for key in keys:
            value = value[key]
        found.append(float(value))
    return found


def less(results: Results, place: str, first: str) -> list[float]:
    """Differences of paired runs, for the seeds that both have."""
    seeds = [sorted(results[where.split("/")[0]], key=int) for where in (place, first)]
    found, wanted = (dict(zip(s, numbers(results, w), strict=True)) for s, w in zip(seeds, (place, first), strict=True))
    return [found[seed] - wanted[seed] for seed in seeds[0] if seed in wanted]


def mean(results: Results, place: str) -> float:
    """Mean over the seeds."""
    return float(np.mean(numbers(results, place)))


def spread(values: Sequence[float], form: str = ".4f") -> str:
    """The mean, and the lowest and highest number."""
    return f"{np.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def trained(results: Results, *, measure: str, ways: dict[str, str]) -> str:
    """Ways to train, the right one first: loss of the last epoch, accuracies, and the difference of paired runs; under
    them what chance alone does."""
    first = f"{measure}/{next(iter(ways))}"
    places = {f"{measure}/{way}": label for way, label in ways.items()}
    places[f"nudged/{measure.removeprefix('gates/')}"] = "*no mistake, the start moved by a millionth*"
    mnist = measure == "mnist"
    columns = {"loss": "training loss", **({} if mnist else {"val": "validation accuracy"}), "test": "test accuracy"}
    rows = []
    for place, label in places.items():
        cells = [spread(numbers(results, f"{place}/{column}")) for column in columns]
        rows.append(
            [label, *cells, "" if place == first else spread(less(results, f"{place}/test", f"{first}/test"), "+.4f")]
        )
    return table(["way", *columns.values(), "test accuracy, less the first row's"], rows)


def imported(results: Results, *, measure: str, ways: dict[str, str]) -> str:
    """Ways to bring trained weights or text into torch: test accuracy of the same network."""
    inside = f"{measure}/import"
    rows = [["Keras itself", spread(numbers(results, f"{inside}/keras/acc"))]]
    rows += [[label, spread(numbers(results, f"{inside}/{way}"))] for way, label in ways.items()]
    furthest = max(numbers(results, f"{inside}/keras/largest_difference"))
    below = f"Largest difference between Keras' probabilities and those of the right import: {furthest:.0e}."
    return f"{table(['way', 'test accuracy'], rows)}\n\n{below}"


def stepped(results: Results, *, data: str, ways: dict[str, str]) -> str:
    """Distances of weights from Keras' after 50 steps, one a seed: a mean of chaos and order would be neither."""
    labels = {**ways, "float32": "*no mistake, the right way in float32*"}
    rows = [[label, *(f"{n:.2g}" for n in numbers(results, f"steps/{data}/{way}"))] for way, label in labels.items()]
    return table(
        ["distance from Keras' weights after 50 steps", *(f"seed {s}" for s in sorted(results["steps"]))], rows
    )


def both(*parts: Callable[[Results], str]) -> Callable[[Results], str]:
    """Tables one under the other."""
    return lambda results: "\n\n".join(part(results) for part in parts)


def bias(results: Results) -> str:
    """How far the sum of two trained biases goes."""
    rows = [
        [f"{steps} step{'s'[: steps > 1]}", spread(numbers(results, f"steps/bias_ratio_{steps}"), ".3f")]
        for steps in (1, 50)
    ]
    return table(["after", "way of the sum of two biases, relative to that of one"], rows)


def xor(results: Results) -> str:
    """Passes of gradient descent with a summed and an averaged loss."""
    labels = {"sum": "half the squared error, summed over the four rows", "mean": "`F.mse_loss`: their mean"}
    seeds = sorted(results["xor"], key=int)
    rows = [[label, *(f"{results['xor'][s][way]:,}" for s in seeds)] for way, label in labels.items()]
    return table(["loss", *(f"passes, seed {s}" for s in seeds)], rows)


def counts(results: Results) -> str:
    """Ways to report one network's test result."""
    labels = {
        "samples": "over all samples",
        "mean_of_batches": "mean of the batches' means",
        "last_dropped": "without the last batch (`drop_last=True`)",
    }
    rows = [
        [label, *(spread(numbers(results, f"mnist/count/{way}/{column}"), ".5f") for column in ("loss", "acc"))]
        for way, label in labels.items()
    ]
    return table(["way", "test loss", "test accuracy"], rows)


def dropout(results: Results) -> str:
    """A network with dropout, tested with and without."""
    labels = {"test": "`network.eval()` before the test", "left_on": "still in training mode"}
    rows = [[label, spread(numbers(results, f"mnist/dropout/{way}"))] for way, label in labels.items()]
    return table(["way", "test accuracy"], rows)


def split(results: Results) -> str:
    """What the last fifth of each order holds, and what it reports."""
    labels = {"keras": "the last fifth of Keras' order", "split": "the last fifth of the files' order"}
    columns = {"positive_in_val": "positive reviews in it", "val": "accuracy on it", "test": "test accuracy"}
    rows = []
    for way, label in labels.items():
        cells = [spread(numbers(results, f"simple/{way}/{column}")) for column in columns]
        off = less(results, f"simple/{way}/val", f"simple/{way}/test")
        rows.append([label, *cells, spread(off, "+.4f")])
    return table(["validation part", *columns.values(), "accuracy on it, less test accuracy"], rows)


def machine(results: Results) -> str:
    """Where and with what the numbers were measured."""
    runs = [run for by_seed in results.values() for run in by_seed.values()]
    machines = "; ".join(sorted({run["machine"] for run in runs}))
    commits = ", ".join(sorted({run["commit"][:9] + run["commit"][40:] for run in runs}))
    used = sorted({f"{name} {version}" for run in runs for name, version in run["versions"].items()})
    minutes = sum(run["seconds"] for run in runs) / 60
    seeds = "; ".join(f"{measure} {', '.join(sorted(by_seed, key=int))}" for measure, by_seed in results.items())
    begun = f"Seeds: {seeds}. The runs took {minutes:.0f} minutes in all ({machines})"
    return f"{begun}; commit {commits} (+: with changes); {', '.join(used)}."
