"""A small Transformer encoder for text, from scratch.

Sources: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762; layer norm before each block as in Xiong et
al., arXiv:2002.04745. Deviations: learned positions, counted over real tokens only; the mean over real tokens feeds
the output; dropout is on the blocks' outputs and not on the attention weights, where it would be slow on a CPU.

Letters: B batch, T tokens, E model width, N heads, D = E / N.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.classifier import LitClassifier, OptimizerName, num_logits


class Block(nn.Module):
    """Self-attention, then a dense layer of four times the width, each added to its input.

    Args:
        width: E.
        num_heads: N, divides E.
        dropout: probability of dropping a number of each part's output, in training.
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
        """Multi-head attention of every token over the real ones, `(B, T, E)` to `(B, T, E)`."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, N, T, D)
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.project(heads.transpose(1, 2).flatten(2))  # (B, T, N, D) -> (B, T, E)
        return out


class Transformer(nn.Module):
    """Token and position embeddings, encoder blocks, the mean over real tokens, a dense output.

    Args:
        vocab_size: number of token ids.
        max_length: longest text, in tokens.
        num_outputs: logits.
        width: numbers a token, E.
        num_heads: attention heads, divides `width`.
        num_layers: blocks.
        dropout: probability of dropping a number, in training.
        padding_id: the token that pads, at either end; it is never looked at.
    """

    def __init__(
        self,
        vocab_size: int,
        max_length: int,
        num_outputs: int = 1,
        *,
        width: int = 64,
        num_heads: int = 4,
        num_layers: int = 2,
        dropout: float = 0.1,
        padding_id: int = 0,
    ) -> None:
        super().__init__()
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
        """`tokens`: int64 `(B, T)`, T at most `max_length`; returns logits `(B, num_outputs)`."""
        real = tokens != self.padding_id  # (B, T)
        real[:, -1] |= ~real.any(dim=1)  # a text of no token is one padding token: a mean over nothing is no number
        place = (real.cumsum(dim=1) - 1).clamp(min=0)  # (B, T), the same wherever the padding is
        x = self.dropout(self.tokens(tokens) + self.positions(place))  # (B, T, E)
        for block in self.blocks:
            x = block(x, real[:, None, None, :])
        weight = real.to(x.dtype) / real.sum(dim=1, keepdim=True)  # (B, T)
        mean = torch.einsum("bt,bte->be", weight, self.norm(x))  # (B, E)
        logits: Tensor = self.output(mean)
        return logits


class LitTransformer(LitClassifier):
    """Small Transformer encoder for text, from scratch.

    Args:
        vocab_size: number of token ids; the data decides it.
        max_length: longest text, in tokens; the data decides it.
        num_classes: number of classes; the data decides it.
        padding_id: the token that pads; the data decides it.
        width: numbers a token, a multiple of `num_heads`.
        num_heads: attention heads, at least 1.
        num_layers: encoder blocks, at least 1.
        dropout: probability of dropping a number, 0 to below 1.

    Raises:
        ValueError: a number out of its range.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"tokens"})

    def __init__(
        self,
        *,
        vocab_size: int = 10_000,
        max_length: int = 500,
        num_classes: int = 2,
        padding_id: int = 0,
        width: int = 64,
        num_heads: int = 4,
        num_layers: int = 2,
        dropout: float = 0.1,
        optimizer: OptimizerName = "adamw",
        lr: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, optimizer=optimizer, lr=lr, **kwargs)
        if min(vocab_size, max_length, width, num_heads, num_layers) < 1:
            raise ValueError("vocab_size, max_length, width, num_heads and num_layers must be at least 1")
        if width % num_heads:
            raise ValueError(f"width must be a multiple of num_heads, got {width} and {num_heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be 0 to below 1, got {dropout}")
        self.network = Transformer(
            vocab_size,
            max_length,
            num_logits(num_classes),
            width=width,
            num_heads=num_heads,
            num_layers=num_layers,
            dropout=dropout,
            padding_id=padding_id,
        )
