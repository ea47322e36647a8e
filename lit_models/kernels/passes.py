"""One direction of one recurrent layer as a single autograd node, computed by the compiled time loops.

Shapes: B samples, T time steps, N rows, I inputs, H hidden units. W and J are H and I, rounded up to a multiple of 16.
"""

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from lit_models.kernels.compiled import LANES, SLICE, time_loop
from lit_models.kernels.threads import run_parts


class Steps(NamedTuple):
    """The time steps in the order of processing, for each slice of the batch. S slices, int64 arrays `(S, T)`.

    The inputs are `(T, B, I)`, or rows `(N, I)` of the active samples.
    """

    counts: npt.NDArray[np.int64]
    """number of active samples, which are the first ones of the slice"""
    rows: npt.NDArray[np.int64]
    """row of the first active sample, in rows `(N, I)` and in the outputs"""
    times: npt.NDArray[np.int64]
    """index of the step in inputs `(T, B, I)`"""
    samples: int
    """B"""

    @classmethod
    def of(cls, counts: npt.NDArray[np.int64], samples: int) -> "Steps":
        """All steps from first to last. In each, the first `counts` samples are active, and their rows follow those of
        the step before."""
        low = np.arange(0, samples, SLICE)[:, None]
        times = np.broadcast_to(np.arange(len(counts)), (len(low), len(counts)))
        return cls((counts - low).clip(0, SLICE), np.cumsum(counts) - counts + low, times, samples)

    def slice_by_slice(self) -> "Steps":
        """The same steps with other rows: all steps of a slice come before those of the next one. The memory of a slice
        is then read in its order."""
        ends = self.counts.ravel().cumsum().reshape(self.counts.shape)
        return self._replace(rows=ends - self.counts)

    def reversed(self) -> "Steps":
        """From the last step to the first."""
        return Steps(self.counts[:, ::-1], self.rows[:, ::-1], self.times[:, ::-1], self.samples)

    def table(self, x: Tensor) -> npt.NDArray[np.int64]:
        """What the loops read, `(S, 3, T)`: active samples, first row, and offset of the first input."""
        low = np.arange(0, self.samples, SLICE)[:, None]
        offsets = self.times * x.stride(0) + low * x.stride(1) if x.dim() == 3 else self.rows * x.stride(0)
        return np.stack([self.counts, self.rows, offsets], axis=1)


class Initial(NamedTuple):
    """The states before the first step, `(B, H)`; None means 0."""

    h: Tensor | None = None
    c: Tensor | None = None


class States(NamedTuple):
    """What a layer computes."""

    states: Tensor
    """hidden states of all steps, `(T, B, H)` or `(N, H)` like the inputs"""
    last: Tensor
    """hidden states after the last step of each sample, `(B, H)`"""
    cells: Tensor | None
    """the same of an LSTM's cells"""
    last_cells: Tensor | None


def recurrence(mode: str, steps: Steps, x: Tensor, weights: list[Tensor], initial: Initial = Initial()) -> States:  # noqa: B008
    """Runs one direction of one layer.

    Args:
        mode: the mode of `nn.RNNBase`: RNN_TANH, GRU or LSTM.
        steps: the order of the steps.
        x: float32 `(T, B, I)` or `(N, I)`.
        weights: w_ih, w_hh, b_ih and b_hh.
        initial: the states before the first step.
    """
    inputs: Any = (x, initial.h, initial.c, *weights)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs):
        return States(*RecurrenceFunction.apply(mode, steps, *inputs))
    return Pass(mode, steps, *inputs).forward(keep=False)


