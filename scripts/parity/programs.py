"""The original programs that the study trains, and the constants of the study."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["ours", "nudged", "paired", "original"]
"""Which program computes a run.

"ours" is `fit` on our command line. "nudged" is the same with slightly different initial weights. "paired" is the
original program with our initial weights and our order of batches. "original" is the original program with its own
random numbers.
"""
TRACED_STEPS = 300  # the loss of each of these first steps is recorded


@dataclass(frozen=True)
class Program:
    """An original program.

    Args:
        config: name of our config that reproduces it.
        epochs: number of epochs, on both sides.
        batch_size: samples in a step.
        seeds: number of published runs of each side.
        backend: Keras' backend; None for the numpy program.
        margin: largest difference in mean test accuracy, as a fraction, that counts as equivalent.
        nudged: whether a nudged run is published. This is so if the original with seed 0 diverges from ours within the
            traced steps.
    """

    config: str
    epochs: int
    batch_size: int
    seeds: int
    backend: str | None
    margin: float
    nudged: bool = False


# The margins were chosen before the first run, from the spread between seeds that was known then. The SimpleRNN has the
# largest, because its last epoch varies most.
PROGRAMS = {
    program.config: program
    for program in (
        Program("xor_mlp", epochs=10, batch_size=4, seeds=3, backend=None, margin=0.0, nudged=True),
        Program("mnist_cnn", epochs=5, batch_size=64, seeds=5, backend="tensorflow", margin=0.003, nudged=True),
        Program("imdb_rnn", epochs=10, batch_size=128, seeds=5, backend="jax", margin=0.05, nudged=True),
        Program("imdb_lstm", epochs=10, batch_size=128, seeds=3, backend="jax", margin=0.02),
        Program("imdb_gru", epochs=10, batch_size=128, seeds=3, backend="jax", margin=0.02),
    )
}
