"""The Keras MNIST convnet: three convolutions, two poolings, two dense layers; 93,322 parameters at its defaults.

Source: F. Chollet, "Deep Learning with Python", section 5.1, as the ported Keras program has it. Layer by layer:
Conv2D(32, 3) relu, MaxPooling2D(2), Conv2D(64, 3) relu, MaxPooling2D(2), Conv2D(64, 3) relu, Flatten, Dense(64) relu,
Dense(num_classes) softmax. Stacks of other numbers and sizes of the same layers are settings.
"""

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.classifier import LitClassifier, OptimizerName, num_logits
from lit_models.keras.initializers import init_like_keras

Padding = Literal["valid", "same"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class CNN(nn.Module):
    """Convolutions, each followed by max pooling or not, then dense layers.

    Two rewrites keep the function and save time: `relu(pool(x))` equals `pool(relu(x))` on a quarter of the numbers
    (so for each activation here, as none ever falls), and the channels-last layout is the one that the CPU's and the
    GPU's convolutions are fastest in.

    Args:
        num_channels: colour channels of an image.
        image_size: height and width of an image, in pixels.
        num_outputs: logits.
        filters, kernel_size, padding, pool_size: of each convolution, as `LitCNN` explains them; one value is for all.
        dense_sizes: units of each dense layer before the output.
        activation: "relu", "tanh" or "sigmoid".
        dropout: probability that a dense unit is dropped in training.
        pool_dropout: probability that a number is dropped behind a pooling, in training.
    """

    def __init__(
        self,
        num_channels: int = 1,
        image_size: int = 28,
        num_outputs: int = 10,
        *,
        filters: list[int] = [32, 64, 64],  # noqa: B006  (read, never changed)
        kernel_size: int | list[int] = 3,
        padding: Padding | list[Padding] = "valid",
        pool_size: int | list[int] = [2, 2, 1],  # noqa: B006
        dense_sizes: list[int] = [64],  # noqa: B006
        activation: str = "relu",
        dropout: float = 0.0,
        pool_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kernels, paddings, self.pools = (each(v, filters) for v in (kernel_size, padding, pool_size))
        side = image_size
        for kernel, edge, pool in zip(kernels, paddings, self.pools, strict=True):
            side = (side - (kernel - 1 if edge == "valid" else 0)) // pool  # 28 -> 26 -> 13 -> 11 -> 5 -> 3
        sizes = [filters[-1] * side * side, *dense_sizes]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n, m, kernel, padding=kernel // 2 if edge == "same" else 0)
            for (n, m), kernel, edge in zip(pairwise([num_channels, *filters]), kernels, paddings, strict=True)
        )
        self.dense = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.activation = ACTIVATIONS[activation]()
        self.dropout, self.pool_dropout = nn.Dropout(dropout), nn.Dropout(pool_dropout)
        self.output = nn.Linear(sizes[-1], num_outputs)
        self.apply(init_like_keras).to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """`images`: float `(B, C, H, W)` in 0 to 1; returns logits `(B, num_outputs)`. Shapes below: the defaults'."""
        x = images.contiguous(memory_format=torch.channels_last)
        for convolution, pool in zip(self.convolutions, self.pools, strict=True):
            x = convolution(x)  # (B, 32, 26, 26), (B, 64, 11, 11), (B, 64, 3, 3)
            x = self.activation(F.max_pool2d(x, pool) if pool > 1 else x)  # (B, 32, 13, 13), (B, 64, 5, 5), the same
            if pool > 1:
                x = self.pool_dropout(x)
        x = x.flatten(1)  # (B, 576), flattened as channel, height, width
        for dense in self.dense:
            x = self.dropout(self.activation(dense(x)))  # (B, 64)
        logits: Tensor = self.output(x if self.dense else self.dropout(x))
        return logits


def each(value: Any, filters: list[int]) -> list[Any]:
    """A setting's value for each convolution."""
    return value if isinstance(value, list) else [value] * len(filters)


class LitCNN(LitClassifier):
    """Convolutional network for small images; the defaults are the Keras MNIST program's.

    Keras' initial weights, cross-entropy, Keras' Adam at 0.001.

    Args:
        num_channels: colour channels; the data decides it.
        image_size: height and width in pixels, at least 18 with the default layers; the data decides it.
        num_classes: number of classes; the data decides it.
        filters: of each convolution, in order, at least 1 each.
        kernel_size: pixels a side of a filter, one number for all convolutions or a list with one for each.
        padding: "valid" has none, "same" keeps the size of the map (an odd kernel_size); for all or a list.
        pool_size: pixels a side of the max pooling behind a convolution, 1 is none; for all or a list.
        dense_sizes: units of each dense layer before the output; an empty list is none.
        activation: of convolutions and dense layers.
        dropout: probability that a dense unit is dropped in training, 0 to below 1; without dense layers, a number of
            the last map.
        pool_dropout: probability that a number is dropped behind each pooling, in training, 0 to below 1.

    Raises:
        ValueError: a number out of its range.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"images"})

    def __init__(
        self,
        *,
        num_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        filters: list[int] = [32, 64, 64],  # noqa: B006  (read, never changed)
        kernel_size: int | list[int] = 3,
        padding: Padding | list[Padding] = "valid",
        pool_size: int | list[int] = [2, 2, 1],  # noqa: B006
        dense_sizes: list[int] = [64],  # noqa: B006
        activation: Literal["relu", "tanh", "sigmoid"] = "relu",
        dropout: float = 0.0,
        pool_dropout: float = 0.0,
        optimizer: OptimizerName = "keras_adam",
        lr: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, optimizer=optimizer, lr=lr, **kwargs)
        check_layers(filters, kernel_size, padding, pool_size, dense_sizes)
        smallest = smallest_image(filters, kernel_size, padding, pool_size)
        if num_channels < 1 or image_size < smallest:
            raise ValueError(f"images need a channel and {smallest} pixels a side, got {num_channels} and {image_size}")
        for name, value in (("dropout", dropout), ("pool_dropout", pool_dropout)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be 0 to below 1, got {value}")
        maps: dict[str, Any] = {"kernel_size": kernel_size, "padding": padding, "pool_size": pool_size}
        rest: dict[str, Any] = {"activation": activation, "dropout": dropout, "pool_dropout": pool_dropout}
        outputs = num_logits(num_classes)
        self.network = CNN(num_channels, image_size, outputs, filters=filters, dense_sizes=dense_sizes, **maps, **rest)


def check_layers(filters: list[int], kernel_size: Any, padding: Any, pool_size: Any, dense_sizes: list[int]) -> None:
    """Checks the settings of the layers.

    Raises:
        ValueError: a list of another length than `filters`, a size below 1, an even kernel with padding "same".
    """
    for name, value in (("kernel_size", kernel_size), ("padding", padding), ("pool_size", pool_size)):
        if len(each(value, filters)) != len(filters):
            raise ValueError(f"{name} has {len(value)} values for {len(filters)} filters: {value} and {filters}")
    kernels = each(kernel_size, filters)
    if not filters or min([*filters, *kernels, *each(pool_size, filters), *dense_sizes]) < 1:
        sizes = f"got {filters}, {kernel_size}, {pool_size} and {dense_sizes}"
        raise ValueError(f"filters, kernel_size, pool_size and dense_sizes must be at least 1, {sizes}")
    for kernel, edge in zip(kernels, each(padding, filters), strict=True):
        if edge == "same" and kernel % 2 == 0:
            raise ValueError(f"padding same needs an odd kernel_size, got {kernel}")


def smallest_image(filters: list[int], kernel_size: Any, padding: Any, pool_size: Any) -> int:
    """Pixels a side that leave one for the last map."""
    side = 1
    stack = zip(*(each(value, filters) for value in (kernel_size, padding, pool_size)), strict=True)
    for kernel, edge, pool in reversed(list(stack)):
        side = side * pool + (kernel - 1 if edge == "valid" else 0)
    return side
