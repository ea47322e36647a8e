"""The time loops of SimpleRNN, GRU and LSTM, compiled by Numba. Each call computes some of the samples.

A step processes the samples that are active at that time. They are rows that follow one another in memory. `steps` has
three rows, with one number per step in the order of processing: the number of active samples, the first row of the
outputs, and the offset of the first input.

Hidden states and gates have rows of `width` numbers, the hidden size rounded up to a multiple of 16. The gates of a
step are stored gate by gate, so that the loops over units and samples are one loop.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lit_models.kernels.vectors import ONE, load, products, sigmoid, store, tanh

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


@njit(nogil=True)
def active(steps, t, low, high):
    """How many of the samples from `low` to `high` are active at step t."""
    return max(min(steps[0, t], high) - low, 0)


@njit(nogil=True)
def copy(source, target, count):
    """Copies `count` numbers, a multiple of 16."""
    for i in range(0, 4 * count, 64):
        store(target + i, load(source + i))


@njit(nogil=True)
def copy_previous(steps, t, low, n, states, initial, width, target):
    """Copies the states before step t of n samples: those of the step before, or the initial ones."""
    known = min(active(steps, t - 1, low, low + n), n) if t else 0
    if known:
        copy(states + 4 * (steps[1, t - 1] + low) * width, target, known * width)
    copy(initial + 4 * (low + known) * width, target + 4 * known * width, (n - known) * width)


@njit(nogil=True)
def add_weight_gradients(a, gate, grads, n, x, before):
    """Adds the gradients of W_ih and W_hh of one gate at one step. `grads` are the addresses of the gate's two
    gradients, `(n, W)`: that of W_ih x, and that of W_hh h."""
    w_ih = (a.grad_w_ih + 4 * gate * a.units * a.inputs, a.inputs)
    products(a.units, a.inputs, w_ih, w_ih, (grads[0], 1, a.width, x, a.x_stride, n), NONE)
    w_hh = (a.grad_w_hh + 4 * gate * a.units * a.width, a.width)
    products(a.units, a.width, w_hh, w_hh, (grads[1], 1, a.width, before, a.width, n), NONE)


@njit(nogil=True)
def add_bias_gradient(a, gate, grad, n):
    """Adds the gradient of the bias of one gate at one step."""
    bias = a.grad_bias + 4 * gate * a.width
    for i in range(0, 4 * a.width, 64):
        total = load(grad + i)
        for row in range(1, n):
            total = total + load(grad + 4 * row * a.width + i)
        store(bias + i, load(bias + i) + total)


@njit(nogil=True)
def rnn_forward(steps, a, low, high):
    """h = tanh(W_ih x + b + W_hh h)"""
    h = a.h + 4 * low * a.width
    for t in range(steps.shape[1]):
        n = active(steps, t, low, high)
        if n == 0:
            continue
        z = a.states + 4 * (steps[1, t] + low) * a.width
        x = a.x + 4 * (steps[2, t] + low * a.x_stride)
        first = (x, a.x_stride, 1, a.w_ih, a.width, a.inputs)
        products(n, a.width, (z, a.width), (a.bias, 0), first, (h, a.width, 1, a.w_hh, a.width, a.units))
        for i in range(0, 4 * n * a.width, 64):
            state = tanh(load(z + i))
            store(z + i, state)
            store(h + i, state)


@njit(nogil=True)
def rnn_backward(steps, a, low, high):
    """The gradients of `rnn_forward`."""
    zeros = np.zeros(max(a.width, a.inputs), np.float32)
    scratch = np.empty(2 * (high - low) * a.width, np.float32)
    none = (np.int64(zeros.ctypes.data), 0)
    grad_z = np.int64(scratch.ctypes.data)
    before = grad_z + 4 * (high - low) * a.width
    carry = a.grad_h + 4 * low * a.width
    for t in range(steps.shape[1] - 1, -1, -1):
        n = active(steps, t, low, high)
        if n == 0:
            continue
        row = 4 * (steps[1, t] + low) * a.width
        x = 4 * (steps[2, t] + low * a.x_stride)
        for i in range(0, 4 * n * a.width, 64):
            grad, state = load(carry + i), load(a.states + row + i)
            if a.grad_states:
                grad = grad + load(a.grad_states + row + i)
            store(grad_z + i, grad * (ONE() - state * state))
        copy_previous(steps, t, low, n, a.states, a.h0, a.width, before)
        factor = (grad_z, a.width, 1)
        products(n, a.width, (carry, a.width), none, (*factor, a.w_hh, a.width, a.units), NONE)
        if a.grad_x:
            products(n, a.inputs, (a.grad_x + x, a.x_stride), none, (*factor, a.w_ih, a.inputs, a.units), NONE)
        add_weight_gradients(a, 0, (grad_z, grad_z), n, a.x + x, before)
        add_bias_gradient(a, 0, grad_z, n)


@njit(nogil=True)
def gate_sums(a, gate, n, target, x, h):
    """W_ih x + W_hh h + b of one gate at one step."""
    first = (x, a.x_stride, 1, a.w_ih + 4 * gate * a.inputs * a.width, a.width, a.inputs)
    second = (h, a.width, 1, a.w_hh + 4 * gate * a.units * a.width, a.width, a.units)
    products(n, a.width, (target, a.width), (a.bias + 4 * gate * a.width, 0), first, second)


@njit(nogil=True)
def lstm_forward(steps, a, low, high):
    """i, f, o = sigmoid(...), g = tanh(...), each of W_ih x + b + W_hh h; c = f c + i g; h = o tanh(c)"""
    scratch = np.empty(4 * (high - low) * a.width, np.float32)
    h, c = a.h + 4 * low * a.width, a.c + 4 * low * a.width
    for t in range(steps.shape[1]):
        n = active(steps, t, low, high)
        if n == 0:
            continue
        row = 4 * (steps[1, t] + low) * a.width
        x = a.x + 4 * (steps[2, t] + low * a.x_stride)
        size = 4 * n * a.width  # bytes of one gate
        gates = a.gates + 4 * row if a.gates else np.int64(scratch.ctypes.data)
        for gate in range(4):
            gate_sums(a, gate, n, gates + gate * size, x, h)
        for i in range(gates, gates + size, 64):
            at = i - gates
            i_gate, f_gate = sigmoid(load(i)), sigmoid(load(i + size))
            g_gate, o_gate = tanh(load(i + 2 * size)), sigmoid(load(i + 3 * size))
            cell = f_gate * load(c + at) + i_gate * g_gate
            state = o_gate * tanh(cell)
            store(c + at, cell)
            store(h + at, state)
            store(a.states + row + at, state)
            store(a.cells + row + at, cell)
            if a.gates:
                store(i, i_gate)
                store(i + size, f_gate)
                store(i + 2 * size, g_gate)
                store(i + 3 * size, o_gate)


@njit(nogil=True)
def lstm_slopes(a, row, n, gates, before, grads, carry_h, carry_c):
    """The gradients of the four sums of one step, and that of the cells before it, in `carry_c`."""
    size = 4 * n * a.width
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
        store(grads + i + size, grad_c * load(before + i) * f_gate * (ONE() - f_gate))
        store(grads + i + 2 * size, grad_c * i_gate * (ONE() - g_gate * g_gate))
        store(grads + i + 3 * size, grad_h * squashed * o_gate * (ONE() - o_gate))
        store(carry_c + i, grad_c * f_gate)


@njit(nogil=True)
def lstm_backward(steps, a, low, high):
    """The gradients of `lstm_forward`."""
    zeros = np.zeros(max(a.width, a.inputs), np.float32)
    scratch = np.empty(6 * (high - low) * a.width, np.float32)
    none, grads = (np.int64(zeros.ctypes.data), 0), np.int64(scratch.ctypes.data)
    before_h = grads + 16 * (high - low) * a.width
    before_c = before_h + 4 * (high - low) * a.width
    carry_h, carry_c = a.grad_h + 4 * low * a.width, a.grad_c + 4 * low * a.width
    for t in range(steps.shape[1] - 1, -1, -1):
        n = active(steps, t, low, high)
        if n == 0:
            continue
        row = 4 * (steps[1, t] + low) * a.width
        x = 4 * (steps[2, t] + low * a.x_stride)
        copy_previous(steps, t, low, n, a.states, a.h0, a.width, before_h)
        copy_previous(steps, t, low, n, a.cells, a.c0, a.width, before_c)
        lstm_slopes(a, row, n, a.gates + 4 * row, before_c, grads, carry_h, carry_c)
        through_gates(a, 4, n, grads, (carry_h, a.width), none, a.w_hh, a.width)
        if a.grad_x:
            through_gates(a, 4, n, grads, (a.grad_x + x, a.x_stride), none, a.w_ih, a.inputs)
        for gate in range(4):
            grad = grads + 4 * gate * n * a.width
            add_weight_gradients(a, gate, (grad, grad), n, a.x + x, before_h)
            add_bias_gradient(a, gate, grad, n)


@njit(nogil=True)
def through_gates(a, gates, n, grads, target, start, weights, columns):
    """target = start + the sum over the gates of their gradients times their weights `(H, columns)`."""
    for gate in range(0, gates, 2):
        first = (grads + 4 * gate * n * a.width, a.width, 1, weights + 4 * gate * a.units * columns, columns, a.units)
        second = NONE
        if gate + 1 < gates:
            shift = 4 * (gate + 1)
            second = (grads + shift * n * a.width, a.width, 1, weights + shift * a.units * columns, columns, a.units)
        products(n, columns, target, target if gate else start, first, second)


@njit(nogil=True)
def gru_forward(steps, a, low, high):
    """r, z = sigmoid(W_ih x + b + W_hh h), m = W_hn h + b_hn, n = tanh(W_in x + b_in + r m), h = (1 - z) n + z h"""
    scratch = np.empty(4 * (high - low) * a.width, np.float32)
    h = a.h + 4 * low * a.width
    for t in range(steps.shape[1]):
        n = active(steps, t, low, high)
        if n == 0:
            continue
        row = 4 * (steps[1, t] + low) * a.width
        x = a.x + 4 * (steps[2, t] + low * a.x_stride)
        size = 4 * n * a.width  # bytes of one gate
        gates = a.gates + 4 * row if a.gates else np.int64(scratch.ctypes.data)
        gate_sums(a, 0, n, gates, x, h)
        gate_sums(a, 1, n, gates + size, x, h)
        first = (x, a.x_stride, 1, a.w_ih + 8 * a.inputs * a.width, a.width, a.inputs)
        products(n, a.width, (gates + 2 * size, a.width), (a.bias + 8 * a.width, 0), first, NONE)
        first = (h, a.width, 1, a.w_hh + 8 * a.units * a.width, a.width, a.units)
        products(n, a.width, (gates + 3 * size, a.width), (a.bias + 12 * a.width, 0), first, NONE)
        for i in range(gates, gates + size, 64):
            r, z = sigmoid(load(i)), sigmoid(load(i + size))
            new = tanh(load(i + 2 * size) + r * load(i + 3 * size))
            state = new + z * (load(h + i - gates) - new)
            store(h + i - gates, state)
            store(a.states + row + i - gates, state)
            if a.gates:
                store(i, r)
                store(i + size, z)
                store(i + 2 * size, new)


@njit(nogil=True)
def gru_slopes(a, row, n, gates, before, grads, carry):
    """The gradients of the sums r, z, m and n of one step, in this order, and a part of that of the states before."""
    size = 4 * n * a.width
    for i in range(0, size, 64):
        r, z = load(gates + i), load(gates + i + size)
        new, m = load(gates + i + 2 * size), load(gates + i + 3 * size)
        grad = load(carry + i)
        if a.grad_states:
            grad = grad + load(a.grad_states + row + i)
        grad_n = grad * (ONE() - z) * (ONE() - new * new)
        store(grads + i, grad_n * m * r * (ONE() - r))
        store(grads + i + size, grad * (load(before + i) - new) * z * (ONE() - z))
        store(grads + i + 2 * size, grad_n * r)
        store(grads + i + 3 * size, grad_n)
        store(carry + i, grad * z)


@njit(nogil=True)
def gru_backward(steps, a, low, high):
    """The gradients of `gru_forward`."""
    zeros = np.zeros(max(a.width, a.inputs), np.float32)
    scratch = np.empty(5 * (high - low) * a.width, np.float32)
    none, grads = (np.int64(zeros.ctypes.data), 0), np.int64(scratch.ctypes.data)
    before = grads + 16 * (high - low) * a.width
    carry = a.grad_h + 4 * low * a.width
    for t in range(steps.shape[1] - 1, -1, -1):
        n = active(steps, t, low, high)
        if n == 0:
            continue
        row = 4 * (steps[1, t] + low) * a.width
        x = 4 * (steps[2, t] + low * a.x_stride)
        size = 4 * n * a.width
        copy_previous(steps, t, low, n, a.states, a.h0, a.width, before)
        gru_slopes(a, row, n, a.gates + 4 * row, before, grads, carry)
        through_gates(a, 3, n, grads, (carry, a.width), (carry, a.width), a.w_hh, a.width)
        if a.grad_x:
            target = (a.grad_x + x, a.x_stride)
            through_gates(a, 2, n, grads, target, none, a.w_ih, a.inputs)
            first = (grads + 3 * size, a.width, 1, a.w_ih + 8 * a.units * a.inputs, a.inputs, a.units)
            products(n, a.inputs, target, target, first, NONE)
        for gate in range(3):
            grad = grads + gate * size
            add_weight_gradients(a, gate, (grads + 3 * size if gate == 2 else grad, grad), n, a.x + x, before)
        for gate in range(4):
            add_bias_gradient(a, gate, grads + gate * size, n)
