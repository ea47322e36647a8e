"""Keras' layers that change, cut and resize images.

The random layers return their inputs in evaluation. In training, they compute as Keras does, each sample with numbers
of its own. What is drawn depends on the seed, the epoch, the batch and a sample's place in it; it is not what Keras
would draw.

Source: `keras/src/layers/preprocessing/image_preprocessing` in Keras 3.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Shape
from lit_models.keras.layers.convolution import as_before, channels_first

Factor = float | Sequence[float]
MODES = ("horizontal_and_vertical", "horizontal", "vertical")
FILL_MODES = ("reflect", "wrap", "constant", "nearest")


class Random(KerasLayer):
    """A layer that changes images at random in training, and returns its inputs in evaluation."""

    def __init__(self, shape: Shape, *, data_format: str | None = None) -> None:
        super().__init__()
        self.data_format = data_format or "channels_last"

    def forward(self, x: Tensor) -> Tensor:
        """`x`: images in Keras' layout, `(B, H, W, C)` unless `data_format` says otherwise."""
        if not self.training or x.is_meta:
            return x
        return as_before(self.changed(channels_first(x, self.data_format)), self.data_format)

    def changed(self, x: Tensor) -> Tensor:
        """`x`: `(B, C, H, W)`; returns the same shape."""
        raise NotImplementedError


class RandomFlip(Random):
    """Mirrors half of the images, in both directions together unless `mode` names one."""

    def __init__(self, shape: Shape, *, mode: str = MODES[0], data_format: str | None = None) -> None:
        super().__init__(shape, data_format=data_format)
        if mode not in MODES:
            raise UserError(f"mode is {mode!r}; supported: {', '.join(MODES)}")
        self.dims = [dim for dim, name in ((3, "horizontal"), (2, "vertical")) if name in mode]

    def changed(self, x: Tensor) -> Tensor:
        return torch.where(drawn(x, 0, 1) <= 0.5, x.flip(self.dims), x)


