"""The table at the top of docs/porting.md: each difference, its cost, its place in this project."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from scripts.porting_tables import Results, less, mean, table


class Difference(NamedTuple):
    """A line of the table at the top.

    Args:
        title: heading of its section.
        cost: when it is ignored.
        file: where the right way is in this project.
        name: of the function, class or constant there.
    """

    title: str
    cost: Callable[[Results], str]
    file: str
    name: str


def arrow(results: Results, *, what: str, right: str, wrong: str) -> str:
    """Two means."""
    return f"{what} {mean(results, right):.4f} → {mean(results, wrong):.4f}"


def chance(results: Results, measure: str) -> float:
    """Largest change of test accuracy by a start that is moved by a millionth."""
    nudged = f"nudged/{measure.removeprefix('gates/')}"
    return max(map(abs, less(results, f"{nudged}/test", f"{measure}/keras/test")))


def from_keras(measure: str, wrong: str) -> Callable[[Results], str]:
    """Test accuracy of a network that is trained in Keras' way and in another; whether chance alone does as much."""
    data = "MNIST" if measure == "mnist" else "IMDB"
    right, other = (f"{measure}/{way}/test" for way in ("keras", wrong))

    def cost(results: Results) -> str:
        name = f"{data} (LSTM)" if measure == "gates/lstm" else data
        shown = arrow(results, what=f"{name} test accuracy", right=right, wrong=other)
        within = abs(mean(results, other) - mean(results, right)) <= chance(results, measure)
        return f"{shown}{', within chance' if within else ''}"

    return cost


def from_import(measure: str, wrong: str) -> Callable[[Results], str]:
    """Test accuracy of the same weights, imported rightly and in another way."""
    what = {"mnist": "MNIST", "simple": "IMDB", "gates": "IMDB (GRU)"}[measure]
    inside = f"{measure}/import"
    return partial(arrow, what=f"{what} test accuracy", right=f"{inside}/right", wrong=f"{inside}/{wrong}")


def with_weights(data: str, way: str, then: Callable[[Results], str]) -> Callable[[Results], str]:
    """Distance of the weights, then the accuracies."""
    return lambda r: (
        f"weights apart by {mean(r, f'steps/{data}/{way}'):.0%} of the way that they came in 50 steps; {then(r)}"
    )


def off(results: Results, place: str, first: str) -> float:
    """Mean distance of paired numbers."""
    distances = [abs(distance) for distance in less(results, place, first)]
    return sum(distances) / len(distances)


def split_cost(results: Results) -> str:
    """Classes of the validation part, and how well it tells the test accuracy."""
    positive = mean(results, "simple/split/positive_in_val")
    keras, split = (off(results, f"simple/{way}/val", f"simple/{way}/test") for way in ("keras", "split"))
    begun = f"{positive:.0%} positive reviews in the validation part"
    return f"{begun}; its accuracy is off the test accuracy by {keras:.4f} → {split:.4f}"


def count_cost(results: Results) -> str:
    """How far means of batches' means are from means over samples."""
    ways = [f"mnist/count/{way}" for way in ("mean_of_batches", "samples")]
    loss, acc = (off(results, *(f"{way}/{column}" for way in ways)) for column in ("loss", "acc"))
    return f"MNIST test loss off by {loss:.5f}, accuracy by {acc:.5f}"


DIFFERENCES = [
    Difference("Flatten order", from_import("mnist", "flatten"), "lit_models/keras/weights.py", "_dense_kernel"),
    Difference("Convolution kernels", from_import("mnist", "reshape"), "lit_models/keras/weights.py", "keras_arrays"),
    Difference("Square kernels", from_import("simple", "square"), "lit_models/keras/weights.py", "_recurrent"),
    Difference("Gate order", from_import("gates", "gate_order"), "lit_models/keras/weights.py", "_recurrent"),
    Difference("Two biases of a GRU", from_import("gates", "one_bias"), "lit_models/keras/weights.py", "_recurrent"),
    Difference("Initial weights", from_keras("simple", "init"), "lit_models/keras/initializers.py", "init_like_keras"),
    Difference(
        "Forget gates", from_keras("gates/lstm", "forget_bias"), "lit_models/keras/initializers.py", "init_like_keras"
    ),
    Difference(
        "Adam's epsilon",
        with_weights("mnist", "adam_epsilon", from_keras("mnist", "adam_epsilon")),
        "lit_models/keras/optimizers.py",
        "KerasAdam",
    ),
    Difference(
        "RMSprop's epsilon",
        with_weights("imdb", "rmsprop_epsilon", from_keras("simple", "rmsprop_epsilon")),
        "lit_models/keras/optimizers.py",
        "KerasRMSprop",
    ),
    Difference(
        "RMSprop's rho",
        with_weights("imdb", "rho", from_keras("simple", "rho")),
        "lit_models/keras/optimizers.py",
        "KerasRMSprop",
    ),
    Difference(
        "The doubled bias",
        lambda r: f"the bias moves {mean(r, 'steps/bias_ratio_1'):.2f} times as far; {from_keras('simple', 'bias')(r)}",
        "lit_models/keras/initializers.py",
        "init_like_keras",
    ),
    Difference("Softmax twice", from_keras("mnist", "softmax"), "lit_models/classifier.py", "sample_losses"),
    Difference(
        "Sum or mean",
        lambda r: f"XOR needs {mean(r, 'xor/mean') / mean(r, 'xor/sum'):.2f} times as many passes",
        "lit_models/classifier.py",
        "half_squared_error",
    ),
    Difference("Padding side", from_import("simple", "behind"), "datamodules/tokens.py", "TokenTable"),
    Difference("Cut side", from_import("simple", "cut_behind"), "datamodules/tokens.py", "TokenTable"),
    Difference("Word ids", from_import("simple", "offset"), "datamodules/tokenizers.py", "FIRST_WORD_ID"),
    Difference("Scale of the images", from_import("mnist", "standardised"), "datamodules/mnist.py", "ImageTable"),
    Difference(
        "Validation split",
        split_cost,
        "datamodules/imdb.py",
        "ORDER_SEED",
    ),
    Difference("Shuffling", from_keras("simple", "unshuffled"), "datamodules/base.py", "GlobalBatchSampler"),
    Difference(
        "Dropout in tests",
        partial(arrow, what="MNIST test accuracy", right="mnist/dropout/test", wrong="mnist/dropout/left_on"),
        "lit_models/cnn.py",
        "dropout",
    ),
    Difference(
        "Means of batches",
        count_cost,
        "lit_models/classifier.py",
        "SplitMetrics",
    ),
]


def summary(results: Results) -> str:
    """Each difference, with its cost and its place here."""
    rows = [
        [
            f"[{d.title}](#{d.title.lower().replace(' ', '-').replace(chr(39), '')})",
            d.cost(results),
            f"[{d.file}](../{d.file}), `{d.name}`",
        ]
        for d in DIFFERENCES
    ]
    mnist, simple, lstm = (chance(results, measure) for measure in ("mnist", "simple", "gates/lstm"))
    below = (
        "Within chance: not more than a start that is moved by a millionth, which is no mistake, changed a test\n"
        "accuracy: "
        f"{mnist:.4f} (MNIST), {simple:.4f} (IMDB, SimpleRNN), {lstm:.4f} (IMDB, LSTM)."
    )
    return f"{table(['difference', 'cost when it is ignored', 'where it is here'], rows)}\n\n{below}"
