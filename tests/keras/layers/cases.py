"""Layers of Keras in many settings, by the shape of a sample that they read."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

Case = tuple[tuple[int, ...], Callable[[Any], list[Any]]]
"""The shape of a sample, and the layers, made from `keras.layers`."""
IMAGE, VOLUME, STEPS, ROW = (7, 8, 4), (4, 5, 6, 2), (9, 4), (6,)
ACTIVATIONS = (
    *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *("leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
    *("soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh"),
    "tanh_shrink",
)


def one(kind: str, *arguments: Any, **settings: Any) -> Callable[[Any], list[Any]]:
    """One layer."""
    return lambda layers: [getattr(layers, kind)(*arguments, **settings)]


def convolutions() -> Iterator[tuple[str, Case]]:
    kinds = {"Conv2D": (5, 3), "DepthwiseConv2D": (3,), "SeparableConv2D": (5, 3), "Conv2DTranspose": (5, 3)}
    for (kind, first), padding, strides in product(kinds.items(), ("valid", "same"), (1, 2, 3)):
        yield f"{kind} {padding} {strides}", (IMAGE, one(kind, *first, padding=padding, strides=strides))
    yield "Conv2D even", (IMAGE, one("Conv2D", 3, (2, 4), padding="same", strides=2, use_bias=False))
    yield "Conv2D dilated", (IMAGE, one("Conv2D", 3, 3, padding="same", dilation_rate=2, activation="relu"))
    yield "Conv2D groups", (IMAGE, one("Conv2D", 6, 3, groups=2))
    yield "Conv2D first", (IMAGE, one("Conv2D", 6, 1, activation="tanh"))
    yield "DepthwiseConv2D twice", (IMAGE, one("DepthwiseConv2D", 2, depth_multiplier=2, padding="same"))
    yield "Conv2DTranspose padding", (IMAGE, one("Conv2DTranspose", 3, 3, strides=2, padding="same", output_padding=1))
    yield "Conv1D causal", (STEPS, one("Conv1D", 5, 3, padding="causal", dilation_rate=2))
    yield "Conv1D same", (STEPS, one("Conv1D", 5, 4, padding="same", strides=2))
    yield "SeparableConv1D", (STEPS, one("SeparableConv1D", 5, 3, padding="same", depth_multiplier=2))
    yield "DepthwiseConv1D", (STEPS, one("DepthwiseConv1D", 3, padding="same"))
    yield "Conv1DTranspose", (STEPS, one("Conv1DTranspose", 3, 3, strides=2, padding="same"))
    yield "Conv3D", (VOLUME, one("Conv3D", 3, 2, padding="same", strides=2))
    yield "Conv3DTranspose", (VOLUME, one("Conv3DTranspose", 3, 2, strides=2))


def poolings() -> Iterator[tuple[str, Case]]:
    places = {1: STEPS, 2: IMAGE, 3: VOLUME}
    for name, (rank, shape) in product(("Max", "Average"), places.items()):
        for padding, strides in product(("valid", "same"), (1, 2)):
            settings = {"padding": padding, "strides": strides}
            yield f"{name}Pooling{rank}D {padding} {strides}", (shape, one(f"{name}Pooling{rank}D", 3, **settings))
        yield f"Global{name}Pooling{rank}D", (shape, one(f"Global{name}Pooling{rank}D", keepdims=rank == 2))
        yield f"Adaptive{name}Pooling{rank}D", (shape, one(f"Adaptive{name}Pooling{rank}D", 3))


def others() -> Iterator[tuple[str, Case]]:
    yield "BatchNormalization", (IMAGE, one("BatchNormalization"))
    yield "BatchNormalization axis", (IMAGE, one("BatchNormalization", axis=1, scale=False))
    yield "LayerNormalization", (IMAGE, one("LayerNormalization", center=False))
    yield "LayerNormalization axes", (IMAGE, one("LayerNormalization", axis=[1, 3]))
    yield "GroupNormalization", (IMAGE, one("GroupNormalization", 2))
    yield "RMSNormalization", (IMAGE, one("RMSNormalization"))
    yield "UnitNormalization", (IMAGE, one("UnitNormalization"))
    yield "Normalization", (IMAGE, one("Normalization", mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0]))
    yield "Normalization measured", (IMAGE, one("Normalization"))
    yield "Rescaling", (IMAGE, one("Rescaling", 2.0, offset=-1.0))
    yield "PReLU", (IMAGE, one("PReLU", shared_axes=[1, 2]))
    yield "ReLU", (IMAGE, one("ReLU", max_value=1, negative_slope=0.1, threshold=0.3))
    yield "LeakyReLU", (IMAGE, one("LeakyReLU", 0.2))
    yield "ELU", (IMAGE, one("ELU", 0.7))
    yield "Softmax", (IMAGE, one("Softmax", axis=1))
    yield "Softmax axes", (IMAGE, one("Softmax", axis=[1, 2]))
    yield "ZeroPadding2D", (IMAGE, one("ZeroPadding2D", ((1, 2), (3, 0))))
    yield "Cropping2D", (IMAGE, one("Cropping2D", ((1, 2), (3, 0))))
    yield "UpSampling2D", (IMAGE, one("UpSampling2D", (2, 3)))
    yield "UpSampling2D bilinear", (IMAGE, one("UpSampling2D", 2, interpolation="bilinear"))
    yield "ZeroPadding1D", (STEPS, one("ZeroPadding1D", (1, 2)))
    yield "Cropping1D", (STEPS, one("Cropping1D", (1, 2)))
    yield "UpSampling1D", (STEPS, one("UpSampling1D", 2))
    yield "ZeroPadding3D", (VOLUME, one("ZeroPadding3D", 1))
    yield "Cropping3D", (VOLUME, one("Cropping3D", 1))
    yield "UpSampling3D", (VOLUME, one("UpSampling3D", 2))
    yield "Flatten", (IMAGE, one("Flatten"))
    yield "Reshape", (IMAGE, one("Reshape", (8, -1)))
    yield "Permute", (IMAGE, one("Permute", (3, 1, 2)))
    yield "RepeatVector", (ROW, one("RepeatVector", 3))
    yield "Dense", (IMAGE, one("Dense", 5, activation="gelu", use_bias=False))
    yield "EinsumDense", (STEPS, one("EinsumDense", "abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de"))
    for kind in ("Dropout", "AlphaDropout", "GaussianDropout"):
        yield kind, (ROW, one(kind, 0.3))
    yield "GaussianNoise", (ROW, one("GaussianNoise", 0.3))
    for kind, shape in (("SpatialDropout1D", STEPS), ("SpatialDropout2D", IMAGE), ("SpatialDropout3D", VOLUME)):
        yield kind, (shape, one(kind, 0.3))
    yield "ActivityRegularization", (ROW, one("ActivityRegularization"))
    yield "Masking", (STEPS, one("Masking"))
    yield "Identity", (ROW, one("Identity"))
    for name in ACTIVATIONS:
        yield f"Activation {name}", (ROW, one("Activation", name))


def pictures() -> Iterator[tuple[str, Case]]:
    """Layers that change images at random, and those that cut and resize them."""
    for kind, settings in RANDOM.items():
        yield kind, (IMAGE, one(kind, **settings))
    for mode, size in product(("bilinear", "nearest"), ((14, 5), (3, 16))):
        yield f"Resizing {mode} {size[0]}", (IMAGE, one("Resizing", *size, interpolation=mode))
    yield "CenterCrop", (IMAGE, one("CenterCrop", 4, 5))


RANDOM: dict[str, dict[str, Any]] = {
    "RandomFlip": {"mode": "horizontal"},
    "RandomRotation": {"factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.3},
    "RandomContrast": {"factor": 0.2},
    "RandomBrightness": {"factor": 0.2},
}


def recurrent() -> Iterator[tuple[str, Case]]:
    settings: list[dict[str, Any]] = [{}, {"return_sequences": True, "go_backwards": True}, {"activation": "relu"}]
    settings += [{"use_bias": False}, {"return_sequences": True, "zero_output_for_mask": True}]
    for kind, (i, given), masked in product(("SimpleRNN", "LSTM", "GRU"), enumerate(settings), (False, True)):
        mask: list[tuple[str, dict[str, Any]]] = [("Masking", {})] if masked else []
        yield f"{kind} {i} {'masked' if masked else ''}", (STEPS, stack(*mask, (kind, {"units": 3, **given})))
    yield "GRU before", (STEPS, one("GRU", 3, reset_after=False))
    for kind, mode in product(("SimpleRNN", "LSTM", "GRU"), ("concat", "sum", "ave", "mul")):
        yield f"Bidirectional {kind} {mode}", (STEPS, both_ways(kind, mode))
    for (rank, shape), same in product({1: (5, 6, 2), 2: (5, 4, 6, 2), 3: (3, 4, 5, 3, 2)}.items(), (True, False)):
        given = {"padding": "same" if same else "valid", "strides": 1 if same else 2, "return_sequences": same}
        yield f"ConvLSTM{rank}D {same}", (shape, one(f"ConvLSTM{rank}D", 3, 2 + same, go_backwards=same, **given))
    yield "ConvLSTM2D dilated", ((5, 6, 6, 2), one("ConvLSTM2D", 3, 2, dilation_rate=2, use_bias=False))
    for kind, masked in product(("SimpleRNNCell", "LSTMCell", "GRUCell"), (False, True)):
        yield f"RNN {kind} {'masked' if masked else ''}", (STEPS, in_steps(kind, masked))
    yield "TimeDistributed", (VOLUME, lambda layers: [layers.TimeDistributed(layers.Conv2D(3, 2))])


def stack(*kinds: tuple[str, dict[str, Any]]) -> Callable[[Any], list[Any]]:
    """Several layers."""
    return lambda layers: [getattr(layers, kind)(**settings) for kind, settings in kinds]


def in_steps(kind: str, masked: bool) -> Callable[[Any], list[Any]]:
    """A cell inside RNN."""

    def make(layers: Any) -> list[Any]:
        cell = getattr(layers, kind)(3, use_bias=masked)
        return [*([layers.Masking()] if masked else []), layers.RNN(cell, return_sequences=masked, go_backwards=masked)]

    return make


def both_ways(kind: str, mode: str) -> Callable[[Any], list[Any]]:
    """A recurrent layer in both directions, over masked steps."""
    sequences = mode in ("concat", "mul")

    def make(layers: Any) -> list[Any]:
        inner = getattr(layers, kind)(3, return_sequences=sequences)
        return [layers.Masking(), layers.Bidirectional(inner, merge_mode=mode)]

    return make


def first_of_each_kind(names: Iterable[str]) -> set[str]:
    """The first case of each layer, which the quick tests try; the others are slow tests."""
    return set({name.split()[0]: name for name in reversed([*names])}.values())


CASES: dict[str, Case] = dict([*convolutions(), *poolings(), *others(), *pictures(), *recurrent()])
QUICK = first_of_each_kind(CASES)
