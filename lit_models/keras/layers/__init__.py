"""Keras' layers as torch modules, one class a layer, and the table of them."""

import inspect
from collections.abc import Mapping
from typing import Any

from lit_models.keras.layers import (
    activations,
    attention,
    convolution,
    dense,
    merging,
    normalization,
    pooling,
    recurrent,
    regularization,
    shapes,
    wrappers,
)
from lit_models.keras.layers.base import KerasLayer as KerasLayer
from lit_models.keras.layers.base import Mask as Mask
from lit_models.keras.layers.base import Shape as Shape

BASES = (
    "KerasLayer",
    "Convolution",
    "DepthwiseConvolution",
    "SeparableConvolution",
    "TransposedConvolution",
    "Pooling",
)
BASES += ("MaxPooling", "AveragePooling", "AdaptivePooling", "GlobalPooling", "GlobalMaxPooling", "Extreme", "Merge")
BASES += ("GlobalAveragePooling", "Normalizing", "Cropping", "ZeroPadding", "UpSampling", "Rate", "SpatialDropout")
BASES += ("Recurrent", "Gated", "HeadAttention")
FILES = (activations, attention, convolution, dense, merging, normalization, pooling, recurrent, regularization)
FILES += (shapes, wrappers)
LAYERS: dict[str, type[KerasLayer]] = {
    name: kind
    for file in FILES
    for name, kind in vars(file).items()
    if inspect.isclass(kind) and issubclass(kind, KerasLayer) and name not in BASES
}
"""The layers by their names in Keras."""


def settings_of(kind: type[KerasLayer]) -> dict[str, inspect.Parameter]:
    """The settings that a layer takes, with those of its base classes that it passes on."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        found = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY} | found
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def build_layer(layer: Mapping[str, Any], *shapes: Shape) -> KerasLayer:
    """A layer from plain data.

    Args:
        layer: `kind`, a name in `LAYERS`, and its `settings`.
        shapes: of the inputs, without the batch.
    """
    return LAYERS[layer["kind"]](*shapes, **layer["settings"])