class RandomContrast(Random):
    """Moves the values of each channel away from their mean, or towards it."""

    def __init__(
        self,
        shape: Shape,
        *,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
    ) -> None:
        super().__init__(shape, data_format=data_format)
        self.lowest, self.highest = bounds(factor, smallest=0.0)
        self.low, self.high = value_range

    def changed(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return ((x - mean) * drawn(x, 1 - self.lowest, 1 + self.highest) + mean).clamp(self.low, self.high)


class RandomBrightness(Random):
    """Adds a fraction of the range of the values."""

    def __init__(
        self,
        shape: Shape,
        *,
        factor: Factor,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
    ) -> None:
        super().__init__(shape, data_format=data_format)
        self.factor = bounds(factor)
        self.low, self.high = sorted(value_range)

    def changed(self, x: Tensor) -> Tensor:
        return (x + drawn(x, *self.factor) * (self.high - self.low)).clamp(self.low, self.high)


class RandomMove(Random):
    """A layer that moves the places of images; `fill_mode` says what comes from outside of an image."""

    def __init__(
        self,
        shape: Shape,
        *,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        data_format: str | None = None,
    ) -> None:
        super().__init__(shape, data_format=data_format)
        if fill_mode not in FILL_MODES:
            raise UserError(f"fill_mode is {fill_mode!r}; supported: {', '.join(FILL_MODES)}")
        if interpolation not in ("nearest", "bilinear"):
            raise UserError(f"interpolation is {interpolation!r}; supported: nearest, bilinear")
        self.fill_mode, self.smooth, self.fill_value = fill_mode, interpolation == "bilinear", fill_value

    def source(self, x: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The row and the column, `(B, H, W)`, from which each place gets its value."""
        raise NotImplementedError

    def changed(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows = torch.arange(height, dtype=x.dtype, device=x.device)[:, None]
        columns = torch.arange(width, dtype=x.dtype, device=x.device)
        y, z = (part.expand(len(x), height, width) for part in self.source(x, rows, columns))
        if not self.smooth:
            return self.values_at(x, y.round(), z.round())
        y0, z0 = y.floor(), z.floor()
        down, right = (y - y0)[:, None], (z - z0)[:, None]
        upper = self.values_at(x, y0, z0) * (1 - right) + self.values_at(x, y0, z0 + 1) * right
        lower = self.values_at(x, y0 + 1, z0) * (1 - right) + self.values_at(x, y0 + 1, z0 + 1) * right
        return upper * (1 - down) + lower * down

    def values_at(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The values `(B, C, H, W)` at whole places `(B, H, W)`, which may be outside of the images."""
        height, width = x.shape[2:]
        places = self.inside(rows.long(), height) * width + self.inside(columns.long(), width)
        values = x.flatten(2).gather(2, places.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view_as(x)
        if self.fill_mode != "constant":
            return values
        within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return torch.where(within[:, None], values, self.fill_value)

    def inside(self, places: Tensor, size: int) -> Tensor:
        """The places inside of an image that stand for places outside."""
        if self.fill_mode == "reflect":  # d c b a | a b c d | d c b a
            turned = places % (2 * size)
            return torch.where(turned < size, turned, 2 * size - 1 - turned)
        return places % size if self.fill_mode == "wrap" else places.clamp(0, size - 1)


class RandomTranslation(RandomMove):
    """Moves images by fractions of their height and width."""

    def __init__(
        self,
        shape: Shape,
        *,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        data_format: str | None = None,
    ) -> None:
        super().__init__(
            shape, fill_mode=fill_mode, interpolation=interpolation, fill_value=fill_value, data_format=data_format
        )
        self.height, self.width = bounds(height_factor), bounds(width_factor)

    def source(self, x: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        down, right = (drawn(x, *factor)[:, 0] for factor in (self.height, self.width))  # (B, 1, 1)
        return rows - down * x.shape[2], columns - right * x.shape[3]


class RandomZoom(RandomMove):
    """Makes images larger or smaller around their centre; one factor for both sides unless `width_factor` is given."""

    def __init__(
        self,
        shape: Shape,
        *,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        data_format: str | None = None,
    ) -> None:
        super().__init__(
            shape, fill_mode=fill_mode, interpolation=interpolation, fill_value=fill_value, data_format=data_format
        )
        self.height, self.width = bounds(height_factor), None if width_factor is None else bounds(width_factor)

    def source(self, x: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        by_height = 1 + drawn(x, *self.height)[:, 0]  # (B, 1, 1)
        by_width = by_height if self.width is None else 1 + drawn(x, *self.width)[:, 0]
        middle, centre = (x.shape[2] - 1) / 2, (x.shape[3] - 1) / 2
        return (rows - middle) * by_height + middle, (columns - centre) * by_width + centre


class RandomRotation(RandomMove):
    """Turns images around their centre, by fractions of a full turn."""

    def __init__(
        self,
        shape: Shape,
        *,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        data_format: str | None = None,
    ) -> None:
        super().__init__(
            shape, fill_mode=fill_mode, interpolation=interpolation, fill_value=fill_value, data_format=data_format
        )
        self.factor = bounds(factor)

    def source(self, x: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        angle = drawn(x, *self.factor)[:, 0] * 2 * math.pi  # (B, 1, 1)
        middle, centre = (x.shape[2] - 1) / 2, (x.shape[3] - 1) / 2
        y, z = rows - middle, columns - centre
        return z * angle.sin() + y * angle.cos() + middle, z * angle.cos() - y * angle.sin() + centre


class Resizing(KerasLayer):
    """Images in another size."""

    passes_mask = False

    def __init__(
        self,
        shape: Shape,
        *,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        data_format: str | None = None,
    ) -> None:
        super().__init__()
        if interpolation not in ("nearest", "bilinear"):
            raise UserError(f"interpolation is {interpolation!r}; supported: nearest, bilinear")
        self.size, self.data_format = [height, width], data_format or "channels_last"
        self.mode = "bilinear" if interpolation == "bilinear" else "nearest-exact"

    def forward(self, x: Tensor) -> Tensor:
        return as_before(
            F.interpolate(channels_first(x, self.data_format), self.size, mode=self.mode), self.data_format
        )


class CenterCrop(KerasLayer):
    """The middle of images, which must have at least this size."""

    passes_mask: ClassVar[bool] = False

    def __init__(self, shape: Shape, *, height: int, width: int, data_format: str | None = None) -> None:
        super().__init__()
        self.size, self.data_format = (height, width), data_format or "channels_last"

    def forward(self, x: Tensor) -> Tensor:
        first = 1 if self.data_format == "channels_last" else 2
        for dim, size in enumerate(self.size, start=first):
            x = x.narrow(dim, (x.shape[dim] - size) // 2, size)
        return x


def bounds(factor: Factor, *, smallest: float | None = None) -> tuple[float, float]:
    """The lowest and the highest number to draw; of one number, minus this number and the number."""
    if isinstance(factor, int | float):
        return (-abs(factor) if smallest is None else max(-factor, smallest)), abs(factor)
    low, high = sorted(factor)
    return low, high


def drawn(x: Tensor, low: float, high: float) -> Tensor:
    """A number between two for each sample, `(B, 1, 1, 1)`."""
    return low + (high - low) * torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device)
