"""Keras' layers that act in training only: dropout and noise.

What is drawn depends on the seed, the epoch, the batch and a sample's place in it, as in all models here; it is not
what Keras would draw.

Source: `keras/src/layers/regularization` in Keras 3.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Shape

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


class Rate(KerasLayer):
    """A layer with a rate of dropout, from 0 to below 1."""

    def __init__(self, shape: Shape, *, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise UserError(f"rate is {rate}; it must be 0 to below 1")
        self.rate = rate


class Dropout(Rate):
    """Sets a share of the values to 0, and divides the others by the share that is kept."""

    def __init__(self, shape: Shape, *, rate: float, noise_shape: Sequence[int | None] | None = None) -> None:
        super().__init__(shape, rate=rate)
        self.noise_shape = noise_shape

    def forward(self, x: Tensor) -> Tensor:
        if self.noise_shape is None or not self.training:
            return F.dropout(x, self.rate, self.training)
        sizes = [x.shape[i] if size is None else size for i, size in enumerate(self.noise_shape)]
        return x * F.dropout(x.new_ones(sizes), self.rate, True)


class SpatialDropout(Rate):
    """Drops whole channels of a sample."""

    rank: ClassVar[int]

    def __init__(self, shape: Shape, *, rate: float, data_format: str | None = None) -> None:
        super().__init__(shape, rate=rate)
        self.last = (data_format or "channels_last") == "channels_last"

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        ones = [1] * self.rank
        sizes = [len(x), *ones, x.shape[-1]] if self.last else [len(x), x.shape[1], *ones]
        return x * F.dropout(x.new_ones(sizes), self.rate, True)


class SpatialDropout1D(SpatialDropout):
    """Drops channels of sequences."""

    rank = 1


class SpatialDropout2D(SpatialDropout):
    """Drops channels of images."""

    rank = 2


class SpatialDropout3D(SpatialDropout):
    """Drops channels of volumes."""

    rank = 3


class GaussianDropout(Rate):
    """Multiplies by normal numbers with mean 1 and the variance that dropout would have."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (1 + math.sqrt(self.rate / (1 - self.rate)) * torch.randn_like(x))


class AlphaDropout(Rate):
    """Dropout that keeps mean and variance after SELU."""

    def __init__(self, shape: Shape, *, rate: float, noise_shape: Sequence[int | None] | None = None) -> None:
        super().__init__(shape, rate=rate)
        self.noise_shape = noise_shape

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        given = self.noise_shape or [None] * x.dim()
        sizes = [x.shape[i] if size is None else size for i, size in enumerate(given)]
        kept = F.dropout(x.new_ones(sizes), self.rate, True) * (1 - self.rate)  # 0 or 1
        low = -SELU_ALPHA * SELU_SCALE
        factor = ((1 - self.rate) * (1 + self.rate * low**2)) ** -0.5
        scaled: Tensor = factor * (x * kept + low * (1 - kept)) - factor * low * self.rate
        return scaled


class GaussianNoise(KerasLayer):
    """Adds normal numbers."""

    def __init__(self, shape: Shape, *, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        return x + self.stddev * torch.randn_like(x) if self.training else x


class ActivityRegularization(KerasLayer):
    """Returns its inputs. A penalty other than 0 is refused; the `activity_regularizer` of a layer is supported."""

    def __init__(self, shape: Shape, *, l1: float = 0.0, l2: float = 0.0) -> None:
        super().__init__()
        if l1 or l2:
            raise UserError("a penalty on activities is not supported")

    def forward(self, x: Tensor) -> Tensor:
        return x
