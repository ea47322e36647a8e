"""The time loops of SimpleRNN, GRU and LSTM, compiled by Numba.

A call computes one slice of the batch, whose first sample is `low`. A step processes the samples that are active at
that time; their rows follow one another in memory. `steps` has three rows, with one number per step in the order of
processing: the number of active samples, the first row of the outputs, and the offset of the first input.

Hidden states and gates have rows of `width` numbers, the hidden size rounded up to a multiple of 16. The gates of a
step are stored gate by gate, so that the loops over units and samples are one loop.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lit_models.kernels.compiled import SLICE
from lit_models.kernels.loops.tiles import products
from lit_models.kernels.loops.vectors import ONE, keep, load, sigmoid, store, tanh

NONE = (0, 0, 0, 0, 0, 0)  # no product


class Forward(NamedTuple):
    """Addresses and sizes of a forward pass. B samples, N rows of outputs, I inputs, H hidden units, W `width`.

    Weights have the gates in the first dimension: `w_ih` is `(gates, I, W)`, `w_hh` `(gates, H, W)`.
    """

    inputs: int
    """I"""
    units: int
    """H"""
    width: int
    """W"""
    x: int
    x_stride: int
    """numbers between two samples of x"""
    w_ih: int
    w_hh: int
    bias: int
    """`(gates, W)`; a GRU's fourth row is the recurrent bias of n"""
    h: int
    """`(B, W)`: the initial states, and the last ones after the call"""
    c: int
    """the same of an LSTM's cells"""
    states: int
    """`(N, W)`"""
    cells: int
    """`(N, W)`"""
    gates: int
    """`(N, gates, W)`, in another order; 0 if no backward pass follows"""


class Backward(NamedTuple):
    """Addresses and sizes of a backward pass. `w_ih` is `(gates, H, J)`, where J is I rounded up, `w_hh`
    `(gates, H, W)`."""

    inputs: int
    """J"""
    units: int
    width: int
    x: int
    x_stride: int
    w_ih: int
    w_hh: int
    h0: int
    """`(B, W)`: the initial states"""
    c0: int
    states: int
    cells: int
    gates: int
    grad_states: int
    """`(N, W)`, or 0"""
    grad_cells: int
    """`(N, W)`, or 0"""
    grad_h: int
    """`(B, W)`: the gradient of the last states, and of the initial ones after the call"""
    grad_c: int
    grad_x: int
    """like x, or 0"""
    grad_w_ih: int
    """`(gates, H, J)` of these samples; sums are added to it"""
    grad_w_hh: int
    """`(gates, H, W)`"""
    grad_bias: int
    """`(gates, W)`; a GRU's rows are r, z, m and n"""


CHUNK = 96  # rows that are collected before they are multiplied into the weight gradients


@njit(nogil=True)
def copy(source, target, count):
    """Copies `count` numbers, a multiple of 16."""
    for i in range(0, 4 * count, 64):
        store(target + i, load(source + i))


@njit(nogil=True)
def copy_previous(steps, t, low, n, states, initial, width, target):
    """Copies the states before step t of n samples: those of the step before, or the initial ones."""
    known = min(steps[0, t - 1], n) if t else 0
    if known:
        copy(states + 4 * steps[1, t - 1] * width, target, known * width)
    copy(initial + 4 * (low + known) * width, target + 4 * known * width, (n - known) * width)


@njit(nogil=True)
def add_weight_gradients(a, gate, grads, n, x, before):
    """Adds the gradients of W_ih and W_hh of one gate. `grads` are the addresses of the gate's two gradients, `(n, W)`:
    that of W_ih x, and that of W_hh h. `x` is `(n, J)`, `before` `(n, W)`."""
    w_ih = (a.grad_w_ih + 4 * gate * a.units * a.inputs, a.inputs)
    products(a.units, a.inputs, w_ih, w_ih, (grads[0], 1, a.width, x, a.inputs, n), NONE)
    w_hh = (a.grad_w_hh + 4 * gate * a.units * a.width, a.width)
    products(a.units, a.width, w_hh, w_hh, (grads[1], 1, a.width, before, a.width, n), NONE)


@njit(nogil=True)
def add_bias_gradient(a, gate, grad, n):
    """Adds the gradient of the bias of one gate."""
    bias = a.grad_bias + 4 * gate * a.width
    for i in range(0, 4 * a.width, 64):
        total = load(grad + i)
        for row in range(1, n):
            total = total + load(grad + 4 * row * a.width + i)
        store(bias + i, load(bias + i) + total)


