"""Texts that share their padding against the same texts computed one by one by PyTorch's layers."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_models import kernels
from lit_models.kernels.padding import FrontPadded
from lit_models.rnn import RNN

LENGTH, WORDS = 40, 50
EVERY_LENGTH = list(range(LENGTH + 1))  # of padding: none, some, and nothing else
PADDINGS = {
    "every length": EVERY_LENGTH,
    "one text": [13],
    "one text without padding": [0],
    "one text of padding": [LENGTH],
    "no padding": [0] * 9,
    "only padding": [LENGTH] * 3,
    "one padding and equal lengths": [1, 7, 7, 7, 7, 7, 7, 1],
}
CELLS: list[Any] = ["simple", "gru", "lstm"]


@pytest.fixture(autouse=True)
def automatic() -> Iterator[None]:
    kernels.choose("auto")
    yield
    kernels.choose("auto")


def padded_tokens(paddings: list[int]) -> Tensor:
    """Random texts with so many paddings at the front, in an order that is not sorted. They contain further paddings
    between their words, which are like words."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, WORDS, (len(paddings), LENGTH), generator=generator)
    for row, padding in enumerate(paddings):
        tokens[row, :padding] = 0
        tokens[row, padding : padding + 1] = 1
    return tokens[torch.randperm(len(paddings), generator=generator)]


def run(network: RNN, tokens: Tensor) -> dict[str, Tensor]:
    """Outputs, and the gradients of a random linear function of them."""
    network.zero_grad()
    torch.manual_seed(1)
    outputs = network(tokens)
    (outputs * torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    gradients = {name: p.grad.double() for name, p in network.named_parameters() if p.grad is not None}
    return {"outputs": outputs.detach().double(), **gradients}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    # float32 rounds by 6e-8 and tanh by 3e-7; a gradient is a sum over up to 41 texts and 40 steps of order 1
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        error = (ours[name] - value).abs().max() / max(1.0, float(value.abs().max()))
        assert error < 1e-5, f"{name} differs by {error:.1e}"


def against_plain(network: RNN, tokens: Tensor) -> None:
    """Compares with PyTorch's layers in float64, which run over all padding of each text."""
    kernels.choose("auto")
    found = run(network, tokens)
    assert not kernels.used()["plain"].keys() - {"Embedding"}  # its size is odd here
    kernels.choose("plain")
    assert_equal(found, run(copy.deepcopy(network).double(), tokens))


@pytest.mark.parametrize("paddings", PADDINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_equal_those_of_whole_texts(cell: Any, paddings: str) -> None:
    torch.manual_seed(0)
    network = RNN(WORDS, cell=cell, embedding_size=5, hidden_size=7, num_layers=2, upper_sizes=[6])
    against_plain(network, padded_tokens(PADDINGS[paddings]))


@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_shared_where_each_state_depends_on_earlier_steps_only(
    cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[int] = []
    original = FrontPadded.of

    def of(tokens: Tensor, padding_id: int) -> FrontPadded:
        shared.append(len(tokens))
        return original(tokens, padding_id)

    monkeypatch.setattr(FrontPadded, "of", of)
    tokens = padded_tokens(EVERY_LENGTH)
    for settings, is_shared in (
        ({}, True),
        ({"dropout": 0.5}, False),  # what is dropped from the padding differs between texts
        ({"bidirectional": True}, False),  # the padding comes last, after different texts
    ):
        torch.manual_seed(0)
        network = RNN(WORDS, cell=cell, embedding_size=5, hidden_size=7, **settings)
        shared.clear()
        against_plain(network, tokens)
        assert shared == [len(tokens)] * is_shared
    network = RNN(WORDS, cell=cell, dropout=0.5).eval()
    kernels.choose("auto")
    with torch.no_grad():
        network(tokens)
    assert shared == [len(tokens)]


def test_only_the_values_behind_the_padding_are_computed_for_each_text() -> None:
    tokens = padded_tokens(EVERY_LENGTH)
    front = FrontPadded.of(tokens, 0)
    assert len(front.prefix) == LENGTH
    assert len(front.rows) == tokens.numel() - sum(EVERY_LENGTH)
    assert front.padding.tolist() == EVERY_LENGTH
    assert torch.equal(front.padding[front.places], (tokens != 0).cumsum(dim=1).eq(0).sum(dim=1))
    assert torch.equal(front.rows.bincount(minlength=WORDS)[1:], tokens.flatten().bincount(minlength=WORDS)[1:])


@pytest.mark.parametrize("table", [torch.nn.Embedding(WORDS, 8), torch.nn.Embedding(WORDS, 16).double()], ids=str)
def test_embeddings_of_another_size_or_type_are_refused_as_by_pytorchs_layers(table: Any) -> None:
    network = RNN(vocab_size=WORDS, embedding_size=16, hidden_size=16)
    network.embedding = table
    with pytest.raises((RuntimeError, ValueError)):
        network(padded_tokens([3, 5]))
    assert "SimpleRNN" not in kernels.used()["fast"]
