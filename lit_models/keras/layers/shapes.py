"""Keras' layers that only move, repeat, cut or scale numbers.

Source: `keras/src/layers/reshaping`, and `rescaling.py` and `resizing.py` of `keras/src/layers/preprocessing`, Keras 3.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.layers.convolution import Sizes, as_before, channels_first, each

Sides = int | Sequence[int] | Sequence[Sequence[int]]


class Flatten(KerasLayer):
    """All numbers of a sample in one row."""

    passes_mask = False

    def __init__(self, shape: Shape, *, data_format: str | None = None) -> None:
        super().__init__()
        self.first = data_format == "channels_first" and len(shape) > 1

    def forward(self, x: Tensor) -> Tensor:
        """`x`: `(B, …)`; returns `(B, N)`, in the order of a sample with the channel last."""
        return (x.movedim(1, -1) if self.first else x).reshape(x.shape[0], -1)


class Reshape(KerasLayer):
    """The same numbers in another shape."""

    passes_mask = False

    def __init__(self, shape: Shape, *, target_shape: Sequence[int]) -> None:
        super().__init__()
        self.target = tuple(target_shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.target)


class Permute(KerasLayer):
    """The dimensions of a sample in another order; the first is 1."""

    passes_mask = False

    def __init__(self, shape: Shape, *, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = tuple(dims)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, *self.dims)


class RepeatVector(KerasLayer):
    """A row `n` times: `(B, F)` becomes `(B, n, F)`."""

    passes_mask = False

    def __init__(self, shape: Shape, *, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1).expand(-1, self.n, -1)


def both_sides(sides: Sides, rank: int) -> list[tuple[int, int]]:
    """Numbers before and after each dimension."""
    if isinstance(sides, int):
        return [(sides, sides)] * rank
    if rank == 1 and len(sides) == 2 and all(isinstance(side, int) for side in sides):
        before, after = sides
        return [(int(before), int(after))]  # type: ignore[arg-type]
    pairs = [(side, side) if isinstance(side, int) else tuple(side) for side in sides]
    if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
        raise UserError(f"needs a number, or one or two numbers for each of {rank} dimensions, got {sides}")
    return pairs  # type: ignore[return-value]


class ZeroPadding(KerasLayer):
    """Zeros around the places."""

    rank: ClassVar[int]
    passes_mask = False

    def __init__(self, shape: Shape, *, padding: Sides = 1, data_format: str | None = None) -> None:
        super().__init__()
        self.data_format = data_format or "channels_last"
        self.sides = [n for pair in reversed(both_sides(padding, self.rank)) for n in pair]

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, [0, 0, *self.sides] if self.data_format == "channels_last" else self.sides)


class ZeroPadding1D(ZeroPadding):
    """Zeros before and after the steps."""

    rank = 1


class ZeroPadding2D(ZeroPadding):
    """Zeros around images."""

    rank = 2


class ZeroPadding3D(ZeroPadding):
    """Zeros around volumes."""

    rank = 3


class Cropping(KerasLayer):
    """Cuts places off at both ends."""

    rank: ClassVar[int]
    passes_mask = False

    def __init__(self, shape: Shape, *, cropping: Sides = 1, data_format: str | None = None) -> None:
        super().__init__()
        self.data_format = data_format or "channels_last"
        self.sides = both_sides(cropping, self.rank)

    def forward(self, x: Tensor) -> Tensor:
        first = 1 if self.data_format == "channels_last" else 2
        for i, (before, after) in enumerate(self.sides, start=first):
            x = x.narrow(i, before, x.shape[i] - before - after)
        return x


class Cropping1D(Cropping):
    """Cuts steps off."""

    rank = 1


class Cropping2D(Cropping):
    """Cuts the border of images off."""

    rank = 2


class Cropping3D(Cropping):
    """Cuts the border of volumes off."""

    rank = 3


class UpSampling(KerasLayer):
    """Repeats each place."""

    rank: ClassVar[int]
    passes_mask = False

    def __init__(self, shape: Shape, *, size: Sizes = 2, data_format: str | None = None) -> None:
        super().__init__()
        self.size, self.data_format = each(size, self.rank), data_format or "channels_last"

    def forward(self, x: Tensor) -> Tensor:
        first = 1 if self.data_format == "channels_last" else 2
        for i, times in enumerate(self.size, start=first):
            x = x.repeat_interleave(times, dim=i)
        return x


class UpSampling1D(UpSampling):
    """Repeats each step."""

    rank = 1


class UpSampling3D(UpSampling):
    """Repeats each place of a volume."""

    rank = 3


class UpSampling2D(UpSampling):
    """Makes images larger: repeats pixels, or interpolates between them."""

    rank = 2

    def __init__(
        self, shape: Shape, *, size: Sizes = 2, data_format: str | None = None, interpolation: str = "nearest"
    ) -> None:
        super().__init__(shape, size=size, data_format=data_format)
        if interpolation not in ("nearest", "bilinear"):
            raise UserError(f"interpolation is {interpolation!r}; supported: nearest, bilinear")
        self.interpolation = interpolation

    def forward(self, x: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return super().forward(x)
        maps = channels_first(x, self.data_format)
        size = [side * times for side, times in zip(maps.shape[2:], self.size, strict=True)]
        return as_before(F.interpolate(maps, size, mode="bilinear"), self.data_format)


class Rescaling(KerasLayer):
    """`x * scale + offset`."""

    def __init__(self, shape: Shape, *, scale: float | list[float], offset: float | list[float] = 0.0) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("offset", offset)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.get_default_dtype()), persistent=False)
        self.scale: Tensor
        self.offset: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        return masks[0]