@njit(nogil=True)
def rnn_forward(steps, a, low):
    """h = tanh(W_ih x + b + W_hh h)"""
    h = a.h + 4 * low * a.width
    for t in range(steps.shape[1]):
        n = steps[0, t]
        z, x = a.states + 4 * steps[1, t] * a.width, a.x + 4 * steps[2, t]
        first = (x, a.x_stride, 1, a.w_ih, a.width, a.inputs)
        products(n, a.width, (z, a.width), (a.bias, 0), first, (h, a.width, 1, a.w_hh, a.width, a.units))
        for i in range(0, 4 * n * a.width, 64):
            state = tanh(load(z + i))
            store(z + i, state)
            store(h + i, state)


@njit(nogil=True)
def rnn_backward(steps, a, low):
    """The gradients of `rnn_forward`."""
    zeros = np.zeros(max(a.width, a.inputs), np.float32)
    memory = np.empty(CHUNK * (2 * a.width + a.inputs), np.float32)
    none = (np.int64(zeros.ctypes.data), 0)
    grads = np.int64(memory.ctypes.data)  # of the sums, (CHUNK, W)
    befores = grads + 4 * CHUNK * a.width  # (CHUNK, W)
    xs = befores + 4 * CHUNK * a.width  # (CHUNK, J)
    carry = a.grad_h + 4 * low * a.width
    used = 0
    for t in range(steps.shape[1] - 1, -1, -1):
        n = steps[0, t]
        row, x = 4 * steps[1, t] * a.width, 4 * steps[2, t]
        grad_z = grads + 4 * used * a.width
        for i in range(0, 4 * n * a.width, 64):
            grad, state = load(carry + i), load(a.states + row + i)
            if a.grad_states:
                grad = grad + load(a.grad_states + row + i)
            store(grad_z + i, grad * (ONE() - state * state))
        copy_previous(steps, t, low, n, a.states, a.h0, a.width, befores + 4 * used * a.width)
        copy_inputs(a, x, n, xs + 4 * used * a.inputs)
        factor = (grad_z, a.width, 1)
        products(n, a.width, (carry, a.width), none, (*factor, a.w_hh, a.width, a.units), NONE)
        if a.grad_x:
            products(n, a.inputs, (a.grad_x + x, a.x_stride), none, (*factor, a.w_ih, a.inputs, a.units), NONE)
        used += n
        if used > CHUNK - SLICE or (t == 0 and used):
            add_weight_gradients(a, 0, (grads, grads), used, xs, befores)
            add_bias_gradient(a, 0, grads, used)
            used = 0
    keep(memory)
    keep(zeros)


@njit(nogil=True)
def copy_inputs(a, x, n, target):
    """Copies the inputs of n samples at one step to `(n, J)`."""
    for row in range(n):
        copy(a.x + x + 4 * row * a.x_stride, target + 4 * row * a.inputs, a.inputs)


@njit(nogil=True)
def gate_sums(a, gate, n, target, x, h):
    """W_ih x + W_hh h + b of one gate at one step."""
    first = (x, a.x_stride, 1, a.w_ih + 4 * gate * a.inputs * a.width, a.width, a.inputs)
    second = (h, a.width, 1, a.w_hh + 4 * gate * a.units * a.width, a.width, a.units)
    products(n, a.width, (target, a.width), (a.bias + 4 * gate * a.width, 0), first, second)


@njit(nogil=True)
def lstm_forward(steps, a, low):
    """i, f, o = sigmoid(...), g = tanh(...), each of W_ih x + b + W_hh h; c = f c + i g; h = o tanh(c)"""
    memory = np.empty(4 * SLICE * a.width, np.float32)
    h, c = a.h + 4 * low * a.width, a.c + 4 * low * a.width
    for t in range(steps.shape[1]):
        n = steps[0, t]
        row, x = 4 * steps[1, t] * a.width, a.x + 4 * steps[2, t]
        size = 4 * n * a.width  # bytes of one gate
        gates = a.gates + 4 * row if a.gates else np.int64(memory.ctypes.data)
        for gate in range(4):
            gate_sums(a, gate, n, gates + gate * size, x, h)
        for i in range(0, size, 64):
            i_gate, f_gate = sigmoid(load(gates + i)), sigmoid(load(gates + i + size))
            g_gate, o_gate = tanh(load(gates + i + 2 * size)), sigmoid(load(gates + i + 3 * size))
            cell = f_gate * load(c + i) + i_gate * g_gate
            state = o_gate * tanh(cell)
            store(c + i, cell)
            store(h + i, state)
            store(a.states + row + i, state)
            store(a.cells + row + i, cell)
            if a.gates:
                store(gates + i, i_gate)
                store(gates + i + size, f_gate)
                store(gates + i + 2 * size, g_gate)
                store(gates + i + 3 * size, o_gate)
    keep(memory)


