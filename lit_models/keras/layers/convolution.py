"""Keras' convolutions: plain, transposed, depthwise and separable, of one to three dimensions.

torch's layers read channels first. A map with the channel last is only viewed in that order, which is the memory format
`channels_last` and costs nothing.

Source: `keras/src/layers/convolutional` and `keras/src/backend/torch/nn.py` in Keras 3.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.layers.activations import function
from lit_models.keras.layers.base import KerasLayer, Shape
from lit_models.keras.layers.dense import known
from lit_models.keras.rules.initializers import glorot_uniform_
from lit_models.keras.rules.weights import KerasArray

Sizes = int | Sequence[int]
Convolve = Callable[..., Tensor]
CONVOLUTIONS: dict[int, Convolve] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Convolve] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def each(sizes: Sizes, rank: int) -> tuple[int, ...]:
    """A size for each dimension.

    Raises:
        UserError: there are more or fewer of them.
    """
    several = (sizes,) * rank if isinstance(sizes, int) else tuple(sizes)
    if len(several) != rank:
        raise UserError(f"needs one number, or {rank} numbers, got {list(several)}")
    return several


def channels_first(x: Tensor, data_format: str) -> Tensor:
    """`(B, …, C)` viewed as `(B, C, …)`."""
    return x.movedim(-1, 1) if data_format == "channels_last" else x


def as_before(x: Tensor, data_format: str) -> Tensor:
    """`(B, C, …)` viewed as the layer's inputs are."""
    return x.movedim(1, -1) if data_format == "channels_last" else x


