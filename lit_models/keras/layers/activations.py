"""Keras' activation functions and activation layers.

Source: `keras/src/activations/activations.py` and `keras/src/layers/activations` in Keras 3.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.rules.weights import KerasArray

Function = Callable[[Tensor], Tensor]
MASKED = -1e9
"""What a masked position has before a softmax."""


def linear(x: Tensor) -> Tensor:
    return x


def softmax(x: Tensor) -> Tensor:
    return x.softmax(-1)


def log_softmax(x: Tensor) -> Tensor:
    return x.log_softmax(-1)


def hard_sigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3) / 6


def squareplus(x: Tensor) -> Tensor:
    return (x + (x.square() + 4).sqrt()) / 2


def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, x from 1, and a parabola between them."""
    return torch.where(x <= -1, 0.0, torch.where(x < 1, (x + 1).square() / 4, x))


def sparse_sigmoid(x: Tensor) -> Tensor:
    return ((x + 1) / 2).clamp(0, 1)


FUNCTIONS: dict[str, Function] = {
    "linear": linear,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "gelu": F.gelu,
    "glu": F.glu,
    "silu": F.silu,
    "swish": F.silu,
    "hard_silu": F.hardswish,
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "soft_shrink": F.softshrink,
    "hard_shrink": F.hardshrink,
    "tanh": torch.tanh,
    "tanh_shrink": F.tanhshrink,
    "hard_tanh": F.hardtanh,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": F.logsigmoid,
    "hard_sigmoid": hard_sigmoid,
    "sparse_sigmoid": sparse_sigmoid,
    "sparse_plus": sparse_plus,
    "squareplus": squareplus,
    "exponential": torch.exp,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
"""The functions of `keras.activations` with their default settings; all but `sparsemax` and `threshold`."""


def function(name: str | None) -> Function:
    """The activation function with a name; the identity for None.

    Raises:
        UserError: no such function here.
    """
    if (known := name or "linear") not in FUNCTIONS:
        raise UserError(f"activation is {name}; these are supported: {', '.join(FUNCTIONS)}")
    return FUNCTIONS[known]


class Activation(KerasLayer):
    """One of the functions by name."""

    def __init__(self, shape: Shape, *, activation: str | None) -> None:
        super().__init__()
        self.function = function(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class ReLU(KerasLayer):
    """`max(x, 0)` with a largest value, a slope below the threshold, and a threshold."""

    def __init__(
        self, shape: Shape, *, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
    ) -> None:
        super().__init__()
        self.max_value, self.slope, self.threshold = max_value, negative_slope, threshold

    def forward(self, x: Tensor) -> Tensor:
        positive = F.relu(x) if self.threshold == 0 else torch.where(x > self.threshold, x, 0.0)
        if self.max_value is not None:
            positive = positive.clamp(max=self.max_value)
        return positive - self.slope * F.relu(self.threshold - x) if self.slope else positive


class LeakyReLU(KerasLayer):
    """`x` above 0, and `negative_slope * x` below."""

    def __init__(self, shape: Shape, *, negative_slope: float = 0.3) -> None:
        super().__init__()
        self.slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)


class ELU(KerasLayer):
    """`x` above 0, and `alpha * (exp(x) - 1)` below."""

    def __init__(self, shape: Shape, *, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.alpha * torch.expm1(x.clamp(max=0)))


class PReLU(KerasLayer):
    """`x` above 0, and `alpha * x` below; `alpha` is learnt, one for each place, or shared along some axes."""

    def __init__(self, shape: Shape, *, shared_axes: list[int] | int | None = None) -> None:
        super().__init__()
        shared = [shared_axes] if isinstance(shared_axes, int) else shared_axes or []
        sizes = [1 if i + 1 in shared else size for i, size in enumerate(shape)]
        if None in sizes:
            raise UserError(f"PReLU reads a shape of unknown length, {shape}: only fixed sizes are supported")
        self.alpha = nn.Parameter(torch.zeros(*[size for size in sizes if size is not None]))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) - self.alpha * F.relu(-x)

    def arrays(self) -> list[KerasArray]:
        return [self.array("alpha", self.alpha)]


class Softmax(KerasLayer):
    """`exp(x) / sum(exp(x))` along an axis; masked positions become 0."""

    uses_masks: ClassVar[bool] = True

    def __init__(self, shape: Shape, *, axis: int | list[int] = -1) -> None:
        super().__init__()
        self.axes = [axis] if isinstance(axis, int) else list(axis)

    def forward(self, x: Tensor, masks: list[Mask]) -> Tensor:
        mask = masks[0]
        if mask is not None:
            x = torch.where(mask, x, -torch.finfo(x.dtype).max / 2 if x.dtype == torch.float16 else MASKED)
        y = x.softmax(self.axes[0]) if len(self.axes) == 1 else (x - x.logsumexp(self.axes, keepdim=True)).exp()
        return y if mask is None else torch.where(mask, y, 0.0)