@njit(nogil=True)
def lstm_slopes(a, row, n, before, grads, carry_h, carry_c):
    """The gradients of the four sums of one step, and that of the cells before it, in `carry_c`."""
    gates, size, step = a.gates + 4 * row, 4 * n * a.width, 4 * CHUNK * a.width
    for i in range(0, size, 64):
        i_gate, f_gate = load(gates + i), load(gates + i + size)
        g_gate, o_gate = load(gates + i + 2 * size), load(gates + i + 3 * size)
        squashed = tanh(load(a.cells + row + i))
        grad_h, grad_c = load(carry_h + i), load(carry_c + i)
        if a.grad_states:
            grad_h = grad_h + load(a.grad_states + row + i)
        if a.grad_cells:
            grad_c = grad_c + load(a.grad_cells + row + i)
        grad_c = grad_c + grad_h * o_gate * (ONE() - squashed * squashed)
        store(grads + i, grad_c * g_gate * i_gate * (ONE() - i_gate))
        store(grads + i + step, grad_c * load(before + i) * f_gate * (ONE() - f_gate))
        store(grads + i + 2 * step, grad_c * i_gate * (ONE() - g_gate * g_gate))
        store(grads + i + 3 * step, grad_h * squashed * o_gate * (ONE() - o_gate))
        store(carry_c + i, grad_c * f_gate)


@njit(nogil=True)
def lstm_backward(steps, a, low):
    """The gradients of `lstm_forward`."""
    zeros = np.zeros(max(a.width, a.inputs), np.float32)
    memory = np.empty(CHUNK * (5 * a.width + a.inputs) + SLICE * a.width, np.float32)
    none, grads = (np.int64(zeros.ctypes.data), 0), np.int64(memory.ctypes.data)  # (4, CHUNK, W)
    befores = grads + 16 * CHUNK * a.width  # (CHUNK, W)
    xs = befores + 4 * CHUNK * a.width  # (CHUNK, J)
    before_c = xs + 4 * CHUNK * a.inputs  # (SLICE, W)
    carry_h, carry_c = a.grad_h + 4 * low * a.width, a.grad_c + 4 * low * a.width
    used = 0
    for t in range(steps.shape[1] - 1, -1, -1):
        n = steps[0, t]
        row, x, grad = 4 * steps[1, t] * a.width, 4 * steps[2, t], grads + 4 * used * a.width
        copy_previous(steps, t, low, n, a.states, a.h0, a.width, befores + 4 * used * a.width)
        copy_previous(steps, t, low, n, a.cells, a.c0, a.width, before_c)
        copy_inputs(a, x, n, xs + 4 * used * a.inputs)
        lstm_slopes(a, row, n, before_c, grad, carry_h, carry_c)
        through_gates(a, 4, n, grad, (carry_h, a.width), none, a.w_hh, a.width)
        if a.grad_x:
            through_gates(a, 4, n, grad, (a.grad_x + x, a.x_stride), none, a.w_ih, a.inputs)
        used += n
        if used > CHUNK - SLICE or (t == 0 and used):
            for gate in range(4):
                of_gate = grads + 4 * gate * CHUNK * a.width
                add_weight_gradients(a, gate, (of_gate, of_gate), used, xs, befores)
                add_bias_gradient(a, gate, of_gate, used)
            used = 0
    keep(memory)
    keep(zeros)


@njit(nogil=True)
def through_gates(a, gates, n, grads, target, start, weights, columns):
    """target = start + the sum over the gates of their gradients times their weights `(H, columns)`."""
    for gate in range(0, gates, 2):
        first = through_gate(a, gate, grads, weights, columns)
        second = through_gate(a, gate + 1, grads, weights, columns) if gate + 1 < gates else NONE
        products(n, columns, target, target if gate else start, first, second)


@njit(nogil=True)
def through_gate(a, gate, grads, weights, columns):
    """The factors of the product of a gate's gradients with its weights."""
    grad, weight = grads + 4 * gate * CHUNK * a.width, weights + 4 * gate * a.units * columns
    return (grad, a.width, 1, weight, columns, a.units)


