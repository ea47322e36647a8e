"""Keras' ConvLSTM1D, ConvLSTM2D and ConvLSTM3D: LSTMs whose products with weights are convolutions.

Source: `keras/src/layers/rnn/conv_lstm.py` in Keras 3.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.layers.activations import function
from lit_models.keras.layers.base import Mask, Shape
from lit_models.keras.layers.convolution import (
    CONVOLUTIONS,
    Convolution,
    Sizes,
    as_before,
    channels_first,
    kernel_of,
    same_padding,
)
from lit_models.keras.rules.weights import KerasArray

GATES = 4
"""Input, forget, cell and output, in this order."""
ALONG_CHANNELS = {"softmax", "log_softmax", "glu"}


class ConvLSTM(Convolution):
    """Reads `(B, T, …, C)`; returns the last output `(B, …, filters)`, or all of them with `return_sequences`.

    With `return_state`, it returns a tuple of the output and the two last states.
    """

    uses_masks: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        *states: Shape,
        filters: int,
        kernel_size: Sizes,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        **settings: Any,
    ) -> None:
        if unfit := {activation, recurrent_activation} & ALONG_CHANNELS:
            raise UserError(f"activation is {unfit.pop()}; functions of one number at a time are supported")
        super().__init__(shape[1:], filters=GATES * filters, kernel_size=kernel_size, activation=activation, **settings)
        self.recurrent_weight = nn.Parameter(torch.empty(GATES * filters, filters, *self.kernel_size))
        nn.init.orthogonal_(self.recurrent_weight)
        if self.bias is not None:
            nn.init.ones_(self.bias[filters : 2 * filters])
        self.gate = function(recurrent_activation)
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.return_sequences, self.return_state, self.backwards = return_sequences, return_state, go_backwards

    def forward(self, x: Tensor, *states: Tensor, masks: list[Mask]) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]
        """`x`: `(B, T, …, C)`; `states`: the first output and cell, `(B, …, filters)` each, or none."""
        mask = masks[0]
        if self.backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        steps = self.of_inputs(x)  # (B, T, 4 * filters, …)
        size = self.recurrent_weight.shape[1]
        zero = steps.new_zeros(len(x), size, *steps.shape[3:])
        h, c = [channels_first(state, self.data_format) for state in states] or [zero, zero]
        dropped = self.drawn(zero, self.recurrent_dropout)
        output, outputs = zero, []
        for t in range(x.shape[1]):
            before = h, c
            h, c = self.step(steps[:, t], h, c, dropped)
            if mask is None:
                output = h
            else:
                counts = mask[:, t].reshape(-1, *[1] * (h.dim() - 1))
                output = torch.where(counts, h, output)
                h, c = torch.where(counts, h, before[0]), torch.where(counts, c, before[1])
            outputs.append(output)
        if self.return_sequences:
            every = torch.stack(outputs, 1)  # (B, T, filters, …)
            result = every.movedim(2, -1) if self.data_format == "channels_last" else every
        else:
            result = as_before(output, self.data_format)
        ends = [as_before(state, self.data_format) for state in (h, c)]
        return (result, *ends) if self.return_state else result

    def of_inputs(self, x: Tensor) -> Tensor:
        """The convolutions of all steps, `(B, T, 4 * filters, …)`."""
        maps = channels_first(x.flatten(0, 1), self.data_format)  # (B * T, C, …)
        dropped = self.drawn(maps.unflatten(0, x.shape[:2])[:, 0], self.dropout)  # type: ignore[no-untyped-call]
        if dropped is None:
            found = self.convolved(maps, self.weight, self.bias, 1)
        else:  # a gate has its own dropout, the same at each step
            several = torch.cat([maps] * GATES, 1) * dropped.repeat_interleave(x.shape[1], 0)
            found = self.convolved(several, self.weight, self.bias, GATES)
        result: Tensor = found.unflatten(0, x.shape[:2])  # type: ignore[no-untyped-call]
        return result

    def drawn(self, like: Tensor, rate: float) -> Tensor | None:
        """Factors of dropout for the four gates, `(B, 4 * C, …)`; None if nothing is dropped."""
        if not (self.training and rate):
            return None
        return F.dropout(torch.cat([torch.ones_like(like)] * GATES, 1), rate, True)

    def step(self, x: Tensor, h: Tensor, c: Tensor, dropped: Tensor | None) -> tuple[Tensor, Tensor]:
        """The output and the cell after one step, `(B, filters, …)` each."""
        sides = same_padding(h.shape[2:], self.kernel_size, [1] * self.rank)
        if dropped is not None:
            h = torch.cat([h] * GATES, 1) * dropped
        groups = 1 if dropped is None else GATES
        i, f, g, o = (x + CONVOLUTIONS[self.rank](F.pad(h, sides), self.recurrent_weight, groups=groups)).chunk(4, 1)
        c = self.gate(f) * c + self.gate(i) * self.activation(g)
        return self.gate(o) * self.activation(c), c

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        return masks[0] if self.return_sequences else None

    def arrays(self) -> list[KerasArray]:
        kernels = (("kernel", self.weight), ("recurrent_kernel", self.recurrent_weight))
        return [*(self.array(name, kernel_of(weight)) for name, weight in kernels), *self.bias_array()]


class ConvLSTM1D(ConvLSTM):
    """An LSTM of rows, `(B, T, L, C)`."""

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """An LSTM of images, `(B, T, H, W, C)`."""

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """An LSTM of volumes, `(B, T, D, H, W, C)`."""

    rank = 3
