"""Keras' Dense, EinsumDense, Embedding, Identity and Masking.

Source: `keras/src/layers/core` in Keras 3.
"""

import torch
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.layers.activations import function
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.rules.initializers import glorot_uniform_, init_like_keras
from lit_models.keras.rules.weights import KerasArray


class Dense(KerasLayer):
    """`activation(x @ kernel + bias)` on the last dimension."""

    def __init__(self, shape: Shape, *, units: int, activation: str | None = None, use_bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(known(shape[-1], "Dense"), units, bias=use_bias)
        self.activation, self.use_bias = function(activation), use_bias
        init_like_keras(self.linear)

    def forward(self, x: Tensor) -> Tensor:
        """`x`: `(B, …, I)`; returns `(B, …, units)`."""
        return self.activation(self.linear(x))

    def arrays(self) -> list[KerasArray]:
        bias = [self.array("bias", self.linear.bias)] if self.use_bias else []
        return [self.array("kernel", self.linear.weight.T), *bias]


class EinsumDense(KerasLayer):
    """A product by Einstein's sum, such as `abc,cd->abd`, with a bias along some of its dimensions."""

    def __init__(
        self,
        shape: Shape,
        *,
        equation: str,
        output_shape: list[int | None] | int,
        activation: str | None = None,
        bias_axes: str | None = None,
    ) -> None:
        super().__init__()
        self.equation, self.activation = equation.replace(" ", ""), function(activation)
        inputs, _, result = self.equation.partition("->")
        x, _, kernel = inputs.partition(",")
        sizes = [output_shape] if isinstance(output_shape, int) else list(output_shape)
        of_x = dict(zip(x.replace("...", "")[::-1], shape[::-1], strict=False))
        of_result = dict(zip(result.replace("...", "")[::-1], sizes[::-1], strict=False))
        letters = {**{k: v for k, v in of_x.items() if v}, **{k: v for k, v in of_result.items() if v}}
        self.kernel = nn.Parameter(torch.empty(*[known(letters.get(k), "EinsumDense") for k in kernel]))
        glorot_uniform_(self.kernel, self.kernel.shape)
        self.bias = None
        if bias_axes:
            result = result.replace("...", "")
            first = min(result.index(axis) for axis in bias_axes)
            places = [known(letters.get(k), "EinsumDense") if k in bias_axes else 1 for k in result[first:]]
            self.bias = nn.Parameter(torch.zeros(*places))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.einsum(self.equation, x, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)

    def arrays(self) -> list[KerasArray]:
        bias = [] if self.bias is None else [self.array("bias", self.bias)]
        return [self.array("kernel", self.kernel), *bias]


class Embedding(KerasLayer):
    """Rows of a table by their number; with `mask_zero`, number 0 is padding."""

    def __init__(self, shape: Shape, *, input_dim: int, output_dim: int, mask_zero: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(input_dim, output_dim)
        self.mask_zero = mask_zero
        init_like_keras(self.table)

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens`: whole numbers `(B, T)`; returns `(B, T, output_dim)`."""
        rows: Tensor = self.table(tokens.long())
        return rows

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        return inputs[0] != 0 if self.mask_zero else None

    def arrays(self) -> list[KerasArray]:
        return [self.array("embeddings", self.table.weight)]


class Identity(KerasLayer):
    """Returns its inputs."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Masking(KerasLayer):
    """Masks the steps in which all features have one value, and sets them to 0."""

    def __init__(self, shape: Shape, *, mask_value: float = 0.0) -> None:
        super().__init__()
        self.value = mask_value

    def forward(self, x: Tensor) -> Tensor:
        return x * (x != self.value).any(-1, keepdim=True)

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        return (inputs[0] != self.value).any(-1)


def known(size: int | None, kind: str) -> int:
    """A size that the layer needs when it is built.

    Raises:
        UserError: it differs from batch to batch.
    """
    if size is None:
        raise UserError(f"{kind} needs inputs of a known size")
    return size
