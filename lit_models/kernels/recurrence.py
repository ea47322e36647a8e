"""SimpleRNN, GRU and LSTM: `nn.RNN`, `nn.GRU` and `nn.LSTM` with compiled time loops for a CPU.

The layers have the parameters, arguments and results of PyTorch's layers. They also take texts that share their padding
(`kernels.padding.FrontPadded`).

The fast path is for float32 on a CPU. All other calls go to PyTorch's layer: on a GPU, with an initial state (`hx`),
under autocast, while tracing or compiling, without biases. `kernels.used()` gives the reason, except while compiling.
`torch.jit.script` compiles PyTorch's layer too.

PyTorch's layers apply the dropout between their layers in C++. Here, layers with dropout run one by one, and
`kernels.dropout` is applied between them. With an initial state, PyTorch's own dropout is used.

The fast path does not support second derivatives or in-place changes of the outputs. These raise errors.

Shapes: B samples, T time steps, I input features, H hidden features. A GRU's gates are in PyTorch's order r, z, n.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_models import kernels
from lit_models.kernels.compiled import LOOPS, time_loop
from lit_models.kernels.dropout import sequence_dropout
from lit_models.kernels.modes import first_of, problem_of_mode
from lit_models.kernels.padding import FrontPadded
from lit_models.kernels.passes import Steps, recurrence


class Recurrence(nn.RNNBase):
    """Chooses between the fast path and PyTorch's layer, and runs layers and directions with dropout between them."""

    plain: ClassVar[type[nn.RNNBase]]
    """PyTorch's layer with the same parameters."""

    def forward(self, input: Any, hx: Any = None) -> Any:  # PyTorch's argument names
        problem = self.problem_of_layer() or self.problem_of_input(input, hx)
        if not torch.compiler.is_compiling():  # the compiler cannot trace the next line
            kernels.record(type(self).__name__, problem)
        if problem is None or (hx is None and self.drops(input)):
            return self.run(input, fast=problem is None)
        return self.plain.forward(cast(Any, self), input, hx)  # torch.compile cannot break a graph at super()

    def __prepare_scriptable__(self) -> nn.RNNBase:
        """Returns PyTorch's layer with the same parameters, for `torch.jit.script`, which calls this hook.

        TorchScript cannot compile a hand-written backward pass. Scripting a module that contains this layer also
        replaces the layer in the original module. The results stay the same, but training continues without the
        fast path.
        """
        layer = cast(nn.RNNBase, copy(self))
        layer.__class__ = self.plain
        return layer

    def problem_of_layer(self) -> str | None:
        """Why the layer cannot use the fast path now, whatever the inputs are; None if it can."""
        reasons = {
            "the device is not a CPU": any(weight.device.type != "cpu" for weight in self.parameters()),
            "numbers are not float32": any(weight.dtype != torch.float32 for weight in self.parameters()),
            "autocast is on": torch.is_autocast_enabled("cpu"),
            "the layer has no bias": not self.bias,
            "the nonlinearity is not tanh": self.mode not in LOOPS,
            "the layer has a projection": self.proj_size > 0,
        }
        return problem_of_mode() or first_of(reasons) or time_loop(self.mode).problem

    def problem_of_input(self, x: Any, hx: Any) -> str | None:
        """Why these inputs cannot use the fast path; None if they can."""
        if hx is not None:
            return "an initial state is given"
        if isinstance(x, FrontPadded):
            return None
        data = x if isinstance(x, Tensor) else getattr(x, "data", None)
        if data is None or not is_fast(data, self.input_size, dim=3 if data is x else 2) or data.numel() == 0:
            return "the inputs are not a float32 batch of this size on a CPU"
        if isinstance(x, PackedSequence) and not is_valid(x):
            return "the packed sequence is not valid"
        return None

    def shares_padding(self) -> bool:
        """Whether the layer can now take texts that share their padding: each state depends on earlier steps only, and
        nothing is dropped."""
        drops = self.training and self.dropout > 0 and self.num_layers > 1
        return not (self.bidirectional or drops) and self.problem_of_layer() is None

    def drops(self, x: Any) -> bool:
        """Whether values are dropped between layers."""
        between = self.training and self.dropout > 0 and self.num_layers > 1
        return between and (isinstance(x, PackedSequence) or x.dim() == 3)

    def run(self, input: Any, *, fast: bool) -> tuple[Any, Any]:
        """Runs the layers one after the other.

        Returns:
            The outputs of the last layer, `(T, B, directions * H)`, `(B, T, directions * H)` with `batch_first`, or of
            the type of the inputs; and the last states `(layers * directions, B, H)`, of an LSTM h and c.
        """
        swap = self.batch_first and isinstance(input, Tensor)
        x: Any = input.transpose(0, 1) if swap else input  # (T, B, I)
        states: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            if layer:
                x = sequence_dropout(x, self.dropout, self.training)
            x, state = self.fast_layer(x, layer) if fast else self.plain_layer(x, layer)
            states.append(state)
        last = tuple(torch.cat(parts) for parts in zip(*states, strict=True))
        return x.transpose(0, 1) if swap else x, last if len(last) > 1 else last[0]

    def fast_layer(self, x: Any, layer: int) -> tuple[Any, list[Tensor]]:
        """One layer by the fast path: its outputs, and the last states `(directions, B, H)`."""
        weights = self.weights_of(layer)
        if isinstance(x, FrontPadded):
            outputs, last = x.layer(self.mode, weights[0])
            return outputs, [state[None] for state in last]
        packed = isinstance(x, PackedSequence)
        counts = x.batch_sizes.numpy() if packed else np.full(len(x), x.shape[1])
        steps = Steps.of(counts, int(counts[0]))
        data = x.data if packed else x
        ways = [recurrence(self.mode, s, data, w) for s, w in zip((steps, steps.reversed()), weights, strict=False)]
        states = torch.cat([way.states for way in ways], dim=-1) if self.bidirectional else ways[0].states
        last = [torch.stack([way.last for way in ways])]
        if self.mode == "LSTM":
            last.append(torch.stack([cast(Tensor, way.last_cells) for way in ways]))
        return self.repacked(x, states, last) if packed else (states, last)

    def plain_layer(self, x: Any, layer: int) -> tuple[Any, list[Tensor]]:
        """One layer by PyTorch: its outputs, `(T, B, directions * H)` or packed, and the last states."""
        function: Any = getattr(torch, self.mode.lower())  # torch.lstm, torch.gru, torch.rnn_tanh or torch.rnn_relu
        weights = [weight for direction in self.weights_of(layer) for weight in direction]
        same: tuple[Any, ...] = (weights, self.bias, 1, 0.0, self.training, self.bidirectional)
        packed = isinstance(x, PackedSequence)
        data: Tensor = x.data if packed else x
        samples = int(x.batch_sizes[0]) if packed else x.shape[1]
        h = data.new_zeros(1 + self.bidirectional, samples, self.proj_size or self.hidden_size)
        c = data.new_zeros(1 + self.bidirectional, samples, self.hidden_size)
        initial = (h, c) if self.mode == "LSTM" else h
        if not packed:
            outputs, *last = function(data, initial, *same, False)
            return outputs, last
        outputs, *last = function(data, x.batch_sizes, initial, *same)
        return self.repacked(x, outputs, last)

    def repacked(self, x: PackedSequence, outputs: Tensor, last: list[Tensor]) -> tuple[PackedSequence, list[Tensor]]:
        """Outputs packed like `x`, and last states in the order of the batch."""
        order = x.unsorted_indices
        return x._replace(data=outputs), last if order is None else [state[:, order] for state in last]

    def weights_of(self, layer: int) -> list[list[Tensor]]:
        """The parameters of each direction of a layer: w_ih, w_hh, b_ih, b_hh."""
        directions = 1 + self.bidirectional
        return self.all_weights[layer * directions : (layer + 1) * directions]  # type: ignore[return-value]