def same_padding(lengths: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Zeros before and after each dimension, last dimension first, as `F.pad` takes them: TensorFlow's "same"."""
    sides: list[int] = []
    for length, size, step in zip(reversed(lengths), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-length // step) - 1) * step + size - length, 0)
        sides += [total // 2, total - total // 2]
    return sides


class Convolution(KerasLayer):
    """A convolution of `rank` dimensions."""

    rank: ClassVar[int]
    passes_mask = False

    def __init__(
        self,
        shape: Shape,
        *,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.set_up(shape, strides, padding, data_format, dilation_rate, activation)
        self.kernel_size, self.groups = each(kernel_size, self.rank), groups
        # torch's layout: (filters, channels / groups, …)
        self.weight = nn.Parameter(torch.empty(filters, self.channels // groups, *self.kernel_size))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(filters)) if use_bias else None

    def set_up(
        self,
        shape: Shape,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        activation: str | None,
    ) -> None:
        """Takes the settings that all kinds of convolutions share."""
        self.strides, self.dilation = each(strides, self.rank), each(dilation_rate, self.rank)
        self.data_format = data_format or "channels_last"
        allowed = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        self.padding = padding.lower()
        if self.padding not in allowed:
            raise UserError(f"padding is {padding!r}; supported: {', '.join(allowed)}")
        self.channels = known(shape[-1 if self.data_format == "channels_last" else 0], type(self).__name__)
        self.activation = function(activation)

    def forward(self, x: Tensor) -> Tensor:
        """`x`: `(B, …, C)`; returns `(B, …, filters)`."""
        maps = self.convolved(channels_first(x, self.data_format), self.weight, self.bias, self.groups)
        return self.activation(as_before(maps, self.data_format))

    def convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        """The convolution of `(B, C, …)` with Keras' padding."""
        spread = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], self.dilation, strict=True)]
        pads: list[int] | int = 0
        if self.padding == "same":
            sides = same_padding(x.shape[2:], spread, self.strides)
            before, after = sides[::2], sides[1::2]
            if before == after:
                pads = before[::-1]
            else:
                x = F.pad(x, sides)
        elif self.padding == "causal":
            x = F.pad(x, [spread[0] - 1, 0])
        convolve = CONVOLUTIONS[self.rank]
        maps: Tensor = convolve(x, weight, bias, self.strides, pads, self.dilation, groups)
        return maps

    def arrays(self) -> list[KerasArray]:
        return [self.array("kernel", kernel_of(self.weight)), *self.bias_array()]

    def bias_array(self) -> list[KerasArray]:
        return [] if self.bias is None else [self.array("bias", self.bias)]


def kernel_of(weight: Tensor) -> Tensor:
    """torch's weight `(out, in, …)` in Keras' order `(…, in, out)`."""
    return weight.permute(*range(2, weight.dim()), 1, 0)


class Conv1D(Convolution):
    """A convolution over time, `(B, T, C)`."""

    rank = 1


class Conv2D(Convolution):
    """A convolution over images, `(B, H, W, C)`."""

    rank = 2


class Conv3D(Convolution):
    """A convolution over volumes, `(B, D, H, W, C)`."""

    rank = 3


class DepthwiseConvolution(Convolution):
    """`depth_multiplier` filters for each channel by itself."""

    def __init__(
        self,
        shape: Shape,
        *,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: str | None = None,
        use_bias: bool = True,
    ) -> None:
        KerasLayer.__init__(self)
        self.set_up(shape, strides, padding, data_format, dilation_rate, activation)
        self.multiplier, self.groups = depth_multiplier, self.channels
        filters = self.channels * depth_multiplier
        self.weight = nn.Parameter(torch.empty(filters, 1, *each(kernel_size, self.rank)))
        glorot_uniform_(self.weight, (*self.weight.shape[2:], self.channels, depth_multiplier))
        self.bias = nn.Parameter(torch.zeros(filters)) if use_bias else None

    def arrays(self) -> list[KerasArray]:
        return [depthwise_array(self.weight, self.channels, self.multiplier), *self.bias_array()]


def depthwise_array(weight: Tensor, channels: int, multiplier: int) -> KerasArray:
    """Keras' kernel `(…, channels, multiplier)` of torch's weight `(channels * multiplier, 1, …)`."""
    split = weight.view(channels, multiplier, *weight.shape[2:])
    return KerasLayer.array("kernel", split.permute(*range(2, split.dim()), 0, 1))


class DepthwiseConv1D(DepthwiseConvolution):
    """A depthwise convolution over time."""

    rank = 1


class DepthwiseConv2D(DepthwiseConvolution):
    """A depthwise convolution over images."""

    rank = 2


class SeparableConvolution(Convolution):
    """A depthwise convolution, and then one with kernels of size 1."""

    def __init__(
        self,
        shape: Shape,
        *,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
    ) -> None:
        KerasLayer.__init__(self)
        self.set_up(shape, strides, padding, data_format, dilation_rate, activation)
        self.multiplier = depth_multiplier
        inner = self.channels * depth_multiplier
        self.depthwise = nn.Parameter(torch.empty(inner, 1, *each(kernel_size, self.rank)))
        self.pointwise = nn.Parameter(torch.empty(filters, inner, *[1] * self.rank))
        glorot_uniform_(self.depthwise, (*self.depthwise.shape[2:], self.channels, depth_multiplier))
        nn.init.xavier_uniform_(self.pointwise)
        self.bias = nn.Parameter(torch.zeros(filters)) if use_bias else None

    def forward(self, x: Tensor) -> Tensor:
        maps = self.convolved(channels_first(x, self.data_format), self.depthwise, None, self.channels)
        maps = CONVOLUTIONS[self.rank](maps, self.pointwise, self.bias)
        return self.activation(as_before(maps, self.data_format))

    def arrays(self) -> list[KerasArray]:
        depthwise = depthwise_array(self.depthwise, self.channels, self.multiplier)._replace(name="depthwise_kernel")
        return [depthwise, self.array("pointwise_kernel", kernel_of(self.pointwise)), *self.bias_array()]


class SeparableConv1D(SeparableConvolution):
    """A separable convolution over time."""

    rank = 1


class SeparableConv2D(SeparableConvolution):
    """A separable convolution over images."""

    rank = 2


class TransposedConvolution(Convolution):
    """The gradient of a convolution as a layer: it makes maps larger by its strides."""

    def __init__(
        self,
        shape: Shape,
        *,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: str | None = None,
        use_bias: bool = True,
    ) -> None:
        KerasLayer.__init__(self)
        if padding.lower() == "causal":
            raise UserError("padding is 'causal'; supported: valid, same")
        self.set_up(shape, strides, padding, data_format, dilation_rate, activation)
        self.output_padding = None if output_padding is None else each(output_padding, self.rank)
        self.weight = nn.Parameter(torch.empty(self.channels, filters, *each(kernel_size, self.rank)))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(filters)) if use_bias else None

    def forward(self, x: Tensor) -> Tensor:
        x = channels_first(x, self.data_format)
        transpose = TRANSPOSED[self.rank]
        maps: Tensor = transpose(x, self.weight, None, self.strides, 0, 0, 1, self.dilation)
        for i in range(self.rank):
            left, right = self.cut(i)
            maps = F.pad(maps, [0, 0] * (self.rank - 1 - i) + [-left, -right])
        if self.bias is not None:
            maps = maps + self.bias.view(-1, *[1] * self.rank)
        return self.activation(as_before(maps, self.data_format))

    def cut(self, i: int) -> tuple[int, int]:
        """How much is cut off at both ends of dimension `i` of the full result; below 0 adds zeros."""
        size = (self.weight.shape[2 + i] - 1) * self.dilation[i] + 1
        step = self.strides[i]
        extra = None if self.output_padding is None else self.output_padding[i]
        if self.padding == "valid":
            return 0, -(max(size, step) - size if extra is None else extra)
        total = step + size - 2 if extra is None else size + size % 2 - 2 + extra
        left = min(total // 2 + total % 2, size - 1)
        return size - 1 - left, size - 1 - (total - left)

    def arrays(self) -> list[KerasArray]:
        # Keras: (…, out, in); torch: (in, out, …)
        return [self.array("kernel", kernel_of(self.weight)), *self.bias_array()]


class Conv1DTranspose(TransposedConvolution):
    """A transposed convolution over time."""

    rank = 1


class Conv2DTranspose(TransposedConvolution):
    """A transposed convolution over images."""

    rank = 2


class Conv3DTranspose(TransposedConvolution):
    """A transposed convolution over volumes."""

    rank = 3
