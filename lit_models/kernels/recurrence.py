"""SimpleRNN and GRU: `nn.RNN` and `nn.GRU` with a hand-written backward pass, for faster training steps on a CPU.
LSTM: `nn.LSTM` whose dropout is the same in any number of processes, as that of the other two.

The layers have the parameters, arguments and results of PyTorch's layers. On the fast path, each direction of a layer
is a single autograd node. Whatever does not depend on the previous time step is computed for all time steps at once, in
the forward and in the backward pass. Two to six small operations remain for each time step, where PyTorch's CPU layers
run about a dozen.

The fast path is for dense tensors on a CPU while gradients are enabled. All other calls go to PyTorch's layer: on a
GPU, without gradients, with packed sequences, under autocast, while tracing or compiling. `torch.jit.script` compiles
PyTorch's layer too. LSTM has no fast path, because PyTorch's LSTM already uses oneDNN.

PyTorch's layers draw the dropout between their layers in C++. Here, layers with dropout run one by one, and
`kernels.dropout` draws between them. With an initial state (`hx`), PyTorch's layer draws.

The fast path does not support second derivatives, `torch.func`, or in-place changes of the outputs. These raise errors.

Shapes: B samples, T time steps, I input features, H hidden features. A GRU's gates are in PyTorch's order r, z, n.
"""

