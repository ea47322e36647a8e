"""Keras' layers that merge several inputs, and the same operations of `keras.ops`.

Source: `keras/src/layers/merging` in Keras 3.
"""

from collections.abc import Sequence
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from lit_models.keras.layers.base import KerasLayer, Mask, Shape

UNIT_EPSILON = 1e-12


class Merge(KerasLayer):
    """Merges inputs value by value. A step counts if it counts in one of the inputs and all of them have a mask."""

    def __init__(self, *shapes: Shape) -> None:
        super().__init__()

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        given = [mask for mask in masks if mask is not None]
        return reduce(torch.logical_or, given) if len(given) == len(masks) else None


def same_dims(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Inputs with the same number of dimensions: new ones come after the batch."""
    dims = max(x.dim() for x in inputs)
    return [x.reshape(x.shape[0], *[1] * (dims - x.dim()), *x.shape[1:]) for x in inputs]


class Add(Merge):
    """The sum."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.add, same_dims(inputs))


class Subtract(Merge):
    """The first input minus the second."""

    def forward(self, *inputs: Tensor) -> Tensor:
        first, second = same_dims(inputs)
        return first - second


class Multiply(Merge):
    """The product. Steps that are masked in one input do not change it; it is 0 where all inputs are masked."""

    uses_masks = True

    def forward(self, *inputs: Tensor, masks: list[Mask]) -> Tensor:
        kept = [x if m is None else torch.where(m.unsqueeze(-1), x, 1.0) for x, m in zip(inputs, masks, strict=True)]
        product = reduce(torch.mul, same_dims(kept))
        mask = self.output_mask([*inputs], masks)
        return product if mask is None else torch.where(mask.unsqueeze(-1), product, 0.0)


class Average(Merge):
    """The mean."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(torch.add, same_dims(inputs)) / len(inputs)


class Extreme(Merge):
    """The largest or the smallest value. Steps that are masked in one input are taken from the others."""

    uses_masks = True
    largest: ClassVar[bool]

    def forward(self, *inputs: Tensor, masks: list[Mask]) -> Tensor:
        y, mask = inputs[0], masks[0]
        for x, own in zip(inputs[1:], masks[1:], strict=True):
            y, x = same_dims([y, x])
            x = x if own is None else torch.where(own.unsqueeze(-1), x, y)
            y = y if mask is None else torch.where(mask.unsqueeze(-1), y, x)
            mask = None if mask is None or own is None else mask | own
            y = torch.maximum(y, x) if self.largest else torch.minimum(y, x)
        return y


class Maximum(Extreme):
    """The largest."""

    largest = True


class Minimum(Extreme):
    """The smallest."""

    largest = False


class Concatenate(KerasLayer):
    """The inputs side by side along an axis."""

    def __init__(self, *shapes: Shape, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, self.axis)

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        if all(mask is None for mask in masks):
            return None
        full = []
        for x, mask in zip(inputs, masks, strict=True):
            spread = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
            full.append(spread.unsqueeze(-1).expand_as(x) if spread.dim() < x.dim() else spread)
        return torch.cat(full, self.axis).any(-1)


class Dot(KerasLayer):
    """The product of two inputs, summed along one axis of each."""

    passes_mask = False

    def __init__(self, first: Shape, second: Shape, *, axes: int | list[int], normalize: bool = False) -> None:
        super().__init__()
        both = (axes, axes) if isinstance(axes, int) else tuple(axes)
        self.axes = (both[0] % (len(first) + 1), both[1] % (len(second) + 1))
        self.normalize = normalize

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = self.axes
        if self.normalize:
            x, y = (
                z * z.square().sum(axis, keepdim=True).clamp(min=UNIT_EPSILON).rsqrt() for z, axis in ((x, a), (y, b))
            )
        x, y = x.movedim(a, -1), y.movedim(b, 1)  # (B, …, K) and (B, K, …)
        product = x.reshape(x.shape[0], -1, x.shape[-1]) @ y.reshape(y.shape[0], y.shape[1], -1)
        shape = [*x.shape[1:-1], *y.shape[2:]]
        return product.reshape(x.shape[0], *(shape or [1]))


class CustomScaleLayer(Merge):
    """The first input plus the second times a number; of `keras.applications.InceptionResNetV2`."""

    def __init__(self, *shapes: Shape, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0] + inputs[1] * self.scale
