"""A network as a Keras file, `.keras`, that computes the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lit_models.classifier import LitClassifier
from lit_models.keras.architecture import exported_layers
from lit_models.keras.files import Array
from lit_models.keras.models import PROBABILITY, compare_outputs, require_keras, save_keras
from lit_models.keras.weights import to_keras_weights


def export_keras(module: LitClassifier, path: Path) -> str:
    """Writes a Sequential model with the network's weights to a new file, after its outputs were compared.

    Returns:
        A sentence about the comparison, and one about the inputs where Keras' own order is another.

    Raises:
        ValueError: the network has no counterpart in Keras, or Keras is not there.
    """
    if path.suffix != ".keras":
        raise ValueError(f"a Keras file ends in .keras, so it cannot be {path}")
    layers = exported_layers(type(module).__name__, dict(module.hparams))
    require_keras("export --format keras")
    weights = to_keras_weights(module.network)
    dtype = str(next(module.parameters()).dtype).removeprefix("torch.")
    apart = compare_outputs(layers, weights, network_outputs(module), dtype=dtype)
    save_keras(layers, weights, path, dtype=dtype)
    text = f"largest difference of a probability on random inputs: {apart:.1e} (allowed: {PROBABILITY:.0e})"
    if type(module).__name__ == "LitMLP":
        row = f"it reads rows of {module.hparams['num_features']} numbers"
        return f"{text}\nnote: {row}; an image of several channels is flattened channel first for it, (C, H, W)"
    return text


def network_outputs(module: LitClassifier) -> Callable[[Any], tuple[Array, Array]]:
    """The function from inputs in Keras' layout to logits and probabilities."""

    def compute(inputs: Any) -> tuple[Array, Array]:
        x = torch.from_numpy(inputs)
        if not x.is_floating_point():
            x = x.long()
        elif x.dim() == 4:
            x = x.movedim(-1, 1)  # (B, H, W, C) -> (B, C, H, W)
        with torch.no_grad():
            logits = module.eval()(x)
            return logits.numpy(), module.probabilities(logits).numpy()

    return compute
