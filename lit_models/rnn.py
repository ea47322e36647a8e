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

from lit_models.classifier import LitClassifier, OptimizerName, num_logits
from lit_models.keras.initializers import init_like_keras
from lit_models.kernels.recurrence import GRU, SimpleRNN

CELLS: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"simple": SimpleRNN, "lstm": nn.LSTM, "gru": GRU}


class RNN(nn.Module):
    """Embedding, recurrent layers, and a dense layer on the last state of the top layer.

    Args:
        vocab_size: number of token ids.
        num_outputs: logits.
        cell: "simple" (tanh), "lstm" or "gru".
        embedding_size: numbers a token.
        hidden_size: units of a layer, in each direction.
        num_layers: stacked layers of that size.
        upper_sizes: units of further layers on top of those.
        dense_sizes: units of ReLU layers between the last state and the output.
        bidirectional: a second set of layers reads from the end; the output sees both last states.
        dropout: probability of dropping a number between recurrent layers and before the output, in training.
        padding_id: the token that pads.
        mask_padding: leave padding out (packed sequences); otherwise the cells run over it, as the Keras program's do.
    """

    def __init__(
        self,
        vocab_size: int,
        num_outputs: int = 1,
        *,
        cell: str = "simple",
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
        self.padding_id, self.mask_padding = padding_id, mask_padding
        self.embedding = nn.Embedding(vocab_size, embedding_size)
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
        """`tokens`: int64 `(B, T)`; returns logits `(B, num_outputs)`. A text of masked padding alone leaves the state
        that the cells start with, zero."""
        empty = (tokens == self.padding_id).all(dim=1, keepdim=True) if self.mask_padding else None  # (B, 1)
        x = self._packed(tokens) if self.mask_padding else self.embedding(tokens)  # (B, T, E)
        x, state = self.cells(x)  # (B, T, directions * H)
        for layer in self.upper:
            x, state = layer(self._dropped(x))
        hidden = state[0] if isinstance(state, tuple) else state  # (layers * directions, B, H), of an LSTM's (h, c)
        last = hidden[-2:].transpose(0, 1).flatten(1) if self.cells.bidirectional else hidden[-1]  # (B, directions * H)
        if empty is not None:
            last = last.masked_fill(empty, 0)
        for dense in self.dense:
            last = F.relu(dense(last))
        logits: Tensor = self.output(self.dropout(last))
        return logits

    def _packed(self, tokens: Tensor) -> PackedSequence:
        """Embeddings of the tokens that are no padding."""
        tokens, lengths = left_align(tokens, self.padding_id)
        return pack_padded_sequence(self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)

    def _dropped(self, x: Tensor | PackedSequence) -> Tensor | PackedSequence:
        """The outputs of a layer with some dropped, in training."""
        return x._replace(data=self.dropout(x.data)) if isinstance(x, PackedSequence) else self.dropout(x)


def left_align(tokens: Tensor, padding_id: int) -> tuple[Tensor, Tensor]:
    """Moves each row's padding behind its tokens. Returns tokens `(B, T)` and lengths `(B,)`, at least 1."""
    padding = tokens == padding_id
    order = padding.to(torch.int8).argsort(dim=1, stable=True)
    return tokens.gather(1, order), (~padding).sum(dim=1).clamp(min=1)


class LitRNN(LitClassifier):
    """Recurrent network for text (SimpleRNN, LSTM or GRU); the defaults are the Keras IMDB program's.

    Two SimpleRNN(32) on 32 numbers a word, one sigmoid output, Keras' initial weights and RMSprop at 0.001. Padding
    is run over, as there.

    Args:
        vocab_size: number of token ids; the data decides it.
        num_classes: number of classes; the data decides it.
        padding_id: the token that pads; the data decides it.
        cell: kind of the recurrent cell.
        embedding_size: numbers a word, at least 1.
        hidden_size: units of a layer, in each direction, at least 1.
        num_layers: stacked layers of that size, at least 1.
        upper_sizes: units of further layers on top of those, for layers of different sizes, each at least 1.
        dense_sizes: units of ReLU layers between the last state and the output, each at least 1.
        bidirectional: also read from the end.
        dropout: probability of dropping a number between recurrent layers and before the output, 0 to below 1.
        mask_padding: leave padding out of the recurrence (packed sequences). Data that pads each batch to its own
            longest text asks for it.

    Raises:
        ValueError: a number out of its range.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"tokens"})

    def __init__(
        self,
        *,
        vocab_size: int = 10_000,
        num_classes: int = 2,
        padding_id: int = 0,
        cell: Literal["simple", "lstm", "gru"] = "simple",
        embedding_size: int = 32,
        hidden_size: int = 32,
        num_layers: int = 2,
        upper_sizes: list[int] = [],  # noqa: B006  (read, never changed)
        dense_sizes: list[int] = [],  # noqa: B006
        bidirectional: bool = False,
        dropout: float = 0.0,
        mask_padding: bool = False,
        optimizer: OptimizerName = "keras_rmsprop",
        lr: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, optimizer=optimizer, lr=lr, **kwargs)
        if min(vocab_size, embedding_size, hidden_size, num_layers) < 1:
            raise ValueError("vocab_size, embedding_size, hidden_size and num_layers must be at least 1")
        if min([1, *upper_sizes, *dense_sizes]) < 1:
            raise ValueError(f"upper_sizes and dense_sizes must be at least 1, got {upper_sizes} and {dense_sizes}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be 0 to below 1, got {dropout}")
        sizes: dict[str, Any] = {"embedding_size": embedding_size, "hidden_size": hidden_size, "num_layers": num_layers}
        more: dict[str, Any] = {"upper_sizes": upper_sizes, "dense_sizes": dense_sizes, "bidirectional": bidirectional}
        padding: dict[str, Any] = {"padding_id": padding_id, "mask_padding": mask_padding}
        outputs = num_logits(num_classes)
        self.network = RNN(vocab_size, outputs, cell=cell, dropout=dropout, **sizes, **more, **padding)