@njit(nogil=True)
def gru_forward(steps, a, low):
    """r, z = sigmoid(W_ih x + b + W_hh h), m = W_hn h + b_hn, n = tanh(W_in x + b_in + r m), h = (1 - z) n + z h"""
    memory = np.empty(4 * SLICE * a.width, np.float32)
    h = a.h + 4 * low * a.width
    for t in range(steps.shape[1]):
        n = steps[0, t]
        row, x = 4 * steps[1, t] * a.width, a.x + 4 * steps[2, t]
        size = 4 * n * a.width  # bytes of one gate
        gates = a.gates + 4 * row if a.gates else np.int64(memory.ctypes.data)
        gate_sums(a, 0, n, gates, x, h)
        gate_sums(a, 1, n, gates + size, x, h)
        first = (x, a.x_stride, 1, a.w_ih + 8 * a.inputs * a.width, a.width, a.inputs)
        products(n, a.width, (gates + 2 * size, a.width), (a.bias + 8 * a.width, 0), first, NONE)
        first = (h, a.width, 1, a.w_hh + 8 * a.units * a.width, a.width, a.units)
        products(n, a.width, (gates + 3 * size, a.width), (a.bias + 12 * a.width, 0), first, NONE)
        for i in range(0, size, 64):
            r, z = sigmoid(load(gates + i)), sigmoid(load(gates + i + size))
            new = tanh(load(gates + i + 2 * size) + r * load(gates + i + 3 * size))
            state = new + z * (load(h + i) - new)
            store(h + i, state)
            store(a.states + row + i, state)
            if a.gates:
                store(gates + i, r)
                store(gates + i + size, z)
                store(gates + i + 2 * size, new)
    keep(memory)


@njit(nogil=True)
def gru_slopes(a, row, n, before, grads, carry):
    """The gradients of the sums r, z, m and n of one step, in this order, and a part of that of the states before."""
    gates, size, step = a.gates + 4 * row, 4 * n * a.width, 4 * CHUNK * a.width
    for i in range(0, size, 64):
        r, z = load(gates + i), load(gates + i + size)
        new, m = load(gates + i + 2 * size), load(gates + i + 3 * size)
        grad = load(carry + i)
        if a.grad_states:
            grad = grad + load(a.grad_states + row + i)
        grad_n = grad * (ONE() - z) * (ONE() - new * new)
        store(grads + i, grad_n * m * r * (ONE() - r))
        store(grads + i + step, grad * (load(before + i) - new) * z * (ONE() - z))
        store(grads + i + 2 * step, grad_n * r)
        store(grads + i + 3 * step, grad_n)
        store(carry + i, grad * z)


@njit(nogil=True)
def gru_backward(steps, a, low):
    """The gradients of `gru_forward`."""
    zeros = np.zeros(max(a.width, a.inputs), np.float32)
    memory = np.empty(CHUNK * (5 * a.width + a.inputs), np.float32)
    none, grads = (np.int64(zeros.ctypes.data), 0), np.int64(memory.ctypes.data)  # (4, CHUNK, W): r, z, m and n
    befores = grads + 16 * CHUNK * a.width  # (CHUNK, W)
    xs = befores + 4 * CHUNK * a.width  # (CHUNK, J)
    carry = a.grad_h + 4 * low * a.width
    used = 0
    for t in range(steps.shape[1] - 1, -1, -1):
        n = steps[0, t]
        row, x, grad = 4 * steps[1, t] * a.width, 4 * steps[2, t], grads + 4 * used * a.width
        before = befores + 4 * used * a.width
        copy_previous(steps, t, low, n, a.states, a.h0, a.width, before)
        copy_inputs(a, x, n, xs + 4 * used * a.inputs)
        gru_slopes(a, row, n, before, grad, carry)
        through_gates(a, 3, n, grad, (carry, a.width), (carry, a.width), a.w_hh, a.width)
        if a.grad_x:
            target = (a.grad_x + x, a.x_stride)
            through_gates(a, 2, n, grad, target, none, a.w_ih, a.inputs)
            of_n = (grad + 12 * CHUNK * a.width, a.width, 1, a.w_ih + 8 * a.units * a.inputs, a.inputs, a.units)
            products(n, a.inputs, target, target, of_n, NONE)
        used += n
        if used > CHUNK - SLICE or (t == 0 and used):
            for gate in range(4):
                of_gate = grads + 4 * gate * CHUNK * a.width
                add_bias_gradient(a, gate, of_gate, used)
                if gate < 3:
                    of_x = of_gate + 4 * CHUNK * a.width if gate == 2 else of_gate
                    add_weight_gradients(a, gate, (of_x, of_gate), used, xs, befores)
            used = 0
    keep(memory)
    keep(zeros)
