"""A small Transformer encoder for text, from scratch.

Sources: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762; layer norm before each block as in Xiong et
al., arXiv:2002.04745. Deviations: learned positions, counted over real tokens only; the mean over real tokens feeds
the output; dropout is on the blocks' outputs and not on the attention weights, where it would be slow on a CPU.

Letters: B batch, T tokens, E model width, N heads, D = E / N.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import UserError, require_at_least
from lit_models.tasks.task import LitTask


class Block(nn.Module):
    """Self-attention, then a dense layer of four times the width, each added to its input.

    Args:
        width: E.
        num_heads: N, a divisor of E.
        dropout: probability that an output of the attention or of the dense layers is dropped in training.
    """

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`x`: float `(B, T, E)`; `mask`: bool `(B, 1, 1, T)`, True where a token is real; returns `(B, T, E)`."""
        x = x + self.dropout(self.attend(self.norm1(x), mask))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """Multi-head attention from every token to the real tokens, `(B, T, E)` to `(B, T, E)`."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, N, T, D)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.project(heads.transpose(1, 2).flatten(2))  # (B, T, N, D) -> (B, T, E)
        return out


class Transformer(nn.Module):
    """Token and position embeddings, encoder blocks, the mean over real tokens, a dense output layer.

    Args:
        vocab_size: number of token ids, at least 1; set by the data.
        max_length: maximum length of a text in tokens, at least 1; set by the data.
        num_outputs: outputs of the last layer.
        width: size of a token's embedding, E; a multiple of `num_heads`.
        num_heads: attention heads, at least 1.
        num_layers: encoder blocks, at least 1.
        dropout: probability that a value is dropped in training, 0 to below 1.
        padding_id: the id of the padding token, which may be at either end of a text; no token attends to it. Set by
            the data.

    Raises:
        UserError: a number out of its range.
    """

    def __init__(
        self,
        vocab_size: int = 10_000,
        max_length: int = 500,
        num_outputs: int = 1,
        *,
        width: int = 64,
        num_heads: int = 4,
        num_layers: int = 2,
        dropout: float = 0.1,
        padding_id: int = 0,
    ) -> None:
        super().__init__()
        require_at_least(1, vocab_size=vocab_size, max_length=max_length)
        require_at_least(1, width=width, num_heads=num_heads, num_layers=num_layers)
        if width % num_heads:
            raise UserError(f"width must be a multiple of num_heads, got {width} and {num_heads}")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be 0 to below 1, got {dropout}")
        self.padding_id = padding_id
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(max_length, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, num_heads, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, num_outputs)
        for embedding in (self.tokens, self.positions):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """`tokens`: int64 `(B, T)`, T at most `max_length`; returns `(B, num_outputs)`."""
        real = tokens != self.padding_id  # (B, T)
        real[:, -1] |= ~real.any(dim=1)  # an empty text keeps one padding token, because the mean of no tokens is NaN
        place = (real.cumsum(dim=1) - 1).clamp(min=0)  # (B, T), the same wherever the padding is
        x = self.dropout(self.tokens(tokens) + self.positions(place))  # (B, T, E)
        for block in self.blocks:
            x = block(x, real[:, None, None, :])
        weight = real.to(x.dtype) / real.sum(dim=1, keepdim=True)  # (B, T)
        mean = torch.einsum("bt,bte->be", weight, self.norm(x))  # (B, E)
        outputs: Tensor = self.output(mean)
        return outputs


class LitTransformer(LitTask, network=Transformer, optimizer="adamw"):
    """Small Transformer encoder for text, trained from scratch."""

    accepts: ClassVar[frozenset[str]] = frozenset({"tokens"})
