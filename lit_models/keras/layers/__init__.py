"""Keras' layers as torch modules, one class a layer, and the table of them."""

import inspect
from collections.abc import Mapping
from typing import Any

from lit_models.keras.layers import (
    activations,
    attention,
    augmentation,
    convolution,
    dense,
    merging,
    normalization,
    pooling,
    recurrent,
    recurrent_convolution,
    regularization,
    shapes,
    wrappers,
)
from lit_models.keras.layers.base import KerasLayer as KerasLayer
from lit_models.keras.layers.base import Mask as Mask
from lit_models.keras.layers.base import Shape as Shape

KINDS: tuple[type[KerasLayer], ...] = (
    activations.Activation,
    activations.ReLU,
    activations.LeakyReLU,
    activations.ELU,
    activations.PReLU,
    activations.Softmax,
    attention.MultiHeadAttention,
    attention.GroupQueryAttention,
    attention.Attention,
    attention.AdditiveAttention,
    augmentation.RandomFlip,
    augmentation.RandomRotation,
    augmentation.RandomZoom,
    augmentation.RandomTranslation,
    augmentation.RandomContrast,
    augmentation.RandomBrightness,
    augmentation.Resizing,
    augmentation.CenterCrop,
    convolution.Conv1D,
    convolution.Conv2D,
    convolution.Conv3D,
    convolution.DepthwiseConv1D,
    convolution.DepthwiseConv2D,
    convolution.SeparableConv1D,
    convolution.SeparableConv2D,
    convolution.Conv1DTranspose,
    convolution.Conv2DTranspose,
    convolution.Conv3DTranspose,
    dense.Dense,
    dense.EinsumDense,
    dense.Embedding,
    dense.Identity,
    dense.Masking,
    merging.Add,
    merging.Subtract,
    merging.Multiply,
    merging.Average,
    merging.Maximum,
    merging.Minimum,
    merging.Concatenate,
    merging.Dot,
    merging.CustomScaleLayer,
    normalization.BatchNormalization,
    normalization.LayerNormalization,
    normalization.GroupNormalization,
    normalization.RMSNormalization,
    normalization.UnitNormalization,
    normalization.Normalization,
    normalization.LayerScale,
    pooling.MaxPooling1D,
    pooling.MaxPooling2D,
    pooling.MaxPooling3D,
    pooling.AveragePooling1D,
    pooling.AveragePooling2D,
    pooling.AveragePooling3D,
    pooling.AdaptiveMaxPooling1D,
    pooling.AdaptiveMaxPooling2D,
    pooling.AdaptiveMaxPooling3D,
    pooling.AdaptiveAveragePooling1D,
    pooling.AdaptiveAveragePooling2D,
    pooling.AdaptiveAveragePooling3D,
    pooling.GlobalMaxPooling1D,
    pooling.GlobalMaxPooling2D,
    pooling.GlobalMaxPooling3D,
    pooling.GlobalAveragePooling1D,
    pooling.GlobalAveragePooling2D,
    pooling.GlobalAveragePooling3D,
    recurrent.SimpleRNN,
    recurrent.LSTM,
    recurrent.GRU,
    recurrent_convolution.ConvLSTM1D,
    recurrent_convolution.ConvLSTM2D,
    recurrent_convolution.ConvLSTM3D,
    regularization.Dropout,
    regularization.SpatialDropout1D,
    regularization.SpatialDropout2D,
    regularization.SpatialDropout3D,
    regularization.GaussianDropout,
    regularization.AlphaDropout,
    regularization.GaussianNoise,
    regularization.ActivityRegularization,
    shapes.Flatten,
    shapes.Reshape,
    shapes.Permute,
    shapes.RepeatVector,
    shapes.ZeroPadding1D,
    shapes.ZeroPadding2D,
    shapes.ZeroPadding3D,
    shapes.Cropping1D,
    shapes.Cropping2D,
    shapes.Cropping3D,
    shapes.UpSampling1D,
    shapes.UpSampling3D,
    shapes.UpSampling2D,
    shapes.Rescaling,
    wrappers.Bidirectional,
    wrappers.TimeDistributed,
    wrappers.SimpleRNNCell,
    wrappers.LSTMCell,
    wrappers.GRUCell,
    wrappers.RNN,
)
LAYERS: dict[str, type[KerasLayer]] = {kind.__name__: kind for kind in KINDS}
"""The layers by their names in Keras."""


def settings_of(kind: type[KerasLayer]) -> dict[str, inspect.Parameter]:
    """The settings that a layer takes, with those of its base classes that it passes on."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
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
