"""The Keras MNIST convnet: three convolutions, two poolings, two dense layers; 93,322 parameters at its defaults.

Source: F. Chollet, "Deep Learning with Python", section 5.1, as the ported Keras program has it. Layer by layer:
Conv2D(32, 3) relu, MaxPooling2D(2), Conv2D(64, 3) relu, MaxPooling2D(2), Conv2D(64, 3) relu, Flatten, Dense(64) relu,
Dense(num_classes) softmax. Other numbers and sizes of these layers are settings.
"""

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.rules.initializers import init_like_keras
from lit_models.kernels.convolution import Convolution
from lit_models.tasks.task import LitTask

Padding = Literal["valid", "same"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class CNN(nn.Module):
    """Convolutions, each with or without max pooling behind it, then dense layers.

    Two changes save time and keep the function. `relu(pool(x))` equals `pool(relu(x))` and computes a quarter of the
    numbers; this holds for each activation here, as all of them are monotonic. Convolutions are fastest in the
    channels-last memory layout.

    Args:
        num_channels: colour channels of an image, at least 1; set by the data.
        image_size: height and width of an image in pixels: one number if they are equal, or `[height, width]`; at least
            18 with the default layers; set by the data.
        num_outputs: outputs of the last layer.
        filters: filters of each convolution, in order, at least 1 each.
        kernel_size: height and width of a filter in pixels: one number for all convolutions, or a list with one each.
        padding: "valid" adds none, "same" keeps the size of the map and needs an odd kernel_size; one or a list.
        pool_size: height and width of the max pooling behind a convolution in pixels, 1 for none; one or a list.
        dense_sizes: units of each dense layer before the output, at least 1 each; an empty list for none.
        activation: of convolutions and dense layers.
        dropout: probability that a dense unit is dropped in training, 0 to below 1. Without dense layers, values of the
            last map are dropped.
        pool_dropout: probability that a value is dropped behind each pooling in training, 0 to below 1.

    Raises:
        UserError: a number out of its range, or lists of different lengths.
    """

    def __init__(
        self,
        num_channels: int = 1,
        image_size: int | list[int] = 28,
        num_outputs: int = 10,
        *,
        filters: list[int] = [32, 64, 64],  # noqa: B006  (read, never changed)
        kernel_size: int | list[int] = 3,
        padding: Padding | list[Padding] = "valid",
        pool_size: int | list[int] = [2, 2, 1],  # noqa: B006
        dense_sizes: list[int] = [64],  # noqa: B006
        activation: Literal["relu", "tanh", "sigmoid"] = "relu",
        dropout: float = 0.0,
        pool_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_layers(filters, kernel_size, padding, pool_size, dense_sizes)
        height, width = height_and_width(image_size)
        smallest = smallest_image(filters, kernel_size, padding, pool_size)
        if num_channels < 1 or min(height, width) < smallest:
            problem = f"images need a channel and {smallest} pixels a side, got {num_channels} and {image_size}"
            raise UserError(f"{problem}: make them larger, or give fewer filters or a smaller pool_size")
        for name, value in (("dropout", dropout), ("pool_dropout", pool_dropout)):
            if not 0 <= value < 1:
                raise UserError(f"{name} must be 0 to below 1, got {value}")
        kernels, paddings, self.pools = (each(v, filters) for v in (kernel_size, padding, pool_size))
        self.convolutions = nn.ModuleList()
        channels = num_channels
        for size, kernel, edge, pool in zip(filters, kernels, paddings, self.pools, strict=True):
            border, act = kernel // 2 if edge == "same" else 0, ACTIVATIONS[activation]()
            self.convolutions.append(Convolution(channels, size, kernel, padding=border, pool=pool, activation=act))
            channels = size
            height, width = ((n + 2 * border - kernel + 1) // pool for n in (height, width))  # 28 -> 13 -> 5 -> 3
        self.map_size = height, width
        sizes = [channels * height * width, *dense_sizes]
        self.dense = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.activation = ACTIVATIONS[activation]()
        self.dropout, self.pool_dropout = nn.Dropout(dropout), nn.Dropout(pool_dropout)
        self.output = nn.Linear(sizes[-1], num_outputs)
        self.apply(init_like_keras).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: float `(B, C, H, W)` in 0 to 1; returns `(B, num_outputs)`. The shapes below are those of
        the default settings."""
        x = images.contiguous(memory_format=torch.channels_last)
        for convolution, pool in zip(self.convolutions, self.pools, strict=True):
            x = convolution(x)  # (B, 32, 13, 13), (B, 64, 5, 5), (B, 64, 3, 3)
            if pool > 1:
                x = self.pool_dropout(x)
        x = x.flatten(1)  # (B, 576), flattened as channel, height, width
        for dense in self.dense:
            x = self.dropout(self.activation(dense(x)))  # (B, 64)
        outputs: Tensor = self.output(x if self.dense else self.dropout(x))
        return outputs


def height_and_width(image_size: int | list[int]) -> tuple[int, int]:
    """Both sides of an image. Refuses a list of another length than 2."""
    sides = image_size if isinstance(image_size, list) else [image_size, image_size]
    if len(sides) != 2:
        raise UserError(f"image_size must be one number, or a list [height, width], got {image_size}")
    return sides[0], sides[1]


def each(value: Any, filters: list[int]) -> list[Any]:
    """A setting's value for each convolution."""
    return value if isinstance(value, list) else [value] * len(filters)


class LitCNN(LitTask, network=CNN, num_classes=10):
    """Convolutional network for small images; the defaults are those of the Keras MNIST program."""

    accepts: ClassVar[frozenset[str]] = frozenset({"images"})


def check_layers(filters: list[int], kernel_size: Any, padding: Any, pool_size: Any, dense_sizes: list[int]) -> None:
    """Checks the settings of the layers.

    Raises:
        UserError: a list of another length than `filters`, a size below 1, an even kernel with padding "same".
    """
    for name, value in (("kernel_size", kernel_size), ("padding", padding), ("pool_size", pool_size)):
        if len(each(value, filters)) != len(filters):
            raise UserError(f"{name} has {len(value)} values for {len(filters)} filters: {value} and {filters}")
    kernels = each(kernel_size, filters)
    if not filters or min([*filters, *kernels, *each(pool_size, filters), *dense_sizes]) < 1:
        sizes = f"got {filters}, {kernel_size}, {pool_size} and {dense_sizes}"
        raise UserError(f"filters, kernel_size, pool_size and dense_sizes must be at least 1, {sizes}")
    for kernel, edge in zip(kernels, each(padding, filters), strict=True):
        if edge == "same" and kernel % 2 == 0:
            raise UserError(f"padding same needs an odd kernel_size, got {kernel}")


def smallest_image(filters: list[int], kernel_size: Any, padding: Any, pool_size: Any) -> int:
    """Pixels a side that leave one for the last map."""
    side = 1
    stack = zip(*(each(value, filters) for value in (kernel_size, padding, pool_size)), strict=True)
    for kernel, edge, pool in reversed(list(stack)):
        side = side * pool + (kernel - 1 if edge == "valid" else 0)
    return side