def is_fast(data: Any, size: int, *, dim: int) -> bool:
    """Whether the compiled loops can read these inputs."""
    plain = type(data) is Tensor and data.device.type == "cpu" and data.dtype == torch.float32
    return plain and data.dim() == dim and data.shape[-1] == size


def is_valid(packed: PackedSequence) -> bool:
    """Whether the batch sizes never increase, are at least 1 and match the data. The compiled loops check no bounds."""
    sizes = packed.batch_sizes
    return bool((sizes[1:] <= sizes[:-1]).all()) and int(sizes[-1]) > 0 and int(sizes.sum()) == len(packed.data)


class SimpleRNN(Recurrence, nn.RNN):
    """`nn.RNN`, with a fast path if the nonlinearity is tanh."""

    plain = nn.RNN


class GRU(Recurrence, nn.GRU):
    """`nn.GRU`, with a fast path."""

    plain = nn.GRU


class LSTM(Recurrence, nn.LSTM):
    """`nn.LSTM`, with a fast path."""

    plain = nn.LSTM


def embedded(embedding: nn.Module, tokens: Tensor, padding_id: int, layers: Sequence[Any]) -> Tensor | FrontPadded:
    """Embeddings `(B, T, E)` of tokens `(B, T)`. If all layers can take it, padding at the front is computed once.

    Args:
        embedding: maps ids of any shape to rows.
        tokens: int64.
        padding_id: the id that pads.
        layers: the recurrent layers that read the embeddings; empty if they cannot share padding.
    """
    if tokens.numel() and layers and all(layer.shares_padding() for layer in layers):
        shared = FrontPadded.of(tokens, padding_id).map(embedding)
        if all(is_fast(part, layers[0].input_size, dim=2) for part in (shared.prefix, shared.rows)):
            return shared
    rows: Tensor = embedding(tokens)
    return rows
