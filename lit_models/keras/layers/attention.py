"""Keras' attention layers.

Source: `keras/src/layers/attention` in Keras 3.
"""

from collections.abc import Sequence
from functools import reduce
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import UserError
from lit_models.keras.layers.base import KerasLayer, Mask, Shape
from lit_models.keras.layers.dense import EinsumDense, known
from lit_models.keras.rules.weights import KerasArray

MASKED_SCORE = 1e9
"""What Attention subtracts from the score of a masked step."""


class HeadAttention(KerasLayer):
    """Attention of several heads, between projections of query, key and value `(B, T, F)`.

    The mask of the query, that of the value and that of the key decide which scores count.
    """

    uses_masks: ClassVar[bool] = True

    def project(
        self, query: Shape, value: Shape, key: Shape, *, heads: tuple[int, int], dims: tuple[int, int], bias: bool
    ) -> None:
        """Creates the projections for a number of heads of the query, and of key and value."""
        if any(len(shape) != 2 for shape in (query, value, key)):
            raise UserError(f"{type(self).__name__} is supported for inputs of the form (steps, features)")
        (of_query, of_key), (key_dim, value_dim) = heads, dims

        def projection(shape: Shape, count: int, size: int) -> EinsumDense:
            axes = "de" if bias else None
            return EinsumDense(shape, equation="abc,cde->abde", output_shape=[None, count, size], bias_axes=axes)

        self.query, self.key = projection(query, of_query, key_dim), projection(key, of_key, key_dim)
        self.value = projection(value, of_key, value_dim)
        self.scale = key_dim**-0.5

    def attended(self, inputs: Sequence[Tensor], masks: list[Mask], *, dropout: float, causal: bool) -> Tensor:
        """The weighted values `(B, T, heads, value_dim)`."""
        query, value, key = inputs if len(inputs) == 3 else (*inputs, inputs[1])
        q, k, v = (
            part.transpose(1, 2) for part in (self.query(query), self.key(key), self.value(value))
        )  # (B, heads, T, dim)
        k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], dim=1) for part in (k, v))
        counts = self.counted(masks, q, k, causal=causal)
        if not dropout:
            bias = None
            if counts is not None:
                some = counts.any(-1, keepdim=True)
                bias = q.new_zeros(counts.shape).masked_fill(some & ~counts, -0.7 * torch.finfo(q.dtype).max)
                q = torch.where(some, q, 0.0)  # where nothing counts, all values have one weight, as in Keras
            return F.scaled_dot_product_attention(q, k, v, bias, scale=self.scale).transpose(1, 2)
        scores = q @ k.transpose(-1, -2) * self.scale
        weights = (scores if counts is None else torch.where(counts, scores, -MASKED_SCORE)).softmax(-1)
        weights = weights if counts is None else torch.where(counts, weights, 0.0)
        found: Tensor = F.dropout(weights, dropout, self.training) @ v
        return found.transpose(1, 2)

    def counted(self, masks: list[Mask], q: Tensor, k: Tensor, *, causal: bool) -> Mask:
        """Which scores count, `(B or 1, 1, T, S)`; None for all."""
        query, *others = masks
        parts = [] if query is None else [query[:, None, :, None]]
        parts += [mask[:, None, None, :] for mask in others if mask is not None]
        if causal:
            parts.append(torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()[None, None])
        return reduce(torch.logical_and, parts) if parts else None

    def projections(self) -> list[tuple[str, EinsumDense]]:
        """The parts with weights, in Keras' order."""
        return [("query", self.query), ("key", self.key), ("value", self.value)]

    def arrays(self) -> list[KerasArray]:
        return [
            array._replace(name=f"{name}/{array.name}") for name, part in self.projections() for array in part.arrays()
        ]


class MultiHeadAttention(HeadAttention):
    """Scaled dot-product attention of several heads, and a projection of what they found."""

    def __init__(
        self,
        query: Shape,
        value: Shape,
        key: Shape | None = None,
        *,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Sequence[int] | int | None = None,
        attention_axes: Sequence[int] | int | None = None,
        use_causal_mask: bool = False,
    ) -> None:
        super().__init__()
        if attention_axes not in (None, 1, [1]):
            raise UserError(f"attention_axes is {attention_axes}; attention over the steps, [1], is supported")
        self.dropout, self.causal = dropout, use_causal_mask
        value_dim = value_dim or key_dim
        heads, dims = (num_heads, num_heads), (key_dim, value_dim)
        self.project(query, value, key or value, heads=heads, dims=dims, bias=use_bias)
        sizes = (
            [output_shape] if isinstance(output_shape, int) else list(output_shape or [known(query[-1], "attention")])
        )
        if len(sizes) != 1:
            raise UserError(f"output_shape is {output_shape}; one number is supported")
        axes = "e" if use_bias else None
        self.output = EinsumDense(
            (None, num_heads, value_dim), equation="abcd,cde->abe", output_shape=[None, *sizes], bias_axes=axes
        )

    def forward(self, *inputs: Tensor, masks: list[Mask]) -> Tensor:
        """`inputs`: query `(B, T, F)`, value `(B, S, F)`, and a key if it is not the value."""
        found: Tensor = self.output(self.attended(inputs, masks, dropout=self.dropout, causal=self.causal))
        return found

    def projections(self) -> list[tuple[str, EinsumDense]]:
        return [*super().projections(), ("attention_output", self.output)]


