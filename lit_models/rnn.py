"""Recurrent networks for text: embedding, stacked SimpleRNN, LSTM or GRU cells, the last state, a dense output.

Sources: the ported Keras program (Embedding(10000, 32), SimpleRNN(32) twice, Dense(1)); Elman 1990; Hochreiter and
Schmidhuber, "Long Short-Term Memory", 1997; Cho et al., arXiv:1406.1078 (GRU).
"""

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from datamodules.errors import UserError, require_at_least
from lit_models.keras.rules.initializers import init_like_keras
from lit_models.kernels.dropout import sequence_dropout
from lit_models.kernels.embedding import Embedding
from lit_models.kernels.recurrence import GRU, LSTM, SimpleRNN, embedded
from lit_models.tasks.task import LitTask

CELLS: dict[str, type[SimpleRNN | LSTM | GRU]] = {"simple": SimpleRNN, "lstm": LSTM, "gru": GRU}


class RNN(nn.Module):
    """Embedding, recurrent layers, and dense layers on the last state of the top recurrent layer.

    Args:
        vocab_size: number of token ids, at least 1; set by the data.
        num_outputs: outputs of the last layer.
        cell: kind of the recurrent layers; "simple" is a SimpleRNN with tanh.
        embedding_size: numbers that represent a token, at least 1.
        hidden_size: units of a recurrent layer, in each direction, at least 1.
        num_layers: recurrent layers of that size, at least 1.
        upper_sizes: units of further recurrent layers above those, at least 1 each.
        dense_sizes: units of ReLU layers between the last state and the output, at least 1 each.
        bidirectional: adds layers that read from the end; the output layer then sees both last states.
        dropout: probability of dropping a value between recurrent layers and before the output in training, 0 to below
            1.
        padding_id: the token id that pads; set by the data.
        mask_padding: leave the padding out of the recurrence (packed sequences). Otherwise the cells run over it, as in
            the Keras program, and outputs depend on the padding. Set by data whose batches are padded to their own
            longest text.

    Raises:
        UserError: a number out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 10_000,
        num_outputs: int = 1,
        *,
        cell: Literal["simple", "lstm", "gru"] = "simple",
        embedding_size: int = 32,
        hidden_size: int = 32,
        num_layers: int = 2,
        upper_sizes: list[int] = [],  # noqa: B006  (read, never changed)
        dense_sizes: list[int] = [],  # noqa: B006
        bidirectional: bool = False,
        dropout: float = 0.0,
        padding_id: int = 0,
        mask_padding: bool = False,
    ) -> None:
        super().__init__()
        require_at_least(
            1, vocab_size=vocab_size, embedding_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers
        )
        require_at_least(1, upper_sizes=min(upper_sizes, default=1), dense_sizes=min(dense_sizes, default=1))
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be 0 to below 1, got {dropout}")
        self.padding_id, self.mask_padding = padding_id, mask_padding
        self.embedding = Embedding(vocab_size, embedding_size)
        between = dropout if num_layers > 1 else 0.0
        both: dict[str, Any] = {"batch_first": True, "bidirectional": bidirectional}
        directions = 2 if bidirectional else 1
        self.cells = CELLS[cell](embedding_size, hidden_size, num_layers, dropout=between, **both)
        self.upper = nn.ModuleList(
            CELLS[cell](n * directions, m, **both) for n, m in pairwise([hidden_size, *upper_sizes])
        )
        sizes = [[hidden_size, *upper_sizes][-1] * directions, *dense_sizes]
        self.dense = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sizes[-1], num_outputs)
        self.apply(init_like_keras)

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens`: int64 `(B, T)`; returns `(B, num_outputs)`. With `mask_padding`, the last state of a text without
        tokens is the initial state, zero."""
        empty = (tokens == self.padding_id).all(dim=1, keepdim=True) if self.mask_padding else None  # (B, 1)
        layers = (
            [] if self.training and self.dropout.p else [self.cells, *self.upper]
        )  # nothing is dropped between them
        x = self._packed(tokens) if self.mask_padding else embedded(self.embedding, tokens, self.padding_id, layers)
        x, state = self.cells(x)  # (B, T, directions * H)
        for layer in self.upper:
            x, state = layer(sequence_dropout(x, self.dropout.p, self.training, batch_dim=0))
        hidden = state[0] if isinstance(state, tuple) else state  # (layers * directions, B, H), of an LSTM's (h, c)
        last = hidden[-2:].transpose(0, 1).flatten(1) if self.cells.bidirectional else hidden[-1]  # (B, directions * H)
        if empty is not None:
            last = last.masked_fill(empty, 0)
        for dense in self.dense:
            last = F.relu(dense(last))
        outputs: Tensor = self.output(self.dropout(last))
        return outputs

    def _packed(self, tokens: Tensor) -> PackedSequence:
        """Embeddings of all tokens but the padding."""
        tokens, lengths = left_align(tokens, self.padding_id)
        return pack_padded_sequence(self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)


def left_align(tokens: Tensor, padding_id: int) -> tuple[Tensor, Tensor]:
    """Moves each row's padding behind its tokens. Returns tokens `(B, T)` and lengths `(B,)`, at least 1."""
    padding = tokens == padding_id
    order = padding.to(torch.int8).argsort(dim=1, stable=True)
    return tokens.gather(1, order), (~padding).sum(dim=1).clamp(min=1)


class LitRNN(LitTask, network=RNN, optimizer="keras_rmsprop"):
    """Recurrent network for text (SimpleRNN, LSTM or GRU); the defaults are those of the Keras IMDB program."""

    accepts: ClassVar[frozenset[str]] = frozenset({"tokens"})
