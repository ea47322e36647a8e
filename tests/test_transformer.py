"""The Transformer encoder, held against loops over texts, heads and tokens."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from datamodules import UserError
from lit_models.transformer import Block, LitTransformer, Transformer

SMALL = [{"vocab_size": 20, "num_classes": 3, "max_length": 8, "width": 8, "num_heads": 2}]
"""Settings of small models, which `tests/test_models.py` checks."""


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    # float64, sums of at most 48 terms of order 1, twice layer-normalised: rounding stays below 1e-13
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def make(*, padding_id: int = 0, dropout: float = 0.0) -> Transformer:
    torch.manual_seed(0)
    network = Transformer(
        20, 8, 3, width=12, num_heads=3, num_layers=2, dropout=dropout, padding_id=padding_id
    ).double()
    with torch.no_grad():
        for p in network.parameters():  # norms and biases too
            p.normal_(std=0.5)
    return network


def linear(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Linear)
    return layer.weight @ x + layer.bias


def normed(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    deviation = ((x - x.mean()).square().mean() + 1e-5).sqrt()
    return (x - x.mean()) / deviation * layer.weight + layer.bias


def attended(block: Block, xs: list[Tensor]) -> list[Tensor]:
    """Softmax of q k / sqrt(D) over all tokens, token by token and head by head; `xs` are `(E,)` each."""
    width = len(xs[0])
    size = width // block.num_heads
    rows = []
    for x in xs:
        heads = []
        for n in range(block.num_heads):
            part = slice(n * size, (n + 1) * size)
            q = linear(block.qkv, x)[:width][part]
            keys = [linear(block.qkv, y)[width : 2 * width][part] for y in xs]
            values = [linear(block.qkv, y)[2 * width :][part] for y in xs]
            weights = [torch.exp(q @ k / math.sqrt(size)) for k in keys]
            total = torch.stack(weights).sum()
            heads.append(torch.stack([w / total * v for w, v in zip(weights, values, strict=True)]).sum(dim=0))
        rows.append(linear(block.project, torch.cat(heads)))
    return rows


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def logits_of_text(network: Transformer, tokens: list[int]) -> Tensor:
    """`(num_outputs,)` of one text without padding."""
    xs = [network.tokens.weight[token] + network.positions.weight[place] for place, token in enumerate(tokens)]
    for block in network.blocks:
        assert isinstance(block, Block)
        xs = [x + y for x, y in zip(xs, attended(block, [normed(block.norm1, x) for x in xs]), strict=True)]
        xs = [x + linear(block.mlp[2], gelu(linear(block.mlp[0], normed(block.norm2, x)))) for x in xs]
    mean = torch.stack([normed(network.norm, x) for x in xs]).mean(dim=0)
    return linear(network.output, mean)


def test_attention_is_the_softmax_of_scaled_products() -> None:
    torch.manual_seed(0)
    block = Block(12, 3, 0.0).double()
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    theirs = torch.stack([torch.stack(attended(block, list(row))) for row in x])
    assert_equal(block.attend(x, torch.ones(2, 1, 1, 5, dtype=torch.bool)), theirs)


def test_attention_looks_at_unmasked_tokens_only() -> None:
    torch.manual_seed(0)
    block = Block(12, 3, 0.0).double()
    x = torch.randn(1, 5, 12, dtype=torch.float64)
    mask = torch.tensor([True, False, True, True, False])
    theirs = torch.stack(attended(block, list(x[0, mask])))
    assert_equal(block.attend(x, mask[None, None, None])[0, mask], theirs)


@pytest.mark.parametrize("padding_id", [0, 2])
def test_the_logits_are_those_of_the_formulas_wherever_the_padding_is_and_however_much(padding_id: int) -> None:
    network = make(padding_id=padding_id)
    texts = [[7, 3, 19], [5, 6, 7, 8, 9, 10], [4]]
    theirs = torch.stack([logits_of_text(network, text) for text in texts])
    for room in (6, 7, 12):  # 12 is more than max_length: positions count real tokens only
        behind = torch.tensor([text + [padding_id] * (room - len(text)) for text in texts])
        in_front = torch.tensor([[padding_id] * (room - len(text)) + text for text in texts])
        assert_equal(network(behind), theirs)
        assert_equal(network(in_front), theirs)


@pytest.mark.parametrize("room", [1, 4, 12])
def test_a_text_of_padding_alone_is_one_padding_token_and_disturbs_no_other(room: int) -> None:
    network = make()
    theirs = torch.stack([logits_of_text(network, text) for text in ([7], [0])])
    tokens = torch.tensor([[0] * (room - 1) + [7], [0] * room])
    given = tokens.clone()
    ours = network(tokens)
    assert_equal(ours, theirs)
    assert torch.equal(tokens, given)
    grads = torch.autograd.grad(ours.sum(), list(network.parameters()))
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_the_order_of_the_tokens_matters() -> None:
    network = make()
    one, other = network(torch.tensor([[7, 3, 19], [3, 7, 19]]))
    assert (one - other).abs().max() > 1e-3  # random weights of order 1: not a matter of rounding


def test_the_parameters_are_as_many_as_the_layers_say() -> None:
    model = LitTransformer(vocab_size=1000, max_length=50, num_classes=5, width=16, num_heads=2, num_layers=3)
    norm = 2 * 16
    block = 2 * norm + (16 * 48 + 48) + (16 * 16 + 16) + (16 * 64 + 64) + (64 * 16 + 16)
    wanted = 1000 * 16 + 50 * 16 + 3 * block + norm + (16 * 5 + 5)
    assert sum(p.numel() for p in model.parameters()) == wanted


def test_embeddings_start_small() -> None:
    torch.manual_seed(0)
    network = Transformer(1000, 1000, width=64)
    for embedding in (network.tokens, network.positions):
        n = embedding.weight.numel()
        # 5 standard errors: of the mean 0.02 / sqrt(n), of the standard deviation 0.02 / sqrt(2 n)
        assert abs(embedding.weight.mean().item()) < 5 * 0.02 / math.sqrt(n)
        assert abs(embedding.weight.std().item() - 0.02) < 5 * 0.02 / math.sqrt(2 * n)


def test_dropout_is_active_in_training_only() -> None:
    network = make(dropout=0.5)
    tokens = torch.tensor([[7, 3, 19], [5, 6, 7]])
    assert not torch.equal(network(tokens), network(tokens))
    theirs = torch.stack([logits_of_text(network, row) for row in tokens.tolist()])
    assert_equal(network.eval()(tokens), theirs)


@pytest.mark.parametrize("name", ["vocab_size", "max_length", "width", "num_heads", "num_layers"])
def test_a_size_below_one_is_refused(name: str) -> None:
    settings: dict[str, Any] = {name: 0}
    with pytest.raises(UserError, match=f"^{name} must be at least 1, got 0$"):
        LitTransformer(**settings)


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^width must be a multiple of num_heads, got 64 and 5$"):
        LitTransformer(width=64, num_heads=5)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_out_of_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"^dropout must be 0 to below 1, got {dropout}$"):
        LitTransformer(dropout=dropout)