class RecurrenceFunction(torch.autograd.Function):
    """`recurrence` with its gradients."""

    @staticmethod
    def forward(ctx: Any, mode: str, steps: Steps, *inputs: Any) -> States:
        ctx.set_materialize_grads(False)
        run = Pass(mode, steps, *inputs)
        results = run.forward(keep=True)
        ctx.mode, ctx.steps = mode, steps
        ctx.save_for_backward(*inputs, results.states, results.cells, run.gates)
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("SimpleRNN, GRU and LSTM have no second derivative: use nn.RNN, nn.GRU or nn.LSTM")
        if all(grad is None for grad in grads):
            return (None,) * len(ctx.needs_input_grad)
        *inputs, states, cells, gates = ctx.saved_tensors
        run = Pass(ctx.mode, ctx.steps, *inputs)
        run.states, run.cells, run.gates = run.whole_rows(states), run.whole_rows(cells), gates
        results = (None, None, *run.backward(*grads, needs_x=ctx.needs_input_grad[2]))
        return tuple(grad if needed else None for grad, needed in zip(results, ctx.needs_input_grad, strict=True))


class Pass:
    """One pass over one direction of one layer: its memory, and the calls of the loops."""

    def __init__(self, mode: str, steps: Steps, x: Tensor, h0: Tensor | None, c0: Tensor | None, *weights: Any) -> None:
        w_ih, w_hh, self.b_ih, self.b_hh = weights
        self.mode, self.steps, self.loop = mode, steps, time_loop(mode)
        self.inputs, self.units = w_ih.shape[1], w_hh.shape[1]
        self.width = rounded_up(self.units)
        self.w_ih, self.w_hh = by_gate(w_ih, self.units), by_gate(w_hh, self.units)
        self.x = aligned(x)
        self.h0, self.c0 = h0, c0
        self.states: Tensor | None = None
        self.cells: Tensor | None = None
        self.gates: Tensor | None = None

    def fresh(self, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Copies of states or of their gradients, `(B, W)`, which the loops may change; None becomes 0. Only an LSTM
        has the second one."""
        return self.copied(h), self.copied(c) if self.mode == "LSTM" else None

    def copied(self, state: Tensor | None) -> Tensor:
        """A copy of one state, with rows padded to whole vectors."""
        if state is None:
            return self.x.new_zeros(self.steps.samples, self.width)
        return padded(state, self.width).clone(memory_format=torch.contiguous_format)

    def arguments(self, w_ih: Tensor, w_hh: Tensor) -> dict[str, int]:
        """The arguments that both passes have."""
        sizes = {"units": self.units, "width": self.width, "x_stride": self.x.stride(-2)}
        tensors = {"x": self.x, "w_ih": w_ih, "w_hh": w_hh}
        kept = {"states": self.states, "cells": self.cells, "gates": self.gates}
        return sizes | addresses(**tensors, **kept)

    def forward(self, *, keep: bool) -> States:
        """Computes the states; with `keep`, stores the gates for the backward pass."""
        shape, new = self.x.shape[:-1], self.x.new_empty
        self.states = new(*shape, self.width)
        self.cells = new(*shape, self.width) if self.mode == "LSTM" else None
        self.gates = new(*shape, 4, self.width) if keep and self.mode != "RNN_TANH" else None
        h, c = self.fresh(self.h0, self.c0)
        bias = padded(self.biases(), self.width).contiguous()
        w_ih, w_hh = (padded(w.transpose(1, 2), self.width).contiguous() for w in (self.w_ih, self.w_hh))
        arguments = self.arguments(w_ih, w_hh) | addresses(bias=bias, h=h, c=c) | {"inputs": self.inputs}
        call = self.loop.forward_arguments(**arguments)
        table = self.steps.table(self.x)
        run_parts(lambda part: self.loop.forward(table[part], call, part * SLICE), range(len(table)))
        results = [self.outputs(rows) for rows in (self.states, h, self.cells, c)]
        return States(*results)

    def backward(
        self,
        states: Tensor | None,
        last: Tensor | None,
        cells: Tensor | None,
        last_cells: Tensor | None,
        *,
        needs_x: bool,
    ) -> tuple[Tensor | None, ...]:
        """The gradients of x, h0, c0 and the parameters, from those of the results."""
        size = self.x.shape[-1]
        states, cells = self.whole_rows(states), self.whole_rows(cells)
        (h0, c0), (h, c) = self.fresh(self.h0, self.c0), self.fresh(last, last_cells)
        x = torch.empty_like(self.x) if needs_x else None
        w_ih, w_hh = padded(self.w_ih, size).contiguous(), padded(self.w_hh, self.width).contiguous()
        biases = self.x.new_empty(1 if self.mode == "RNN_TANH" else 4, self.width)
        sums = [like.new_zeros(len(self.steps.counts), *like.shape) for like in (w_ih, w_hh, biases)]
        arguments = self.arguments(w_ih, w_hh) | addresses(h0=h0, c0=c0) | {"inputs": size}
        arguments |= addresses(grad_states=states, grad_cells=cells, grad_h=h, grad_c=c, grad_x=x)
        table = self.steps.table(self.x)

        def run(part: int) -> None:
            w_ih, w_hh, bias = (of_slices[part] for of_slices in sums)
            own = addresses(grad_w_ih=w_ih, grad_w_hh=w_hh, grad_bias=bias)
            self.loop.backward(table[part], self.loop.backward_arguments(**arguments, **own), part * SLICE)

        run_parts(run, range(len(table)))
        return self.gradients(x, h, c, *(reduce(torch.add, part) for part in sums))

    def whole_rows(self, outputs: Tensor | None) -> Tensor | None:
        """The inverse of `outputs`. It copies padded rows, because a hook may have saved them without padding."""
        return None if outputs is None else padded(outputs, self.width).contiguous()

    def biases(self) -> Tensor:
        """The biases by gate, `(gates, H)`; a GRU's fourth row is the recurrent bias of n."""
        b_ih, b_hh = self.b_ih.view(-1, self.units), self.b_hh.view(-1, self.units)
        return torch.cat([b_ih[:2] + b_hh[:2], b_ih[2:], b_hh[2:]]) if self.mode == "GRU" else b_ih + b_hh

    def outputs(self, rows: Any) -> Any:
        """Rows without their padding."""
        return rows if rows is None or self.width == self.units else rows[..., : self.units]

    def gradients(
        self, x: Tensor | None, h: Tensor | None, c: Tensor | None, w_ih: Tensor, w_hh: Tensor, biases: Tensor
    ) -> tuple[Tensor | None, ...]:
        """The gradients without the padding of the rows."""
        biases = biases[:, : self.units]  # (gates, H); a GRU's rows are r, z, m and n
        gru = self.mode == "GRU"
        b_hh = biases[:3] if gru else biases
        b_ih = biases[[0, 1, 3]] if gru else biases.clone()
        return (
            None if x is None else x[..., : self.inputs],
            self.outputs(h),
            self.outputs(c),
            w_ih[..., : self.inputs].flatten(0, 1),
            w_hh[..., : self.units].flatten(0, 1),
            b_ih.flatten(),
            b_hh.flatten(),
        )


def by_gate(weight: Tensor, units: int) -> Tensor:
    """A weight `(gates * H, I)` as `(gates, H, I)`."""
    return weight.view(-1, units, weight.shape[1])


def aligned(x: Tensor) -> Tensor:
    """Inputs with rows padded to whole vectors, in memory without gaps."""
    x = padded(x.resolve_neg(), rounded_up(x.shape[-1]))
    by_sample = x.dim() == 3 and x.transpose(0, 1).is_contiguous()
    return x if x.is_contiguous() or by_sample else x.contiguous()


def padded(x: Tensor, size: int) -> Tensor:
    """`x` with its last dimension padded with zeros to `size`."""
    return x if x.shape[-1] == size else F.pad(x, (0, size - x.shape[-1]))


def rounded_up(size: int) -> int:
    """`size`, or the next multiple of the length of a vector."""
    return -(-size // LANES) * LANES


def addresses(**tensors: Tensor | None) -> dict[str, int]:
    """The memory addresses of tensors; 0 for None."""
    return {name: 0 if tensor is None else tensor.data_ptr() for name, tensor in tensors.items()}