class GroupQueryAttention(HeadAttention):
    """Attention in which several heads of the query share one head of key and value."""

    def __init__(
        self,
        query: Shape,
        value: Shape,
        key: Shape | None = None,
        *,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        use_causal_mask: bool = False,
    ) -> None:
        super().__init__()
        self.dropout, self.causal = dropout, use_causal_mask
        heads, dims = (num_query_heads, num_key_value_heads), (head_dim, head_dim)
        self.project(query, value, key or value, heads=heads, dims=dims, bias=use_bias)
        axes = "e" if use_bias else None
        self.output = EinsumDense(
            (None, num_query_heads, head_dim),
            equation="abcd,cde->abe",
            output_shape=[None, known(query[-1], "attention")],
            bias_axes=axes,
        )

    def forward(self, *inputs: Tensor, masks: list[Mask]) -> Tensor:
        """`inputs`: query `(B, T, F)`, value `(B, S, F)`, and a key if it is not the value."""
        found: Tensor = self.output(self.attended(inputs, masks, dropout=self.dropout, causal=self.causal))
        return found

    def projections(self) -> list[tuple[str, EinsumDense]]:
        return [*super().projections(), ("attention_output", self.output)]


class Attention(KerasLayer):
    """Dot-product attention without projections: the query's scores with the key weight the value."""

    uses_masks: ClassVar[bool] = True

    def __init__(
        self,
        query: Shape,
        value: Shape,
        key: Shape | None = None,
        *,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        use_causal_mask: bool = False,
    ) -> None:
        super().__init__()
        if score_mode not in ("dot", "concat"):
            raise UserError(f"score_mode is {score_mode!r}; supported: dot, concat")
        self.dropout, self.causal = dropout, use_causal_mask
        self.factor = nn.Parameter(torch.ones(())) if use_scale else None
        self.concat_factor = nn.Parameter(torch.ones(())) if score_mode == "concat" else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """`(B, T, S)` of query `(B, T, F)` and key `(B, S, F)`."""
        if self.concat_factor is None:
            scores = query @ key.transpose(1, 2)
            return scores if self.factor is None else scores * self.factor
        sums = query.unsqueeze(2) + key.unsqueeze(1)
        return self.concat_factor * (sums if self.factor is None else self.factor * sums).tanh().sum(-1)

    def forward(self, *inputs: Tensor, masks: list[Mask]) -> Tensor:
        """`inputs`: query `(B, T, F)`, value `(B, S, F)`, and a key if it is not the value."""
        query, value, key = inputs if len(inputs) == 3 else (*inputs, inputs[1])
        scores = self.scores(query, key)
        parts = [] if masks[1] is None else [masks[1].unsqueeze(1)]
        if self.causal:
            parts.append(torch.ones_like(scores[:1], dtype=torch.bool).tril())
        if parts:
            scores = torch.where(reduce(torch.logical_and, parts), scores, scores - MASKED_SCORE)
        found = F.dropout(scores.softmax(-1), self.dropout, self.training) @ value
        return found if masks[0] is None else found * masks[0].unsqueeze(-1)

    def arrays(self) -> list[KerasArray]:
        named = {"scale": self.factor, "concat_score_weight": self.concat_factor}
        return [scalar_array(name, factor) for name, factor in named.items() if factor is not None]


class AdditiveAttention(Attention):
    """Attention by the sum of the tanh of query and key, with a learnt factor for each feature."""

    def __init__(
        self,
        query: Shape,
        value: Shape,
        key: Shape | None = None,
        *,
        use_scale: bool = True,
        dropout: float = 0.0,
        use_causal_mask: bool = False,
    ) -> None:
        super().__init__(query, value, key, dropout=dropout, use_causal_mask=use_causal_mask)
        size = known(query[-1], "AdditiveAttention")
        self.factor = nn.Parameter(torch.ones(size)) if use_scale else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        sums = (query.unsqueeze(2) + key.unsqueeze(1)).tanh()
        return (sums if self.factor is None else self.factor * sums).sum(-1)

    def arrays(self) -> list[KerasArray]:
        return [] if self.factor is None else [self.array("scale", self.factor)]


def scalar_array(name: str, number: Tensor) -> KerasArray:
    """An array without dimensions."""
    return KerasArray(name, (number.view(1),), ())
