"""Dropout that does not depend on the number of processes: each one drops the same values as a single process would.

`RepeatableDraws` seeds PyTorch's generators for one step and restores them afterwards, so that the random numbers of a
step depend only on its seed. Several processes share a batch: process r has the samples r, r + n, … of n processes.
With `rows`, `F.dropout` and `F.scaled_dot_product_attention` draw for the whole batch and use the rows of this process.
`nn.Dropout`, `nn.MultiheadAttention`, `nn.TransformerEncoderLayer` and the models of Hugging Face call these functions.

Limits: other random functions, such as `F.dropout2d` or `torch.rand` in a network, draw the same numbers for the first
sample of each process. On a GPU, one process uses PyTorch's fused dropout, which draws other numbers than several
processes do. A compiled network draws as PyTorch's compiler decides.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

plain_dropout = F.dropout
plain_attention = F.scaled_dot_product_attention


@dataclass(frozen=True)
class Rows:
    """The samples of one process in a batch that several processes share.

    Args:
        total: samples of the whole batch.
        rank: number of this process; its samples are `rank`, `rank + num_replicas`, and so on.
        num_replicas: number of processes.
    """

    total: int
    rank: int = 0
    num_replicas: int = 1

    @property
    def local(self) -> int:
        """Samples of this process."""
        return len(range(self.rank, self.total, self.num_replicas))


shared: Rows | None = None
"""The rows of the current step; None if one process has all of them. A context variable would not be seen by the
backward pass, which runs in other threads on a GPU."""


class RepeatableDraws:
    """Random numbers in the block depend only on `seed`; the generators of the process are restored afterwards.

    A class takes half the time of a generator function, and each training step has such a block.

    Args:
        seed: seed of the block, 0 or more.
        device: the network's.
        rows: the samples of this process.
    """

    def __init__(self, seed: int, device: torch.device, rows: Rows) -> None:
        self.seed, self.generators = seed, [torch.default_generator]
        if device.type == "cuda":
            self.generators.append(torch.cuda.default_generators[device.index or 0])
        self.shared = drawn_for(rows) if rows.num_replicas > 1 else None

    def __enter__(self) -> None:
        self.states = [generator.get_state() for generator in self.generators]
        for generator in self.generators:
            generator.manual_seed(self.seed)
        if self.shared is not None:
            self.shared.__enter__()

    def __exit__(self, *error: Any) -> None:
        try:
            if self.shared is not None:
                self.shared.__exit__(*error)
        finally:
            for generator, state in zip(self.generators, self.states, strict=True):
                generator.set_state(state)


@contextmanager
def drawn_for(rows: Rows) -> Iterator[None]:
    """Dropout in the block uses the rows of this process. With one process, nothing is changed.

    The backward pass needs it too if the network runs parts of the forward pass again (`torch.utils.checkpoint`).
    """
    global shared
    if rows.num_replicas == 1:
        yield
        return
    before = shared
    functions: Any = F
    shared, functions.dropout, functions.scaled_dot_product_attention = rows, dropout, attention
    try:
        yield
    finally:
        shared = before
        functions.dropout, functions.scaled_dot_product_attention = plain_dropout, plain_attention


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`F.dropout` for the rows of this process. The samples are the first dimension of `input` or a factor of it, as in
    `(B * T, E)`; otherwise the second one, as in `(T, B, E)`. An input without samples, such as a weight, is dropped in
    the same way in all processes."""
    dim = batch_dim(input)
    if not training or dim is None or not 0 < p < 1:
        return plain_dropout(input, p, training, inplace)
    noise = scaled_noise(input, p, dim)
    return input.mul_(noise) if inplace else input * noise


def batch_dim(x: Tensor) -> int | None:
    """The dimension of `x` that contains the samples of this process; None if there is none."""
    if shared is None:
        return 0
    if x.ndim and x.shape[0] and x.shape[0] % shared.local == 0:
        return 0
    return 1 if x.ndim > 1 and x.shape[1] == shared.local else None


