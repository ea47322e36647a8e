"""SimpleRNN and GRU whose training step is short on a CPU: torch's own layers with a backward pass written by hand.

`SimpleRNN` and `GRU` are `nn.RNN` and `nn.GRU`, with the same parameters, arguments and results. While gradients are
wanted on a CPU, a direction of a layer is one node of autograd here. What does not depend on the step before is
computed for all steps at once, forward and backward; two to six small operations are left to do step by step, where
torch's own layers make some dozens. Everything else (a GPU, no gradient, packed sequences, autocast, tracing) goes to
torch's layer. torch's LSTM needs none of this, as it computes in oneDNN.

Three things are torch's layers' alone and raise an error on the short way: second derivatives, `torch.func`, and
changing the outputs in place.

Shapes: B samples, T steps, I inputs, H units. The gates of a GRU stand in torch's order r, z, n.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class SimpleSteps(torch.autograd.Function):
    """A direction of a layer of `nn.RNN` with tanh: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), from h = 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        """`x`: `(T, B, I)`; returns the states `(T, B, H)`."""
        states = F.linear(x, w_ih, b_ih + b_hh)  # (T, B, H)
        h, w = torch.zeros_like(states[0]), w_hh.T
        for state in states.unbind():
            h = state.addmm_(h, w).tanh_()
        ctx.save_for_backward(x, w_ih, w_hh, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        refuse_second_derivative()
        x, w_ih, w_hh, states = ctx.saved_tensors
        slope = 1 - states.square()  # of tanh
        deltas = grad.clone(memory_format=torch.contiguous_format)  # gradient of the sums inside tanh, (T, B, H)
        delta = torch.zeros_like(deltas[0])
        for of_step, factor in zip(reversed(deltas.unbind()), reversed(slope.unbind()), strict=True):
            delta = of_step.addmm_(delta, w_hh).mul_(factor)
        return gradients(x, states_before(states), deltas, deltas, w_ih)


class GRUSteps(torch.autograd.Function):
    """A direction of a layer of `nn.GRU`: r and z are sigmoids of sums like SimpleRNN's, m = W_hn h + b_hn,
    n = tanh(W_in x + b_in + r * m), h' = (1 - z) * n + z * h, from h = 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        """`x`: `(T, B, I)`; returns the states `(T, B, H)`."""
        two = 2 * w_hh.shape[1]
        gates = F.linear(x, w_ih[:two], b_ih[:two] + b_hh[:two])  # r and z, (T, B, 2 * H)
        news = F.linear(x, w_ih[two:], b_ih[two:])  # n, (T, B, H)
        sums, states = torch.empty_like(news), torch.empty_like(news)  # m and h'
        h, w_gates, w_new, b_new = torch.zeros_like(news[0]), w_hh[:two].T, w_hh[two:].T, b_hh[two:]
        for gate, n, m, state in zip(gates.unbind(), news.unbind(), sums.unbind(), states.unbind(), strict=True):
            r, z = gate.addmm_(h, w_gates).sigmoid_().chunk(2, dim=1)
            n.addcmul_(r, torch.addmm(b_new, h, w_new, out=m)).tanh_()
            h = torch.lerp(n, h, z, out=state)
        ctx.save_for_backward(x, w_ih, w_hh, gates, news, sums, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        refuse_second_derivative()
        x, w_ih, w_hh, gates, n, m, states = ctx.saved_tensors
        r, z = gates.chunk(2, dim=2)  # (T, B, H)
        before = states_before(states)
        to_n = (1 - z) * (1 - n.square())  # from the gradient of h' to that of the sum inside tanh, (T, B, H)
        to_m = to_n * r
        to_sums = torch.stack([to_m * m * (1 - r), (before - n) * z * (1 - z), to_m], dim=2)  # (T, B, 3, H)
        deltas, of_states = torch.empty_like(to_sums), torch.empty_like(states)
        carried = torch.zeros_like(states[0])
        for t in reversed(range(len(states))):
            of_state = torch.add(grad[t], carried, out=of_states[t])  # (B, H)
            delta = torch.mul(of_state[:, None], to_sums[t], out=deltas[t])  # (B, 3, H)
            carried = (of_state * z[t]).addmm_(delta.flatten(1), w_hh)
        of_h = deltas.flatten(2)  # (T, B, 3 * H)
        of_x = torch.cat([of_h[:, :, : 2 * w_hh.shape[1]], of_states * to_n], dim=2)
        return gradients(x, before, of_x, of_h, w_ih)


def refuse_second_derivative() -> None:
    """Raises where a backward pass is itself to be differentiated (`create_graph=True`), which would lose terms."""
    if torch.is_grad_enabled():
        raise RuntimeError("SimpleRNN and GRU have no second derivative: use nn.RNN or nn.GRU")


def states_before(states: Tensor) -> Tensor:
    """The state before each step, `(T, B, H)`."""
    return torch.cat([torch.zeros_like(states[:1]), states[:-1]])


def gradients(x: Tensor, before: Tensor, of_x: Tensor, of_h: Tensor, w_ih: Tensor) -> Gradients:
    """Gradients of x, w_ih, w_hh, b_ih and b_hh.

    Args:
        x: inputs, `(T, B, I)`.
        before: the state before each step, `(T, B, H)`.
        of_x: gradient of W_ih x + b_ih, `(T, B, gates * H)`.
        of_h: gradient of W_hh h + b_hh, of the same shape; the same tensor where both are added.
        w_ih: `(gates * H, I)`.
    """
    rows_x, rows_h = of_x.flatten(0, 1), of_h.flatten(0, 1)  # (T * B, gates * H)
    b_ih = rows_x.sum(0)
    b_hh = b_ih.clone() if of_h is of_x else rows_h.sum(0)
    return of_x @ w_ih, rows_x.T @ x.flatten(0, 1), rows_h.T @ before.flatten(0, 1), b_ih, b_hh


class Recurrence(nn.RNNBase):
    """What the layers here share: when the short way is taken, and the way through layers and directions."""

    steps: ClassVar[type[torch.autograd.Function]]

    def forward(self, input: Any, hx: Any = None) -> Any:  # the names that torch's layers have
        return self.run(input) if hx is None and self.is_short(input) else super().forward(input, hx)

    def is_short(self, x: Any) -> bool:
        """Whether the short way is there for these inputs, and of use."""
        return (
            isinstance(x, Tensor)
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

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the top layer, `(B, T, directions * H)` if `batch_first`, and the last states `(layers *
        directions, B, H)`."""
        x = x.transpose(0, 1) if self.batch_first else x  # (T, B, I)
        last = []
        for layer in range(self.num_layers):
            x = F.dropout(x, self.dropout, self.training) if layer else x
            sides = []
            for suffix in ("", "_reverse")[: 1 + self.bidirectional]:
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                weights = [getattr(self, f"{name}_l{layer}{suffix}") for name in names]
                states = self.steps.apply(x.flip(0) if suffix else x.contiguous(), *weights)
                last.append(states[-1])
                sides.append(states.flip(0) if suffix else states)
            x = torch.cat(sides, dim=2) if self.bidirectional else sides[0]  # (T, B, directions * H)
        return x.transpose(0, 1) if self.batch_first else x, torch.stack(last)


class SimpleRNN(Recurrence, nn.RNN):
    """`nn.RNN`; the short way is there for tanh."""

    steps = SimpleSteps


class GRU(Recurrence, nn.GRU):
    """`nn.GRU`."""

    steps = GRUSteps
