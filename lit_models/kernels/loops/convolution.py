"""The passes of a convolution with max pooling and an activation after it, compiled by Numba.

Images and maps are channels-last: `(samples, height, width, channels)`. A call computes one part of the batch: `slices`
has a row per part with its start and end; the end is exclusive.

Max pooling passes the gradient of a pooled value to one of the pixels below it. ReLU passes none where the value is 0.
The backward pass therefore uses lists of the remaining gradients, at most a quarter of all, instead of whole maps.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lit_models.kernels.loops.tiles import add_scaled, convolve_row
from lit_models.kernels.loops.vectors import (
    ONE,
    ZERO,
    byte_at,
    integer_at,
    keep,
    load,
    long_at,
    number_at,
    positive_part,
    set_integer,
    set_long,
    set_number,
    sigmoid,
    splat,
    store,
    store_bytes,
    tanh,
    where_larger,
)

RELU, TANH, SIGMOID = 0, 1, 2


class Forward(NamedTuple):
    """Addresses and sizes of a forward pass. C channels, O filters, h x w pooled values of a filter."""

    channels: int
    """C"""
    height: int
    width: int
    filters: int
    """O, a multiple of 16"""
    kernel: int
    """pixels per side of a filter"""
    pool: int
    """pixels per side of the pooling; 1 for none"""
    activation: int
    x: int
    """`(B, height, width, C)`"""
    weight: int
    """`(O / 16, kernel, kernel * C, 16)`"""
    bias: int
    out: int
    """`(B, h, w, O)`"""
    positions: int
    """bytes `(B, h, w, O)`: which pixel of a pooling had the maximum; 0 if no backward pass follows"""


class Backward(NamedTuple):
    """Addresses and sizes of a backward pass. A row of a filter has `span` numbers, `kernel * C` rounded up to a
    multiple of 16."""

    channels: int
    height: int
    width: int
    filters: int
    kernel: int
    pool: int
    activation: int
    x: int
    """as in the forward pass; if C is not a multiple of 16, the channels are copied into rows of whole vectors"""
    weight: int
    """`(kernel, O, kernel, C)`; 0 if x needs no gradient"""
    out: int
    positions: int
    grad_out: int
    """`(B, h, w, O)`"""
    grad_x: int
    """`(B, height, width, C)`, or 0; C is a multiple of 16 then"""
    grad_weight: int
    """`(O, taps, span)` of this part; sums are added to it; 0 if the weights need no gradient"""
    grad_bias: int
    """`(O,)` of this part"""


@njit(nogil=True)
def aligned(memory):
    """The first address of an array that is a multiple of 64 bytes."""
    return (np.int64(memory.ctypes.data) + 63) & -64


@njit(nogil=True)
def pool_row(a, maps, row_stride, count, out, positions):
    """Pools 16 filters of `count` values of a row, and applies the activation."""
    for column in range(count):
        first = maps + 64 * a.pool * column
        best, position = load(first), ZERO()
        for i in range(a.pool):
            for j in range(a.pool):
                value = load(first + row_stride * i + 64 * j)
                place = splat(np.float32(a.pool * i + j))
                position = where_larger(value, best, place, position)
                best = where_larger(value, best, value, best)
        if a.activation == RELU:
            best = positive_part(best, best)
        elif a.activation == TANH:
            best = tanh(best)
        else:
            best = sigmoid(best)
        store(out + 4 * a.filters * column, best)
        if a.positions:
            store_bytes(positions + a.filters * column, position)


@njit(nogil=True)
def convolution_forward(slices, a, part):
    """out = activation(max_pool(conv(x))) of the samples of one part."""
    height, width = (a.height - a.kernel + 1) // a.pool, (a.width - a.kernel + 1) // a.pool
    pixels, span = width * a.pool, a.kernel * a.channels
    memory = np.empty(a.pool * pixels * 16 + 16, np.float32)
    maps = aligned(memory)
    for block in range(a.filters // 16):
        weight, bias = a.weight + 64 * block * a.kernel * span, a.bias + 64 * block
        for sample in range(slices[part, 0], slices[part, 1]):
            for row in range(height):
                x = a.x + 4 * (sample * a.height + row * a.pool) * a.width * a.channels
                for i in range(a.pool):
                    inputs = (x + 4 * i * a.width * a.channels, a.channels, a.width * a.channels)
                    convolve_row(pixels, maps + 64 * pixels * i, bias, weight, inputs, a.kernel, span)
                first = (sample * height + row) * width * a.filters + 16 * block
                pool_row(a, maps, 64 * pixels, width, a.out + 4 * first, a.positions + first)
    keep(memory)


@njit(nogil=True)
def convolution_backward(slices, a, part):
    """The gradients of `convolution_forward`."""
    height, width = (a.height - a.kernel + 1) // a.pool, (a.width - a.kernel + 1) // a.pool
    count, places = height * width, a.pool * a.pool
    whole = a.channels % 16 == 0  # the inputs of a filter's row are already whole vectors
    taps = a.kernel if whole else 1
    span = a.kernel * a.channels if whole else -(-a.kernel * a.kernel * a.channels // 16) * 16
    columns, rows = (a.width, a.height) if whole else (width * a.pool, height * a.pool)
    stride = a.channels if whole else span
    sample_size = rows * columns * stride  # numbers
    group = max(1, 6144 // sample_size)  # samples whose inputs fit into the L1 cache
    grads = np.empty(group * count * a.filters, np.float32)
    memory = np.empty(0 if whole else group * sample_size + 32 * span, np.float32)
    copies = aligned(memory)
    padded = np.empty(0 if whole else a.height * a.width * a.channels + 32, np.float32)
    begins = begins_of_pixels(a, height, width, columns, stride)
    offsets = np.empty(a.filters * group * count, np.int32)
    factors = np.empty(a.filters * group * count, np.float32)
    lengths = np.empty(a.filters, np.int64)
    sources, amounts = np.empty(count * places * a.filters, np.int32), np.empty(count * places * a.filters, np.float32)
    numbers = np.empty(count * places, np.int64)
    last = slices[part, 1]
    for low in range(slices[part, 0], last, group):
        samples = min(group, last - low)
        first = low * count * a.filters
        x = a.x + 4 * low * a.height * a.width * a.channels
        gradients_of_sums(a, first, samples * count, grads)
        if a.grad_x:
            for i in range(samples):
                values = grads[i * count * a.filters :]
                list_by_pixel(a, count, first + i * count * a.filters, span, values, sources, amounts, numbers)
                add_grad_x(a, low + i, height, width, span, sources, amounts, numbers)
        if not a.grad_weight:
            continue
        if not whole:
            for i in range(samples):
                source = x + 4 * i * a.height * a.width * a.channels
                copy_pixels(a, source, rows, columns, span, padded, copies + 4 * i * sample_size)
            x = copies
        list_by_filter(a, samples, first, 4 * sample_size, begins, grads, offsets, factors, lengths)
        add_grad_weight(a, x, taps, span, offsets, factors, lengths)
    keep(memory)


@njit(nogil=True)
def begins_of_pixels(a, height, width, columns, stride):
    """Where the inputs of each pixel of each pooling begin, in bytes: `(count, places)`."""
    places = a.pool * a.pool
    begins = np.empty((height * width, places), np.int32)
    for value in range(height * width):
        for place in range(places):
            row, column = value // width * a.pool + place // a.pool, value % width * a.pool + place % a.pool
            begins[value, place] = 4 * (row * columns + column) * stride
    return begins


@njit(nogil=True)
def gradients_of_sums(a, first, count, grads):
    """The gradients of the pooled sums of some samples, and the gradient of the bias."""
    target = np.int64(grads.ctypes.data)
    for column in range(0, a.filters, 16):
        bias = load(a.grad_bias + 4 * column)
        for value in range(count):
            place = 4 * (value * a.filters + column)
            grad, out = load(a.grad_out + 4 * first + place), load(a.out + 4 * first + place)
            if a.activation == RELU:
                grad = positive_part(grad, out)
            elif a.activation == TANH:
                grad = grad * (ONE() - out * out)
            else:
                grad = grad * out * (ONE() - out)
            bias = bias + grad
            store(target + place, grad)
        store(a.grad_bias + 4 * column, bias)


@njit(nogil=True)
def list_by_filter(a, samples, first, sample_size, begins, grads, offsets, factors, lengths):
    """Lists the gradients that are not 0, filter by filter: where the inputs begin in bytes, and the gradient."""
    count, places = begins.shape
    grad_row, positions = np.int64(grads.ctypes.data), a.positions + first
    capacity = len(offsets) // a.filters
    for filter in range(a.filters):
        offset = np.int64(offsets.ctypes.data) + 4 * filter * capacity
        factor = np.int64(factors.ctypes.data) + 4 * filter * capacity
        grad_place, position_place = grad_row + 4 * filter, positions + filter
        length = np.int64(0)
        for sample in range(samples):
            begin, begin_of_sample = np.int64(begins.ctypes.data), np.int32(sample * sample_size)
            for _ in range(count):
                grad = number_at(grad_place)
                set_integer(offset + length, begin_of_sample + integer_at(begin + 4 * byte_at(position_place)))
                set_number(factor + length, grad)
                length += 4 * (grad != 0)
                grad_place += 4 * a.filters
                position_place += a.filters
                begin += 4 * places
        lengths[filter] = length // 4


@njit(nogil=True)
def add_grad_weight(a, x, taps, span, offsets, factors, lengths):
    """Adds the gradients of the weights, from the lists by filter."""
    capacity = len(offsets) // a.filters
    for tap in range(taps):
        rows = x + 4 * tap * a.width * a.channels
        for filter in range(a.filters):
            target, row = a.grad_weight + 4 * (filter * taps + tap) * span, 4 * filter * capacity
            offset, factor = np.int64(offsets.ctypes.data) + row, np.int64(factors.ctypes.data) + row
            add_scaled(span // 16, target, rows, offset, factor, lengths[filter])


@njit(nogil=True)
def list_by_pixel(a, count, first, span, grads, sources, amounts, numbers):
    """Lists the gradients of a sample that are not 0, pixel by pixel: where the weights begin, and the gradient."""
    places = a.pool * a.pool
    source, amount = np.int64(sources.ctypes.data), np.int64(amounts.ctypes.data)
    length = np.int64(numbers.ctypes.data)
    grad_place, position_place = np.int64(grads.ctypes.data), a.positions + first
    numbers[:] = 0
    for _ in range(count):
        for filter in range(a.filters):
            grad, place = number_at(grad_place + 4 * filter), np.int64(byte_at(position_place + filter))
            entry = 4 * (place * a.filters + long_at(length + 8 * place))
            set_integer(source + entry, np.int32(4 * filter * span))
            set_number(amount + entry, grad)
            set_long(length + 8 * place, long_at(length + 8 * place) + (grad != 0))
        grad_place += 4 * a.filters
        position_place += a.filters
        source += 4 * places * a.filters
        amount += 4 * places * a.filters
        length += 8 * places


@njit(nogil=True)
def add_grad_x(a, sample, height, width, span, sources, amounts, numbers):
    """The gradient of one sample's inputs."""
    row_size = a.width * a.channels
    grad_x = a.grad_x + 4 * sample * a.height * row_size
    for i in range(0, 4 * a.height * row_size, 64):
        store(grad_x + i, ZERO())
    for tap in range(a.kernel):
        for vector in range(0, span // 16, 6):
            weight = a.weight + 4 * tap * a.filters * span + 64 * vector
            index = 0
            for row in range(height):
                for column in range(width):
                    for place in range(a.pool * a.pool):
                        y, x = row * a.pool + place // a.pool, column * a.pool + place % a.pool
                        target = grad_x + 4 * ((y + tap) * row_size + x * a.channels) + 64 * vector
                        source = np.int64(sources.ctypes.data) + 4 * index * a.filters
                        amount = np.int64(amounts.ctypes.data) + 4 * index * a.filters
                        if numbers[index]:
                            add_scaled(min(6, span // 16 - vector), target, weight, source, amount, numbers[index])
                        index += 1


@njit(nogil=True)
def copy_pixels(a, x, rows, columns, span, padded, copies):
    """Copies the inputs of a filter at each pixel into a row of `span` numbers. The rest of the row is not used."""
    size = a.kernel * a.channels
    source, target = np.int64(padded.ctypes.data), copies
    for i in range(0, 4 * a.height * a.width * a.channels, 4):
        set_number(source + i, number_at(x + i))
    for row in range(rows):
        for column in range(columns):
            for tap in range(a.kernel):
                inputs = source + 4 * ((row + tap) * a.width + column) * a.channels
                for i in range(0, 4 * size, 64):
                    store(target + 4 * tap * size + i, load(inputs + i))
            target += 4 * span
