"""Texts that are padded at the front, without computing the padding again for each text.

After k padding tokens, a recurrent layer is in the same state in every text. The first steps of the text with the most
padding are computed once; each text then starts from the state after its own padding. In the backward pass, each text
adds its gradient to that of this state.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lit_models.kernels.compiled import SLICE
from lit_models.kernels.passes import Initial, States, Steps, recurrence


class FrontPadded(NamedTuple):
    """Sequences of equal length T that begin with padding: the longest run of padding, and what follows the padding."""

    prefix: Tensor
    """`(P, I)`: the values of the padding, for the text that has the most of it"""
    rows: Tensor
    """`(N, I)`: the values after the padding, for the texts in the order of `padding`"""
    steps: Steps
    """of `rows`"""
    padding: Tensor
    """int64 `(B,)`: number of padding tokens at the front of each text, ascending"""
    places: Tensor
    """int64 `(B,)`: index of each text of the batch in `padding`"""

    @classmethod
    def of(cls, tokens: Tensor, padding_id: int) -> "FrontPadded":
        """Splits tokens, int64 `(B, T)` on a CPU. `prefix` and `rows` are token ids, `(P,)` and `(N,)`."""
        array = tokens.numpy()
        length = array.shape[1]
        words = array != padding_id
        padding = np.where(words.any(axis=1), words.argmax(axis=1), length)  # (B,)
        order = padding.argsort(kind="stable")
        padding = padding[order]
        time = np.arange(length)
        active = padding <= time[:, None]  # (T, B)
        steps = Steps.of(padding.searchsorted(time, side="right"), len(array)).slice_by_slice()
        slices = np.split(np.arange(len(array)), range(SLICE, len(array), SLICE))
        rows = torch.from_numpy(np.concatenate([array[order[part]].T[active[:, part]] for part in slices]))  # (N,)
        prefix = rows.new_full((int(padding[-1]),), padding_id)
        return cls(prefix, rows, steps, torch.from_numpy(padding), torch.from_numpy(order.argsort()))

    def map(self, function: Callable[[Tensor], Tensor]) -> "FrontPadded":
        """Applies `function` to the values of all steps."""
        return self._replace(prefix=function(self.prefix), rows=function(self.rows))

    def layer(self, mode: str, weights: list[Tensor]) -> tuple["FrontPadded", list[Tensor]]:
        """Runs a recurrent layer. Returns its outputs and, in the order of the batch, its last states `(B, H)`."""
        prefix, initial = self.prefix.new_empty(0, weights[1].shape[1]), Initial()
        if len(self.prefix):
            steps = Steps.of(np.ones(len(self.prefix), np.int64), 1)
            shared = recurrence(mode, steps, self.prefix, weights)
            prefix, initial = shared.states, self.starts(shared)
        result = recurrence(mode, self.steps, self.rows, weights, initial)
        last = [state for state in (result.last, result.last_cells) if state is not None]
        return self._replace(prefix=prefix, rows=result.states), [state.index_select(0, self.places) for state in last]

    def starts(self, shared: States) -> Initial:
        """The states after the padding of each text, from those of the prefix."""
        h, c = (
            None if states is None else torch.cat([torch.zeros_like(states[:1]), states]).index_select(0, self.padding)
            for states in (shared.states, shared.cells)
        )
        return Initial(h, c)
