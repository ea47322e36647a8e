"""Keras' pooling: by maximum and average, in windows, adaptive and global, of one to three dimensions.

Source: `keras/src/layers/pooling` and `keras/src/backend/torch/nn.py` in Keras 3.
"""

from collections.abc import Callable
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.layers.convolution import Sizes, as_before, channels_first, each, same_padding

Pool = Callable[..., Tensor]
MAXIMUM: dict[int, Pool] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE: dict[int, Pool] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE_MAXIMUM: dict[int, Pool] = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
ADAPTIVE_AVERAGE: dict[int, Pool] = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


class Pooling(KerasLayer):
    """The maximum or the mean of each window. Padding does not count in a mean."""

    rank: ClassVar[int]
    passes_mask = False

    def __init__(
        self,
        shape: Shape,
        *,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
    ) -> None:
        super().__init__()
        if padding.lower() not in ("valid", "same"):
            raise UserError(f"padding is {padding!r}; supported: valid, same")
        self.size, self.same = each(pool_size, self.rank), padding.lower() == "same"
        self.strides = self.size if strides is None else each(strides, self.rank)
        self.data_format = data_format or "channels_last"

    def forward(self, x: Tensor) -> Tensor:
        """`x`: `(B, …, C)`; returns `(B, …, C)`."""
        x = channels_first(x, self.data_format)
        sides = same_padding(x.shape[2:], self.size, self.strides) if self.same else [0] * 2 * self.rank
        return as_before(self.pooled(x, sides), self.data_format)

    def pooled(self, x: Tensor, sides: list[int]) -> Tensor:
        raise NotImplementedError


class MaxPooling(Pooling):
    """The maximum of each window."""

    def pooled(self, x: Tensor, sides: list[int]) -> Tensor:
        x = F.pad(x, sides, value=-float("inf")) if any(sides) else x
        return MAXIMUM[self.rank](x, self.size, self.strides)


class AveragePooling(Pooling):
    """The mean of each window."""

    def pooled(self, x: Tensor, sides: list[int]) -> Tensor:
        average = AVERAGE[self.rank]
        if not any(sides):
            maps: Tensor = average(x, self.size, self.strides)
            return maps
        counted = F.pad(x.new_ones(1, 1, *x.shape[2:]), sides)
        sums, counts = (average(part, self.size, self.strides) for part in (F.pad(x, sides), counted))
        return sums / counts


class MaxPooling1D(MaxPooling):
    """Maximum over time."""

    rank = 1


class MaxPooling2D(MaxPooling):
    """Maximum over images."""

    rank = 2


class MaxPooling3D(MaxPooling):
    """Maximum over volumes."""

    rank = 3


class AveragePooling1D(AveragePooling):
    """Mean over time."""

    rank = 1


class AveragePooling2D(AveragePooling):
    """Mean over images."""

    rank = 2


class AveragePooling3D(AveragePooling):
    """Mean over volumes."""

    rank = 3


class AdaptivePooling(KerasLayer):
    """The maximum or the mean of as many windows as the output has places."""

    rank: ClassVar[int]
    maximum: ClassVar[bool]
    passes_mask = False

    def __init__(self, shape: Shape, *, output_size: Sizes, data_format: str | None = None) -> None:
        super().__init__()
        self.size, self.data_format = each(output_size, self.rank), data_format or "channels_last"

    def forward(self, x: Tensor) -> Tensor:
        pool = (ADAPTIVE_MAXIMUM if self.maximum else ADAPTIVE_AVERAGE)[self.rank]
        maps: Tensor = pool(channels_first(x, self.data_format), self.size)
        return as_before(maps, self.data_format)


class AdaptiveMaxPooling1D(AdaptivePooling):
    """Maximum over time."""

    rank, maximum = 1, True


class AdaptiveMaxPooling2D(AdaptivePooling):
    """Maximum over images."""

    rank, maximum = 2, True


class AdaptiveMaxPooling3D(AdaptivePooling):
    """Maximum over volumes."""

    rank, maximum = 3, True


class AdaptiveAveragePooling1D(AdaptivePooling):
    """Mean over time."""

    rank, maximum = 1, False


class AdaptiveAveragePooling2D(AdaptivePooling):
    """Mean over images."""

    rank, maximum = 2, False


class AdaptiveAveragePooling3D(AdaptivePooling):
    """Mean over volumes."""

    rank, maximum = 3, False


class GlobalPooling(KerasLayer):
    """The maximum or the mean over all places of a channel."""

    rank: ClassVar[int]
    passes_mask = False

    def __init__(self, shape: Shape, *, data_format: str | None = None, keepdims: bool = False) -> None:
        super().__init__()
        self.keepdims = keepdims
        first = 1 if (data_format or "channels_last") == "channels_last" else 2
        self.places = tuple(range(first, first + self.rank))


class GlobalMaxPooling(GlobalPooling):
    """The maximum over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(self.places, keepdim=self.keepdims)


class GlobalAveragePooling(GlobalPooling):
    """The mean over all places."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.places, keepdim=self.keepdims)


class GlobalMaxPooling1D(GlobalMaxPooling):
    """Maximum over time."""

    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """Maximum over images."""

    rank = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """Maximum over volumes."""

    rank = 3


class GlobalAveragePooling1D(GlobalAveragePooling):
    """Mean over time; masked steps do not count."""

    rank = 1
    uses_masks = True

    def forward(self, x: Tensor, masks: list[Mask]) -> Tensor:  # type: ignore[override]
        mask = masks[0]
        if mask is None:
            return super().forward(x)
        (steps,) = self.places
        counted = mask.to(x.dtype).unsqueeze(3 - steps)  # (B, T, 1), or (B, 1, T) with the channels first
        return (x * counted).sum(steps, keepdim=self.keepdims) / counted.sum(steps, keepdim=self.keepdims)


class GlobalAveragePooling2D(GlobalAveragePooling):
    """Mean over images."""

    rank = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """Mean over volumes."""

    rank = 3
