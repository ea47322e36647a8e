"""The gradient of an embedding, compiled by Numba."""

from typing import NamedTuple

from numba import njit

from lit_models.kernels.loops.vectors import load, store


class Backward(NamedTuple):
    """Addresses and sizes."""

    width: int
    """numbers of a row, a multiple of 16"""
    grad: int
    """`(N, width)`: of the rows of N tokens"""
    total: int
    """`(V, width)`: of the table; sums are added to it"""


@njit(nogil=True)
def embedding_backward(tokens, a, low):
    """Adds the gradients of the rows of tokens `(1, N)` to those of the table, one after the other from token `low`."""
    for i in range(low, tokens.shape[1]):
        source, target = a.grad + 4 * i * a.width, a.total + 4 * tokens[0, i] * a.width
        for j in range(0, 4 * a.width, 64):
            store(target + j, load(target + j) + load(source + j))
