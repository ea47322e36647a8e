"""The table at the top of docs/porting.md: each difference, its cost, and where this project handles it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from scripts.porting.tables import Results, differences, mean, table


class Difference(NamedTuple):
    """A row of the table.

    Args:
        title: heading of the difference's section.
        cost: describes the cost of ignoring the difference, from the results.
        file: file of this project with the correct way.
        name: function, class or constant in that file.
    """

    title: str
    cost: Callable[[Results], str]
    file: str
    name: str


def arrow(results: Results, *, what: str, right: str, wrong: str) -> str:
    """The means of the correct and of the wrong way."""
    return f"{what} {mean(results, right):.4f} → {mean(results, wrong):.4f}"


def chance(results: Results, measure: str) -> float:
    """Largest change of the test accuracy after a change of 1e-6 in the initial weights."""
    nudged = f"nudged/{measure.removeprefix('gates/')}"
    return max(map(abs, differences(results, f"{nudged}/test", f"{measure}/keras/test")))


def from_keras(measure: str, wrong: str) -> Callable[[Results], str]:
    """Test accuracy of a network trained as in Keras and in another way, and whether the change is within chance."""
    data = "MNIST" if measure == "mnist" else "IMDB"
    right, other = (f"{measure}/{way}/test" for way in ("keras", wrong))

    def cost(results: Results) -> str:
        name = f"{data} (LSTM)" if measure == "gates/lstm" else data
        shown = arrow(results, what=f"{name} test accuracy", right=right, wrong=other)
        within = abs(mean(results, other) - mean(results, right)) <= chance(results, measure)
        return f"{shown}{' (within chance)' if within else ''}"

    return cost


def from_import(measure: str, wrong: str) -> Callable[[Results], str]:
    """Test accuracy of the same weights, imported correctly and in another way."""
    what = {"mnist": "MNIST", "simple": "IMDB", "gates": "IMDB (GRU)"}[measure]
    inside = f"{measure}/import"
    return partial(arrow, what=f"{what} test accuracy", right=f"{inside}/right", wrong=f"{inside}/{wrong}")


def with_weights(data: str, way: str, then: Callable[[Results], str]) -> Callable[[Results], str]:
    """Distance between the weights after 50 steps, then the accuracies."""

    def cost(results: Results) -> str:
        moved = mean(results, f"steps/{data}/{way}")
        return f"after 50 steps, the weights differ by {moved:.0%} of the distance they moved; {then(results)}"

    return cost


def distance(results: Results, path: str, reference: str) -> float:
    """Mean absolute difference of paired numbers."""
    distances = [abs(difference) for difference in differences(results, path, reference)]
    return sum(distances) / len(distances)


def split_cost(results: Results) -> str:
    """Classes of the validation part, and the difference between its accuracy and the test accuracy."""
    positive = mean(results, "simple/split/positive_in_val")
    keras, split = (distance(results, f"simple/{way}/val", f"simple/{way}/test") for way in ("keras", "split"))
    shown = f"{positive:.0%} of the validation reviews are positive"
    return f"{shown}; difference between validation and test accuracy {keras:.4f} → {split:.4f}"


def count_cost(results: Results) -> str:
    """Difference between the mean of batch means and the mean over samples."""
    ways = [f"mnist/count/{way}" for way in ("mean_of_batches", "samples")]
    loss, acc = (distance(results, *(f"{way}/{column}" for way in ways)) for column in ("loss", "acc"))
    return f"MNIST test loss wrong by {loss:.5f}, accuracy by {acc:.5f}"


DIFFERENCES = [
    Difference("Flatten order", from_import("mnist", "flatten"), "lit_models/keras/rules/weights.py", "_dense_kernel"),
    Difference(
        "Convolution kernels", from_import("mnist", "reshape"), "lit_models/keras/rules/weights.py", "keras_arrays"
    ),
    Difference(
        "Square kernels", from_import("simple", "square"), "lit_models/keras/rules/weights.py", "recurrent_arrays"
    ),
    Difference(
        "Gate order", from_import("gates", "gate_order"), "lit_models/keras/rules/weights.py", "recurrent_arrays"
    ),
    Difference(
        "Two biases of a GRU", from_import("gates", "one_bias"), "lit_models/keras/rules/weights.py", "recurrent_arrays"
    ),
    Difference(
        "Initial weights", from_keras("simple", "init"), "lit_models/keras/rules/initializers.py", "init_like_keras"
    ),
    Difference(
        "Forget gate bias",
        from_keras("gates/lstm", "forget_bias"),
        "lit_models/keras/rules/initializers.py",
        "init_like_keras",
    ),
    Difference(
        "Adam's epsilon",
        with_weights("mnist", "adam_epsilon", from_keras("mnist", "adam_epsilon")),
        "lit_models/keras/rules/optimizers.py",
        "KerasAdam",
    ),
    Difference(
        "RMSprop's epsilon",
        with_weights("imdb", "rmsprop_epsilon", from_keras("simple", "rmsprop_epsilon")),
        "lit_models/keras/rules/optimizers.py",
        "KerasRMSprop",
    ),
    Difference(
        "RMSprop's rho",
        with_weights("imdb", "rho", from_keras("simple", "rho")),
        "lit_models/keras/rules/optimizers.py",
        "KerasRMSprop",
    ),
    Difference(
        "Doubled bias",
        lambda r: f"the bias moves {mean(r, 'steps/bias_ratio_1'):.2f} times as far; {from_keras('simple', 'bias')(r)}",
        "lit_models/keras/rules/initializers.py",
        "init_like_keras",
    ),
    Difference("Softmax applied twice", from_keras("mnist", "softmax"), "lit_models/tasks/targets.py", "sample_losses"),
    Difference(
        "Sum or mean of the loss",
        lambda r: f"XOR needs {mean(r, 'xor/mean') / mean(r, 'xor/sum'):.2f} times as many passes",
        "lit_models/tasks/targets.py",
        "half_squared_error",
    ),
    Difference("Padding side", from_import("simple", "behind"), "datamodules/words/tokens.py", "TokenTable"),
    Difference("Truncation side", from_import("simple", "cut_behind"), "datamodules/words/tokens.py", "TokenTable"),
    Difference("Word ids", from_import("simple", "offset"), "datamodules/words/tokenizers.py", "FIRST_WORD_ID"),
    Difference("Image scale", from_import("mnist", "standardised"), "datamodules/mnist.py", "ImageTable"),
    Difference(
        "Validation split",
        split_cost,
        "datamodules/imdb.py",
        "ORDER_SEED",
    ),
    Difference("Shuffling", from_keras("simple", "unshuffled"), "datamodules/base.py", "GlobalBatchSampler"),
    Difference(
        "Dropout in evaluation",
        partial(arrow, what="MNIST test accuracy", right="mnist/dropout/test", wrong="mnist/dropout/left_on"),
        "lit_models/cnn.py",
        "dropout",
    ),
    Difference(
        "Mean of batch means",
        count_cost,
        "lit_models/tasks/metrics.py",
        "SplitMetrics",
    ),
]


def summary(results: Results) -> str:
    """The table of all differences."""
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
        "*Within chance*: the change is not larger than that of a run without a mistake whose initial weights were\n"
        "changed by 1e-6. Such runs changed the test accuracy by up to "
        f"{mnist:.4f} (MNIST), {simple:.4f} (IMDB, SimpleRNN) and {lstm:.4f} (IMDB, LSTM)."
    )
    return f"{table(['difference', 'cost of ignoring it', 'implemented in'], rows)}\n\n{below}"
