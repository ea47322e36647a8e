"""Functions of `keras.ops` in a graph, such as the sum that `x + y` becomes.

Source: `keras/src/ops` in Keras 3.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Shape

Function = Callable[..., Tensor]


def as_tensor(x: Any, like: Tensor) -> Tensor:
    """A number as a tensor of the same type."""
    return x if isinstance(x, Tensor) else torch.as_tensor(x, dtype=like.dtype, device=like.device)


def binary(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    """A function of two tensors or numbers."""

    def call(x: Any, y: Any) -> Tensor:
        like = x if isinstance(x, Tensor) else y
        return function(as_tensor(x, like), as_tensor(y, like))

    return call


def reduced(function: Callable[..., Tensor]) -> Function:
    """A function over some axes; over all if none is given."""

    def call(x: Tensor, *, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        axes = [*range(x.dim())] if axis is None else [axis] if isinstance(axis, int) else list(axis)
        return function(x, axes, keepdim=keepdims)

    return call


OPERATIONS: dict[str, Function] = {
    "Add": binary(torch.add),
    "Subtract": binary(torch.sub),
    "Multiply": binary(torch.mul),
    "Divide": binary(torch.div),
    "TrueDivide": binary(torch.div),
    "Power": binary(torch.pow),
    "Maximum": binary(torch.maximum),
    "Minimum": binary(torch.minimum),
    "Equal": binary(torch.eq),
    "NotEqual": binary(torch.ne),
    "Greater": binary(torch.gt),
    "Less": binary(torch.lt),
    "LogicalAnd": binary(torch.logical_and),
    "LogicalOr": binary(torch.logical_or),
    "Matmul": binary(torch.matmul),
    "Negative": torch.neg,
    "Absolute": torch.abs,
    "Sqrt": torch.sqrt,
    "Rsqrt": torch.rsqrt,
    "Square": torch.square,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "Relu": F.relu,
    "Relu6": F.relu6,
    "Silu": F.silu,
    "HardSigmoid": lambda x: F.relu6(x + 3) / 6,
    "Softplus": F.softplus,
    "Gelu": lambda x, *, approximate=True: F.gelu(x, approximate="tanh" if approximate else "none"),
    "Softmax": lambda x, *, axis=-1: x.softmax(axis),
    "Mean": reduced(torch.mean),
    "Sum": reduced(torch.sum),
    "Max": reduced(torch.amax),
    "Min": reduced(torch.amin),
    "Reshape": lambda x, *, newshape: x.reshape(x.shape[0], *newshape[1:]),
    "Transpose": lambda x, *, axes: x.permute(*axes),
    "ExpandDims": lambda x, *, axis: x.unsqueeze(axis if isinstance(axis, int) else axis[0]),
    "Squeeze": lambda x, *, axis: x.squeeze(axis),
}
"""The functions that a graph may call, by the class that Keras gives them."""


class Operation(KerasLayer):
    """One function of `OPERATIONS`.

    Args:
        shapes: of the inputs.
        function: its name.
        arguments: its positional arguments; `null` stands for the next tensor that is read.
        keywords: its other arguments.
    """

    passes_mask = False

    def __init__(
        self, *shapes: Shape, function: str, arguments: list[Any], keywords: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        if function not in OPERATIONS:
            raise UserError(f"the operation {function} is not supported; these are: {', '.join(OPERATIONS)}")
        self.function, self.arguments, self.keywords = OPERATIONS[function], arguments, keywords or {}

    def forward(self, *inputs: Tensor) -> Tensor:
        rest = iter(inputs)
        return self.function(*(next(rest) if x is None else x for x in self.arguments), **self.keywords)
