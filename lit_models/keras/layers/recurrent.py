"""Keras' SimpleRNN, LSTM and GRU.

The default settings run on this program's fast layers. Other activations, `recurrent_dropout` and a GRU with
`reset_after=False` run step by step. A masked step keeps the state, so the steps that count are moved to the front and
packed.

Source: `keras/src/layers/rnn` in Keras 3.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lit_models.keras.layers.activations import Function, function
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.layers.dense import known
from lit_models.keras.rules.initializers import init_like_keras
from lit_models.keras.rules.weights import KerasArray, recurrent_arrays
from lit_models.kernels import recurrence

States = list[Tensor]


class Weights(NamedTuple):
    """The parameters of one direction: `(gates * H, I)`, `(gates * H, H)`, and biases `(gates * H,)` or None."""

    inputs: Tensor
    states: Tensor
    bias: Tensor | None
    second_bias: Tensor | None


class Recurrent(KerasLayer):
    """A layer that reads `(B, T, I)` step by step.

    It returns the last output `(B, H)`, or all of them with `return_sequences`. With `return_state`, it returns a tuple
    of the output and the last states.
    """

    uses_masks: ClassVar[bool] = True
    fast: ClassVar[Callable[..., nn.RNNBase]]
    num_states: ClassVar[int] = 1

    def __init__(
        self,
        shape: Shape,
        *states: Shape,
        units: int,
        activation: str | None = "tanh",
        use_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
    ) -> None:
        super().__init__()
        self.rnn = self.fast(known(shape[-1], type(self).__name__), units, bias=use_bias, batch_first=True)
        init_like_keras(self.rnn)
        self.activation, self.plain_activations = function(activation), activation == "tanh"
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.return_sequences, self.return_state = return_sequences, return_state
        self.backwards, self.zeros_masked = go_backwards, zero_output_for_mask

    def step(self, x: Tensor, states: States, weights: Weights, dropped: Tensor | None) -> States:
        """The states after one step; the first is the output.

        Args:
            x: the inputs times their weights and with their bias, `(B, gates * H)`.
            states: `(B, H)` each.
            weights: of the layer.
            dropped: factors of the state, `(B, H)`, or None.
        """
        raise NotImplementedError

    def output_mask(self, inputs: list[Tensor], masks: list[Mask]) -> Mask:
        return masks[0] if self.return_sequences else None

    def forward(self, x: Tensor, *states: Tensor, masks: list[Mask]) -> Tensor | tuple[Tensor, ...]:
        """`x`: `(B, T, I)`; `states`: initial states `(B, H)`, or none."""
        mask = masks[0]
        if self.backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        if self.training and self.dropout:
            x = x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[-1]), self.dropout, True)  # the same at each step
        stepwise = not self.plain_activations or (self.training and self.recurrent_dropout > 0)
        if x.is_meta:  # without numbers, only the shapes matter
            size = self.rnn.hidden_size
            outputs, last = x.new_empty(*x.shape[:2], size), [x.new_empty(x.shape[0], size)] * self.num_states
        else:
            outputs, last = (self.by_steps if stepwise else self.by_layer)(x, [*states], mask)
        if mask is not None and self.zeros_masked:
            outputs = outputs * mask.unsqueeze(-1)
        result = outputs if self.return_sequences else last[0]
        return (result, *last) if self.return_state else result

    def by_layer(self, x: Tensor, states: States, mask: Mask) -> tuple[Tensor, States]:
        """All outputs `(B, T, H)` and the last states, by the fast layer."""
        given = [state.unsqueeze(0) for state in states]
        initial = None if not given else given[0] if self.num_states == 1 else tuple(given)
        if mask is None:
            outputs, last = self.rnn(x, initial)
        else:
            order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)  # steps that count come first
            lengths = mask.sum(1)
            rows = x.gather(1, order.unsqueeze(-1).expand_as(x))
            packed = pack_padded_sequence(rows, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
            front, last = self.rnn(packed, initial)
            front = pad_packed_sequence(front, batch_first=True, total_length=x.shape[1])[0]
            place = mask.cumsum(1) - 1  # the last step that counted; below 0 if none did
            outputs = front.gather(1, place.clamp(min=0).unsqueeze(-1).expand_as(front))
            outputs = torch.where((place >= 0).unsqueeze(-1), outputs, 0.0)
            last = self.kept(last, states, lengths > 0)
        ends = [last] if isinstance(last, Tensor) else list(last)
        return outputs, [end.squeeze(0) for end in ends]

    def kept(self, last: Tensor | tuple[Tensor, ...], states: States, counts: Tensor) -> tuple[Tensor, ...]:
        """The last states; samples without a step that counts keep their initial ones."""
        ends = [last] if isinstance(last, Tensor) else list(last)
        first = states or [torch.zeros_like(end[0]) for end in ends]
        return tuple(torch.where(counts[:, None], end, start) for end, start in zip(ends, first, strict=True))

    def by_steps(self, x: Tensor, states: States, mask: Mask) -> tuple[Tensor, States]:
        """All outputs `(B, T, H)` and the last states, one step after the other."""
        weights = Weights(*([*self.rnn.all_weights[0], None, None][:4]))  # type: ignore[arg-type]
        size = self.rnn.hidden_size
        states = states or [x.new_zeros(x.shape[0], size) for _ in range(self.num_states)]
        dropped = None
        if self.training and self.recurrent_dropout:
            dropped = F.dropout(x.new_ones(x.shape[0], size), self.recurrent_dropout, True)
        inputs = F.linear(x, weights.inputs, weights.bias)
        outputs, output = [], x.new_zeros(x.shape[0], size)
        for i in range(x.shape[1]):
            new = self.step(inputs[:, i], states, weights, dropped)
            if mask is not None:
                counts = mask[:, i, None]
                new = [torch.where(counts, after, before) for after, before in zip(new, states, strict=True)]
                output = torch.where(counts, new[0], output)
            else:
                output = new[0]
            states = new
            outputs.append(output)
        return torch.stack(outputs, dim=1), states

    def arrays(self) -> list[KerasArray]:
        return list(recurrent_arrays("", self.rnn))


class SimpleRNN(Recurrent):
    """`h = tanh(x W + h U + b)`."""

    fast = recurrence.SimpleRNN

    def step(self, x: Tensor, states: States, weights: Weights, dropped: Tensor | None) -> States:
        h = states[0] if dropped is None else states[0] * dropped
        return [self.activation(x + F.linear(h, weights.states))]


class Gated(Recurrent):
    """A layer with gates."""

    def __init__(self, *shapes: Shape, recurrent_activation: str | None = "sigmoid", **settings: Any) -> None:
        super().__init__(*shapes, **settings)
        self.gate: Function = function(recurrent_activation)
        self.plain_activations &= recurrent_activation == "sigmoid"


class LSTM(Gated):
    """Input, forget and output gates, and a cell."""

    fast, num_states = recurrence.LSTM, 2

    def step(self, x: Tensor, states: States, weights: Weights, dropped: Tensor | None) -> States:
        h = states[0] if dropped is None else states[0] * dropped
        i, f, g, o = (x + F.linear(h, weights.states)).chunk(4, dim=-1)
        c = self.gate(f) * states[1] + self.gate(i) * self.activation(g)
        return [self.gate(o) * self.activation(c), c]


class GRU(Gated):
    """Update and reset gates. `reset_after` resets after the product with the recurrent kernel, as torch does."""

    fast = recurrence.GRU

    def __init__(self, *shapes: Shape, reset_after: bool = True, **settings: Any) -> None:
        super().__init__(*shapes, **settings)
        self.reset_after = reset_after
        self.plain_activations &= reset_after
        if not reset_after and self.rnn.bias:
            self.rnn.get_parameter("bias_hh_l0").requires_grad_(
                False
            )  # such a layer has one bias, and this one stays 0

    def step(self, x: Tensor, states: States, weights: Weights, dropped: Tensor | None) -> States:
        h = states[0]
        d = h if dropped is None else h * dropped
        size = h.shape[-1]
        xr, xz, xn = x.chunk(3, dim=-1)  # torch's order: r, z, n
        if self.reset_after:
            r, z, n = F.linear(d, weights.states, weights.second_bias).chunk(3, dim=-1)
            new = self.activation(xn + self.gate(xr + r) * n)
        else:
            r, z = F.linear(d, weights.states[: 2 * size]).chunk(2, dim=-1)
            new = self.activation(xn + F.linear(self.gate(xr + r) * d, weights.states[2 * size :]))
        update = self.gate(xz + z)
        return [update * h + (1 - update) * new]

    def arrays(self) -> list[KerasArray]:
        arrays = super().arrays()
        if not self.reset_after and self.rnn.bias:
            size, bias = self.rnn.hidden_size, self.rnn.get_parameter("bias_ih_l0")
            z_r_n = (bias[size : 2 * size], bias[:size], bias[2 * size :])
            arrays[-1] = self.array("bias", *z_r_n)
        return arrays