def scaled_noise(x: Tensor, p: float, dim: int) -> Tensor:
    """What dropout multiplies `x` by: 0 with probability `p`, otherwise 1 / (1 - p). `dim` contains the samples.

    PyTorch fills noise in the order of the input's memory, so the noise of the whole batch has the same order.
    """
    # In `(T, 1, E)`, both of the first strides are E. The tie means that the samples are not the outermost dimension.
    strides = x.stride()
    order = sorted(range(x.ndim), key=lambda d: (-strides[d], d == dim))
    noise = rows_of_noise([x.shape[d] for d in order], p, order.index(dim), x)
    return noise.permute([order.index(d) for d in range(x.ndim)])


def rows_of_noise(
    sizes: list[int], p: float, dim: int, like: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Noise of this shape, type and device: the rows of this process from the noise of the whole batch."""
    rows = shared or Rows(sizes[dim])
    each = sizes[dim] // rows.local  # numbers in this dimension that belong to one sample
    whole = [*sizes[:dim], rows.total * each, *sizes[dim + 1 :]]
    noise = torch.empty(whole, dtype=like.dtype, device=like.device).bernoulli_(1 - p, generator=generator).div_(1 - p)
    if rows.num_replicas == 1:
        return noise
    own = torch.arange(rows.rank, rows.total, rows.num_replicas, device=like.device)
    apart = noise.reshape(*sizes[:dim], rows.total, each, *sizes[dim + 1 :])
    return apart.index_select(dim, own).flatten(dim, dim + 1)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **settings: Any,
) -> Tensor:
    """`F.scaled_dot_product_attention`, with dropout for the rows of this process."""
    if not dropout_p:
        return plain_attention(query, key, value, attn_mask, dropout_p, is_causal, **settings)
    if settings.get("enable_gqa"):
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    scale = settings.get("scale") or query.shape[-1] ** -0.5
    scores = query * scale @ key.transpose(-2, -1)  # (..., T, S)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    weights = scores.softmax(dim=-1)
    if attn_mask is not None:  # a position that may attend to nothing is 0, as in PyTorch
        weights = weights.masked_fill((scores == -torch.inf).all(dim=-1, keepdim=True), 0)
    return dropout(weights, dropout_p) @ value


Sequences = TypeVar("Sequences", Tensor, PackedSequence)


def sequence_dropout(x: Sequences, p: float, training: bool = True, *, batch_dim: int = 1) -> Sequences:
    """`F.dropout` of sequences: `(T, B, H)`, or another tensor whose samples are in `batch_dim`, or packed."""
    if not training or not p:
        return x
    if isinstance(x, PackedSequence):
        return x._replace(data=x.data * packed_noise(x, p))
    return plain_dropout(x, p) if shared is None else x * scaled_noise(x, p, batch_dim)


def packed_noise(x: PackedSequence, p: float) -> Tensor:
    """Noise for the data of packed sequences. What is dropped from a text does not depend on the lengths of the others:
    the noise is drawn for padded texts `(T, B, H)`, where further time steps do not change the earlier ones. T differs
    between processes, so a separate generator draws it."""
    seed = int(torch.empty((), dtype=torch.int64).random_())
    generator = torch.Generator(x.data.device).manual_seed(seed)
    steps, num_samples, size = len(x.batch_sizes), int(x.batch_sizes[0]), x.data.shape[1]
    noise = rows_of_noise([steps, num_samples, size], p, 1, x.data, generator)  # (T, B, H)
    step = torch.arange(steps).repeat_interleave(x.batch_sizes)  # the time step of each row of the data
    sample = torch.cat([torch.arange(count) for count in x.batch_sizes.tolist()])  # its place among the sorted texts
    if x.sorted_indices is not None:
        sample = x.sorted_indices.cpu()[sample]
    return noise[step.to(noise.device), sample.to(noise.device)]
