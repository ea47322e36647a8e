"""Keras' normalization layers.

Source: `keras/src/layers/normalization` and `keras/src/layers/preprocessing/normalization.py` in Keras 3.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.layers.dense import known
from lit_models.keras.rules.weights import KerasArray

UNIT_EPSILON = 1e-12
MEAN_EPSILON = 1e-7
"""Keras' `epsilon()`, which it adds to the count of steps that are not masked."""


class Normalizing(KerasLayer):
    """A normalization with a learnt scale `gamma` and a learnt offset `beta`, each along the axis of the channels."""

    gamma: nn.Parameter | None
    beta: nn.Parameter | None

    def learn(self, sizes: Sequence[int], *, center: bool, scale: bool) -> None:
        """Creates the learnt numbers."""
        self.gamma = nn.Parameter(torch.ones(*sizes)) if scale else None
        self.beta = nn.Parameter(torch.zeros(*sizes)) if center else None

    def arrays(self) -> list[KerasArray]:
        named = {"gamma": self.gamma, "beta": self.beta}
        return [self.array(name, weight) for name, weight in named.items() if weight is not None]


class BatchNormalization(Normalizing):
    """Normalizes each channel by its mean and variance in the batch, and in evaluation by their moving averages.

    Keras' momentum is the share of the old average; the variance of a batch is not corrected by `n / (n - 1)`, as torch
    does.
    """

    uses_masks: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        *,
        axis: int | list[int] = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
    ) -> None:
        super().__init__()
        (place,) = [axis] if isinstance(axis, int) else axis  # Keras 2 has a list
        self.axis = place % (len(shape) + 1)
        self.momentum, self.epsilon = momentum, epsilon
        size = known(shape[self.axis - 1], "BatchNormalization")
        self.learn([size], center=center, scale=scale)
        self.register_buffer("moving_mean", torch.zeros(size))
        self.register_buffer("moving_variance", torch.ones(size))
        self.moving_mean: Tensor
        self.moving_variance: Tensor

    def forward(self, x: Tensor, masks: list[Mask]) -> Tensor:
        mask = masks[0]
        if self.training and mask is None:
            return self.measured(x)
        if mask is not None and self.training:
            mean, variance = self.moments(x, mask)
            self.keep(mean, variance)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        shape = [-1 if i == self.axis else 1 for i in range(x.dim())]
        factor = (variance + self.epsilon).rsqrt()
        if self.gamma is not None:
            factor = factor * self.gamma
        offset = -mean * factor if self.beta is None else self.beta - mean * factor
        return x * factor.view(shape) + offset.view(shape)

    def measured(self, x: Tensor) -> Tensor:
        """The outputs in training, by PyTorch's fused function."""
        first = x.movedim(self.axis, 1)
        outputs, mean, inverse = torch.native_batch_norm(
            first, self.gamma, self.beta, None, None, True, 0.0, self.epsilon
        )
        self.keep(mean, (inverse.pow(-2) - self.epsilon).clamp(min=0))
        return outputs.movedim(1, self.axis)

    @torch.no_grad()
    def keep(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the averages towards a batch's mean and variance."""
        self.moving_mean.lerp_(mean, 1 - self.momentum)
        self.moving_variance.lerp_(variance, 1 - self.momentum)

    def moments(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over all places that are not masked."""
        places = [i for i in range(x.dim()) if i != self.axis]
        counted = mask.unsqueeze(-1).expand_as(x)
        count = counted.to(x.dtype).sum(places) + MEAN_EPSILON
        mean = torch.where(counted, x, 0.0).sum(places) / count
        return mean, torch.where(counted, x - mean, 0.0).square().sum(places) / count

    def arrays(self) -> list[KerasArray]:
        moving = {"moving_mean": self.moving_mean, "moving_variance": self.moving_variance}
        return super().arrays() + [self.array(name, buffer) for name, buffer in moving.items()]


class LayerNormalization(Normalizing):
    """Normalizes each sample over some axes."""

    def __init__(
        self,
        shape: Shape,
        *,
        axis: int | list[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
    ) -> None:
        super().__init__()
        axes = [axis] if isinstance(axis, int) else list(axis)
        self.axes, self.epsilon = sorted(a % (len(shape) + 1) for a in axes), epsilon
        sizes = [known(shape[a - 1], "LayerNormalization") for a in self.axes]
        self.learn(sizes, center=center, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, self.axes, correction=0, keepdim=True)
        y = (x - mean) * (variance + self.epsilon).rsqrt()
        shape = [size if i in self.axes else 1 for i, size in enumerate(x.shape)]
        if self.gamma is not None:
            y = y * self.gamma.view(shape)
        return y if self.beta is None else y + self.beta.view(shape)


class GroupNormalization(Normalizing):
    """Normalizes each sample over groups of channels."""

    def __init__(
        self,
        shape: Shape,
        *,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
    ) -> None:
        super().__init__()
        self.axis, self.epsilon = axis % (len(shape) + 1), epsilon
        size = known(shape[self.axis - 1], "GroupNormalization")
        self.groups = size if groups == -1 else groups
        self.learn([size], center=center, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        maps = F.group_norm(x.movedim(self.axis, 1), self.groups, self.gamma, self.beta, self.epsilon)
        return maps.movedim(1, self.axis)


class RMSNormalization(KerasLayer):
    """Divides by the root of the mean square over the last axis, and multiplies by a learnt scale."""

    def __init__(self, shape: Shape, *, axis: int | list[int] = -1, epsilon: float = 1e-6) -> None:
        super().__init__()
        axes = [axis] if isinstance(axis, int) else list(axis)
        self.axes, self.epsilon = [a % (len(shape) + 1) for a in axes], epsilon
        self.scale = nn.Parameter(torch.ones(*[known(shape[a - 1], "RMSNormalization") for a in self.axes]))

    def forward(self, x: Tensor) -> Tensor:
        shape = [size if i in self.axes else 1 for i, size in enumerate(x.shape)]
        return x * (x.square().mean(self.axes, keepdim=True) + self.epsilon).rsqrt() * self.scale.view(shape)

    def arrays(self) -> list[KerasArray]:
        return [self.array("scale", self.scale)]


class UnitNormalization(KerasLayer):
    """Divides by the Euclidean norm over some axes."""

    def __init__(self, shape: Shape, *, axis: int | list[int] = -1) -> None:
        super().__init__()
        self.axes = [axis] if isinstance(axis, int) else list(axis)

    def forward(self, x: Tensor) -> Tensor:
        return x * x.square().sum(self.axes, keepdim=True).clamp(min=UNIT_EPSILON).rsqrt()


class Normalization(KerasLayer):
    """Subtracts a mean and divides by a standard deviation that were measured once."""

    def __init__(
        self,
        shape: Shape,
        *,
        axis: int | list[int] | None = -1,
        mean: float | list[float] | None = None,
        variance: float | list[float] | None = None,
        invert: bool = False,
    ) -> None:
        super().__init__()
        axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
        self.axes, self.invert = [a % (len(shape) + 1) for a in axes], invert
        sizes = [known(shape[a - 1], "Normalization") for a in self.axes]
        self.measured = mean is None
        if (mean is None) != (variance is None):
            raise UserError("mean and variance must be given together")
        for name, value in (("mean", mean), ("variance", variance)):
            given = torch.zeros(sizes) if value is None else torch.as_tensor(value, dtype=torch.get_default_dtype())
            self.register_buffer(name, given.expand(sizes).clone() if given.dim() < 2 else given.reshape(sizes))
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        shape = [size if i in self.axes else 1 for i, size in enumerate(x.shape)]
        mean, deviation = self.mean.view(shape), self.variance.view(shape).sqrt().clamp(min=MEAN_EPSILON)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def arrays(self) -> list[KerasArray]:
        if not self.measured:
            return []
        return [self.array(name, buffer) for name, buffer in (("mean", self.mean), ("variance", self.variance))]


class LayerScale(KerasLayer):
    """A learnt factor for each channel; of `keras.applications.ConvNeXt`."""

    def __init__(self, shape: Shape, *, init_values: float, projection_dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((projection_dim,), init_values))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma

    def arrays(self) -> list[KerasArray]:
        return [self.array("gamma", self.gamma)]