from copy import copy
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_models.kernels.dropout import sequence_dropout

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""The gradients of x, w_ih, w_hh, b_ih and b_hh."""


class RNNFunction(torch.autograd.Function):
    """One direction of one layer of `nn.RNN`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh). The initial h is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        """`x`: `(T, B, I)`; returns the hidden states `(T, B, H)`."""
        states = F.linear(x, w_ih, b_ih + b_hh)  # (T, B, H)
        h, w = torch.zeros_like(states[0]), w_hh.T
        for state in states.unbind():
            h = state.addmm_(h, w).tanh_()
        ctx.save_for_backward(x, w_ih, w_hh, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        check_no_second_derivative()
        x, w_ih, w_hh, states = ctx.saved_tensors
        slopes = 1 - states.square()  # the derivative of tanh, (T, B, H)
        grad_sums = grad.clone(memory_format=torch.contiguous_format)  # becomes the gradient of tanh's input, (T, B, H)
        later = torch.zeros_like(grad_sums[0])  # the same of the next time step, (B, H)
        for grad_sum, slope in zip(reversed(grad_sums.unbind()), reversed(slopes.unbind()), strict=True):
            later = grad_sum.addmm_(later, w_hh).mul_(slope)
        return gradients(x, previous(states), grad_sums, grad_sums, w_ih)


class GRUFunction(torch.autograd.Function):
    """One direction of one layer of `nn.GRU`. The initial h is 0.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    m = W_hn h + b_hn
    n = tanh(W_in x + b_in + r * m)
    h' = (1 - z) * n + z * h
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        """`x`: `(T, B, I)`; returns the hidden states `(T, B, H)`."""
        split = 2 * w_hh.shape[1]  # rows of r and z come before, rows of n after
        gates = F.linear(x, w_ih[:split], b_ih[:split] + b_hh[:split])  # r and z, (T, B, 2 * H)
        ns = F.linear(x, w_ih[split:], b_ih[split:])  # (T, B, H)
        ms, states = torch.empty_like(ns), torch.empty_like(ns)  # (T, B, H)
        h, w_gates, w_n, b_n = torch.zeros_like(ns[0]), w_hh[:split].T, w_hh[split:].T, b_hh[split:]
        for gate, n, m, state in zip(gates.unbind(), ns.unbind(), ms.unbind(), states.unbind(), strict=True):
            r, z = gate.addmm_(h, w_gates).sigmoid_().chunk(2, dim=1)
            n.addcmul_(r, torch.addmm(b_n, h, w_n, out=m)).tanh_()
            h = torch.lerp(n, h, z, out=state)
        ctx.save_for_backward(x, w_ih, w_hh, gates, ns, ms, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        check_no_second_derivative()
        x, w_ih, w_hh, gates, n, m, states = ctx.saved_tensors
        r, z = gates.chunk(2, dim=2)  # (T, B, H)
        before = previous(states)
        slope_n = (1 - z) * (1 - n.square())  # derivative of h' by the input of n's tanh, (T, B, H)
        slope_m = slope_n * r  # derivative of h' by m
        slopes = torch.stack([slope_m * m * (1 - r), (before - n) * z * (1 - z), slope_m], dim=2)  # (T, B, 3, H)
        grad_gates, grad_states = torch.empty_like(slopes), torch.empty_like(states)
        later = torch.zeros_like(states[0])  # gradient of h that comes from the next time step, (B, H)
        for t in reversed(range(len(states))):
            grad_state = torch.add(grad[t], later, out=grad_states[t])  # (B, H)
            grad_gate = torch.mul(grad_state[:, None], slopes[t], out=grad_gates[t])  # (B, 3, H)
            later = (grad_state * z[t]).addmm_(grad_gate.flatten(1), w_hh)
        grad_hh = grad_gates.flatten(2)  # (T, B, 3 * H)
        grad_ih = torch.cat([grad_hh[:, :, : 2 * w_hh.shape[1]], grad_states * slope_n], dim=2)
        return gradients(x, before, grad_ih, grad_hh, w_ih)


def check_no_second_derivative() -> None:
    """Checks that the backward pass is not differentiated itself (`create_graph=True`).

    Raises:
        RuntimeError: it is. The second derivative would be wrong.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("SimpleRNN and GRU have no second derivative: use nn.RNN or nn.GRU")


def previous(states: Tensor) -> Tensor:
    """The hidden state before each time step, `(T, B, H)`."""
    return torch.cat([torch.zeros_like(states[:1]), states[:-1]])


def gradients(x: Tensor, before: Tensor, grad_ih: Tensor, grad_hh: Tensor, w_ih: Tensor) -> Gradients:
    """Computes the gradients of the inputs and of the parameters, over all time steps at once.

    Args:
        x: inputs, `(T, B, I)`.
        before: hidden state before each time step, `(T, B, H)`.
        grad_ih: gradient of W_ih x + b_ih, `(T, B, gates * H)`.
        grad_hh: gradient of W_hh h + b_hh, of the same shape; the same tensor if both gradients are equal.
        w_ih: `(gates * H, I)`.
    """
    rows_ih, rows_hh = grad_ih.flatten(0, 1), grad_hh.flatten(0, 1)  # (T * B, gates * H)
    b_ih = rows_ih.sum(0)
    b_hh = b_ih.clone() if grad_hh is grad_ih else rows_hh.sum(0)
    return grad_ih @ w_ih, rows_ih.T @ x.flatten(0, 1), rows_hh.T @ before.flatten(0, 1), b_ih, b_hh


class Recurrence(nn.RNNBase):
    """Chooses between the fast path and PyTorch's layer, and runs layers and directions with dropout between them."""

    function: ClassVar[type[torch.autograd.Function] | None] = None
    """The fast path of one direction of a layer; None if there is none."""
    plain: ClassVar[type[nn.RNNBase]]
    """PyTorch's layer with the same parameters."""

    def forward(self, input: Any, hx: Any = None) -> Any:  # PyTorch's argument names
        fast = hx is None and self.is_fast(input)
        if fast or (hx is None and self.drops(input)):
            return self.run(input, fast=fast)
        return super().forward(input, hx)

    def __prepare_scriptable__(self) -> nn.RNNBase:
        """Returns PyTorch's layer with the same parameters, for `torch.jit.script`, which calls this hook.

        TorchScript cannot compile a hand-written backward pass. Scripting a module that contains this layer also
        replaces the layer in the original module. The results stay the same, but training continues without the
        fast path.
        """
        layer = cast(nn.RNNBase, copy(self))
        layer.__class__ = self.plain
        return layer

    def is_fast(self, x: Any) -> bool:
        """Whether the fast path supports these inputs and makes the call faster."""
        return (
            self.function is not None
            and isinstance(x, Tensor)
            and x.device.type == "cpu"
            and x.dim() == 3
            and x.numel() > 0
            and x.shape[2] == self.input_size
            and x.dtype == self.weight_ih_l0.dtype
            and bool(self.bias)
            and getattr(self, "nonlinearity", "tanh") == "tanh"
            and torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        )

    def drops(self, x: Any) -> bool:
        """Whether values are dropped between layers."""
        between = self.training and self.dropout > 0 and self.num_layers > 1
        return between and (isinstance(x, PackedSequence) or x.dim() == 3)

    def run(self, input: Any, *, fast: bool) -> tuple[Any, Any]:
        """Runs layer after layer. Returns the outputs of the last layer, `(T, B, directions * H)`, with `batch_first`
        `(B, T, directions * H)`, or packed, and the last states `(layers * directions, B, H)`: an LSTM's h and c."""
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

    def fast_layer(self, x: Tensor, layer: int) -> tuple[Tensor, list[Tensor]]:
        """One layer by the fast path: its outputs `(T, B, directions * H)`, and the last state `(directions, B, H)`."""
        assert self.function is not None, "is_fast has checked it"
        outputs, last = [], []
        for reverse, parameters in enumerate(self.weights_of(layer)):
            states = self.function.apply(x.flip(0) if reverse else x.contiguous(), *parameters)
            last.append(states[-1])
            outputs.append(states.flip(0) if reverse else states)
        return torch.cat(outputs, dim=2) if self.bidirectional else outputs[0], [torch.stack(last)]

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
        order = x.unsorted_indices
        return x._replace(data=outputs), last if order is None else [state[:, order] for state in last]

    def weights_of(self, layer: int) -> list[list[Tensor]]:
        """The parameters of each direction of a layer: w_ih, w_hh, b_ih, b_hh."""
        directions = 1 + self.bidirectional
        return self.all_weights[layer * directions : (layer + 1) * directions]  # type: ignore[return-value]


class SimpleRNN(Recurrence, nn.RNN):
    """`nn.RNN`, with a fast path if the nonlinearity is tanh."""

    function = RNNFunction
    plain = nn.RNN


class GRU(Recurrence, nn.GRU):
    """`nn.GRU`, with a fast path."""

    function = GRUFunction
    plain = nn.GRU


class LSTM(Recurrence, nn.LSTM):
    """`nn.LSTM`, whose dropout does not depend on the number of processes."""

    plain = nn.LSTM
