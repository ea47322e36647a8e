"""The text of docs/keras.md, from the results of `python -m scripts.keras_layers`."""

from collections.abc import Mapping
from typing import Any

from lit_models.keras.layers.refused import REFUSED

LIMITS = {
    "ActivityRegularization": "a penalty other than 0",
    "Bidirectional": "merge_mode None; layers other than SimpleRNN, LSTM and GRU",
    "CenterCrop": "images smaller than the crop",
    "PReLU": "sizes that differ from batch to batch",
    "Resizing": "interpolation other than nearest and bilinear",
    "TimeDistributed": "layers that depend on masks",
    "UpSampling2D": "interpolation other than nearest and bilinear",
}
"""Values of settings that are refused, beside the settings that are not taken at all."""

HEAD = """# Layers of Keras

This page is written by `python -m scripts.keras_layers`, from a run beside Keras {keras}. The results are in
`docs/keras.json`.

`python -m lit_models import-keras model.keras` reads a model of these layers and compares it with Keras before it
writes anything. What is not supported is refused, with the name of the layer and what to do.

## Layers that come over

Each layer is computed by live Keras on TensorFlow and by the class here, in float64 and in evaluation, with the same
random weights and inputs. The settings tried are those of `tests/keras/layers/cases.py`. A difference is the largest
one of all these settings, as a fraction of the largest number. Gradients are those of the inputs and of all weights.

- TensorFlow computes some layers, such as LeakyReLU and Resizing, partly in float32, also on float64. Their differences
  are up to 1e-6. It has pooling of volumes in float32 only.
- Layers of attention and Embedding, and layers that merge several inputs, are compared inside of a model, from
  `tests/keras/graphs.py`. The numbers are then those of the whole model.
- A setting under "not taken" is refused unless it is off (null, false or 0). Initializers matter only before training.
  Penalties and constraints of Keras' own classes are taken over.
- Dropout, noise and layers that change images at random draw other numbers than Keras in training. Tests compare how
  the values are spread; for images, they compare the values after a fixed change.

| layer | here | not taken | outputs | gradients |
| --- | --- | --- | --- | --- |
"""
REASONS = """
## Layers that do not come over

| layer | reason, and what to do |
| --- | --- |
"""
EXAMPLES = """
## Examples of keras.io and of TensorFlow's tutorials

Each example was rebuilt in small from its architecture, with random weights, and imported from its file. They are in
`tests/keras/examples.py`. The difference is the largest one of an output before softmax or sigmoid, in float32. Keras
computes on TensorFlow. {equal} of {all} come over.

| example | data | result |
| --- | --- | --- |
"""


def page(results: Mapping[str, Any]) -> str:
    """The whole page."""
    rows = [layer_row(name, entry) for name, entry in results["layers"].items()]
    reasons = [f"| {name} | {reason} |" for name, reason in sorted(REFUSED.items())]
    examples = [f"| {entry['title']} | {entry['kind']} | {result(entry)} |" for entry in results["examples"]]
    equal = sum("difference" in entry for entry in results["examples"])
    return "\n".join(
        [
            HEAD.format(keras=results["keras"]) + "\n".join(rows),
            REASONS + "\n".join(reasons),
            EXAMPLES.format(equal=equal, all=len(examples)) + "\n".join(examples),
            "",
        ]
    )


def layer_row(name: str, entry: Mapping[str, Any]) -> str:
    """A layer that comes over."""
    left = [*entry["refused"], *([LIMITS[name]] if name in LIMITS else [])]
    file = entry["file"]
    numbers = " | ".join(short(number) for number in entry["differences"])
    return f"| {name} | [{file.rpartition('/')[2]}](../{file}) | {', '.join(left)} | {numbers} |"


def short(number: float) -> str:
    """A difference with one digit."""
    return f"{number:.0e}" if number else "0"


def result(entry: Mapping[str, Any]) -> str:
    """What became of an example."""
    if "refused" in entry:
        return f"refused: {entry['refused']}"
    return f"comes over, difference {short(entry['difference'])}"
