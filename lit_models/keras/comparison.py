"""Compares the outputs of a network and of a live Keras model on random inputs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from datamodules.errors import UserError
from lit_models.keras.files.chain import SavedLayer
from lit_models.keras.files.layers import Layer
from lit_models.keras.files.reading import Array
from lit_models.keras.live import build_keras, build_saved, computed, inputs_as_saved, quiet_keras

NUM_SAMPLES, MAX_STEPS = 32, 100
MAX_NUMBERS = 2**24
"""Maximum count of numbers in all samples together, 64 MiB in float32. A tiny file may declare images that fill the
memory."""
PROBABILITY, LOGIT = 1e-5, 1e-4
"""Largest differences that rounding explains. A float32 sum of some thousands of terms in another order differs by 1e-6
of its size, and a probability changes by at most a quarter of the change of its logit. The limit for logits is a
fraction of the largest logit, or of 1 if all are smaller."""


def compare_outputs(
    layers: list[Layer],
    weights: Sequence[Array],
    network: nn.Module,
    *,
    dtype: str,
    saved: Sequence[SavedLayer] | None = None,
) -> float:
    """The largest difference in probability between a live Keras model and a network, on random inputs.

    Logits are compared as well: probabilities of 0 and 1 would hide a difference.

    Args:
        layers: layers of the Keras model, the input first.
        weights: in the order of its `set_weights`.
        network: returns logits. Its inputs are images with the channel first, rows of numbers, or int64 tokens. It is
            set to evaluation mode.
        dtype: precision of both.
        saved: the layers as a file has them. If given, Keras builds its model from these instead of `layers`.

    Raises:
        UserError: they differ by more than `PROBABILITY` or `LOGIT`.
    """
    inputs = random_inputs(layers, dtype)
    logits, probabilities = network_outputs(network, inputs)
    units = layers[-1].settings["units"]

    def outputs(keras: Any, activation: str) -> Array:
        if saved is None:
            output = layers[-1]._replace(settings={**layers[-1].settings, "activation": activation})
            return computed(keras, build_keras(keras, [*layers[:-1], output], weights, dtype=dtype), inputs)
        last = max(i for i, layer in enumerate(saved) if layer.kind == "Dense")  # only its activation may follow
        end = saved[last]._replace(config={**saved[last].config, "activation": activation})
        model = build_saved(keras, [*saved[:last], end], weights, dtype)
        return computed(keras, model, inputs_as_saved(inputs, saved))

    with quiet_keras() as keras:
        their_logits, theirs = (outputs(keras, end) for end in ("linear", "sigmoid" if units == 1 else "softmax"))
    if units == 1:
        probabilities = probabilities[:, 1:]
    elif logits.shape[1] == 1:  # one output here, two in Keras
        their_logits = their_logits[:, 1:] - their_logits[:, :1]
    difference, of_logits = (float(np.abs(a - b).max()) for a, b in ((theirs, probabilities), (their_logits, logits)))
    limit = LOGIT * max(1.0, float(np.abs(their_logits).max()))
    if not (difference <= PROBABILITY and of_logits <= limit):  # NaN is refused too
        raise UserError(
            f"the outputs differ from Keras' on random inputs: probabilities by {difference:.2g} (allowed: "
            f"{PROBABILITY:.0e}), logits by {of_logits:.2g} (allowed: {limit:.0e})"
        )
    return difference


def network_outputs(network: nn.Module, inputs: NDArray[Any]) -> tuple[Array, Array]:
    """Logits `(B, C)` or `(B, 1)` and probabilities `(B, C)` of a network, from inputs in Keras' layout."""
    x = torch.from_numpy(inputs)
    if not x.is_floating_point():
        x = x.long()
    elif x.dim() == 4:
        x = x.movedim(-1, 1)  # (B, H, W, C) -> (B, C, H, W)
    with torch.no_grad():
        logits = network.eval()(x)
        if logits.shape[1] > 1:
            return logits.numpy(), logits.softmax(dim=1).numpy()
        positive = logits.sigmoid()
        return logits.numpy(), torch.cat([1 - positive, positive], dim=1).numpy()


def random_inputs(layers: list[Layer], dtype: str) -> NDArray[Any]:
    """`(32, …)` samples in Keras' layout, the same each time; fewer samples if they are large.

    Images are in 0 to 1, rows of numbers are normally distributed. Tokens have padding at the end of some samples, at
    the start of others, in the middle of one and everywhere in another.

    Raises:
        UserError: one sample is too large.
    """
    rng = np.random.default_rng(0)
    shape = layers[0].settings["batch_shape"][1:]
    embedding = next((layer for layer in layers if layer.kind == "Embedding"), None)
    if embedding is None:
        size = math.prod(shape)
        if size > MAX_NUMBERS:
            raise UserError(
                f"inputs of {size:,} numbers are too large to compare outputs; at most {MAX_NUMBERS:,} are supported"
            )
        several = (min(NUM_SAMPLES, MAX_NUMBERS // size), *shape)
        drawn = rng.random(several) if len(shape) > 1 else rng.standard_normal(several)
        return drawn.astype(dtype)
    steps = min(shape[0] or 20, MAX_STEPS)
    tokens = rng.integers(0, embedding.settings["input_dim"], (NUM_SAMPLES, steps), dtype=np.int32)
    for row, length in enumerate(rng.integers(1, steps + 1, NUM_SAMPLES // 2)):
        tokens[row, length:] = 0
        tokens[-1 - row, : steps - length] = 0
    tokens[0] = 0
    tokens[1, steps // 3 : steps // 2] = 0
    return tokens
