"""Recurrent networks, held against a loop over single texts and single steps with the gates' formulas."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from datamodules import UserError
from lit_models.keras.rules.optimizers import KerasRMSprop
from lit_models.kernels.recurrence import SimpleRNN
from lit_models.rnn import RNN, LitRNN, left_align

Cell = Literal["simple", "lstm", "gru"]
CELLS: list[Cell] = ["simple", "lstm", "gru"]
Step = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

SMALL = [
    {"vocab_size": 20, "num_classes": 3, "embedding_size": 5, "hidden_size": 6, "cell": cell, "bidirectional": both}
    for cell, both in (("simple", False), ("lstm", True), ("gru", False))
]
"""Settings of small models, which `tests/test_models.py` checks."""


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    # float64 and at most 12 steps of sums of some ten terms of order 1: rounding stays below 1e-14
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def step_simple(gi: Tensor, gh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return (gi + gh).tanh(), c


def step_lstm(gi: Tensor, gh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (gi + gh).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def step_gru(gi: Tensor, gh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    (ri, zi, ni), (rh, zh, nh) = gi.chunk(3), gh.chunk(3)
    r, z = (ri + rh).sigmoid(), (zi + zh).sigmoid()
    n = (ni + r * nh).tanh()
    return (1 - z) * n + z * h, c


STEPS: dict[str, Step] = {"simple": step_simple, "lstm": step_lstm, "gru": step_gru}


def run_layer(cells: torch.nn.RNNBase, cell: str, suffix: str, inputs: list[Tensor]) -> list[Tensor]:
    """Hidden state after each input of one layer in one direction."""
    wi, wh, bi, bh = (
        cells.get_parameter(f"{name}_{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = torch.zeros(cells.hidden_size, dtype=torch.float64)
    states = []
    for x in inputs:
        h, c = STEPS[cell](wi @ x + bi, wh @ h + bh, h, c)
        states.append(h)
    return states


def logits_of_text(network: RNN, cell: str, tokens: Iterable[int]) -> Tensor:
    """`(num_outputs,)` of one text, every one of whose tokens is read."""
    inputs = [network.embedding.weight[token] for token in tokens]
    layers = [(network.cells, layer) for layer in range(network.cells.num_layers)]
    last = torch.empty(0)
    for cells, layer in [*layers, *((upper, 0) for upper in network.upper)]:
        assert isinstance(cells, torch.nn.RNNBase)
        forward = run_layer(cells, cell, f"l{layer}", inputs)
        if cells.bidirectional:
            backward = run_layer(cells, cell, f"l{layer}_reverse", inputs[::-1])[::-1]
            last = torch.cat([forward[-1], backward[0]])
            inputs = [torch.cat(pair) for pair in zip(forward, backward, strict=True)]
        else:
            last, inputs = forward[-1], forward
    for dense in network.dense:
        assert isinstance(dense, torch.nn.Linear)
        last = (dense.weight @ last + dense.bias).clamp(min=0)
    return network.output.weight @ last + network.output.bias


def make(
    cell: Cell, *, bidirectional: bool = False, mask_padding: bool = False, padding_id: int = 0, **sizes: Any
) -> RNN:
    """A small network whose every parameter, biases too, is random."""
    torch.manual_seed(0)
    network = RNN(
        20,
        3,
        cell=cell,
        embedding_size=5,
        hidden_size=4,
        bidirectional=bidirectional,
        mask_padding=mask_padding,
        padding_id=padding_id,
        **sizes,
    ).double()
    with torch.no_grad():
        for p in network.parameters():
            p.normal_(std=0.5)
    return network


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_step_follows_the_gates_formulas_and_padding_is_run_over(cell: Cell, bidirectional: bool) -> None:
    network = make(cell, bidirectional=bidirectional)
    tokens = torch.tensor([[0, 0, 0, 7, 3, 19], [5, 6, 7, 8, 9, 10], [4, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    theirs = torch.stack([logits_of_text(network, cell, row) for row in tokens.tolist()])
    assert_equal(network(tokens), theirs)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("padding_id", [0, 2])
def test_masked_padding_is_never_read(cell: Cell, bidirectional: bool, padding_id: int) -> None:
    network = make(cell, bidirectional=bidirectional, mask_padding=True, padding_id=padding_id)
    texts = [[7, 3, 19], [5, 6, 7, 8, 9, 10], [4]]
    theirs = torch.stack([logits_of_text(network, cell, text) for text in texts])
    for room in (6, 7, 12):
        behind = torch.tensor([text + [padding_id] * (room - len(text)) for text in texts])
        in_front = torch.tensor([[padding_id] * (room - len(text)) + text for text in texts])
        assert_equal(network(behind), theirs)
        assert_equal(network(in_front), theirs)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("mask_padding", [False, True])
def test_layers_of_other_sizes_stand_on_top(cell: Cell, bidirectional: bool, mask_padding: bool) -> None:
    network = make(cell, bidirectional=bidirectional, mask_padding=mask_padding, upper_sizes=[6, 3], dense_sizes=[7, 5])
    tokens = torch.tensor([[7, 3, 19, 2, 8, 4], [5, 6, 7, 8, 9, 10]])
    theirs = torch.stack([logits_of_text(network, cell, row) for row in tokens.tolist()])
    assert_equal(network(tokens), theirs)
    if mask_padding:
        assert_equal(network(torch.tensor([[0, 7, 3, 0, 19, 2, 8, 4, 0]])), theirs[:1])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_text_of_masked_padding_alone_leaves_the_first_state_and_disturbs_no_other(
    cell: Cell, bidirectional: bool
) -> None:
    network = make(cell, bidirectional=bidirectional, mask_padding=True)
    nothing_read = network.output.bias[None]  # of a state that is zero
    theirs = torch.cat([logits_of_text(network, cell, [7, 3])[None], nothing_read])
    assert_equal(network(torch.tensor([[0, 0, 7, 3], [0, 0, 0, 0]])), theirs)
    assert_equal(network(torch.tensor([[0, 0, 0, 0]])), nothing_read)


def test_left_align_moves_padding_behind_the_tokens_and_keeps_their_order() -> None:
    tokens = torch.tensor([[0, 0, 5, 3], [9, 1, 0, 0], [0, 4, 0, 2], [0, 0, 0, 0], [8, 7, 6, 5]])
    aligned, lengths = left_align(tokens, padding_id=0)
    assert aligned.tolist() == [[5, 3, 0, 0], [9, 1, 0, 0], [4, 2, 0, 0], [0, 0, 0, 0], [8, 7, 6, 5]]
    assert lengths.tolist() == [2, 2, 2, 1, 4]
    aligned, lengths = left_align(tokens, padding_id=5)
    assert aligned.tolist() == [[0, 0, 3, 5], [9, 1, 0, 0], [0, 4, 0, 2], [0, 0, 0, 0], [8, 7, 6, 5]]
    assert lengths.tolist() == [3, 4, 4, 4, 3]


@pytest.mark.parametrize(
    ("cell", "cells"),
    [
        ("simple", 2 * (32 * 32 + 32 * 32 + 32)),  # 4,160: input kernel, recurrent kernel, one bias
        ("lstm", 2 * 4 * (32 * 32 + 32 * 32 + 32)),  # 16,640
        ("gru", 2 * 3 * (32 * 32 + 32 * 32 + 2 * 32)),  # 12,672: Keras' GRU has two biases
    ],
)
def test_as_many_parameters_train_as_in_keras(cell: Cell, cells: int) -> None:
    trained = sum(p.numel() for p in LitRNN(cell=cell).parameters() if p.requires_grad)
    assert trained == 10_000 * 32 + cells + (32 + 1)


def test_the_programs_network_has_324193_parameters() -> None:
    trained = sum(p.numel() for p in LitRNN().parameters() if p.requires_grad)
    assert trained == 320_000 + 2_080 + 2_080 + 33 == 324_193


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_training_moves_every_parameter_but_the_bias_that_keras_does_not_have(cell: Cell, bidirectional: bool) -> None:
    torch.manual_seed(0)
    network = RNN(20, cell=cell, embedding_size=5, hidden_size=4, bidirectional=bidirectional)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = KerasRMSprop([p for p in network.parameters() if p.requires_grad])
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randint(20, (8, 6))).square().mean().backward()
        optimizer.step()
    for name, p in network.named_parameters():
        frozen = "bias_hh" in name and cell != "gru"
        assert torch.equal(p, before[name]) == frozen, name
        if frozen:
            assert torch.equal(p, torch.zeros_like(p)), name


def test_the_paddings_row_of_the_embedding_trains_when_padding_is_run_over() -> None:
    row: dict[bool, Tensor] = {}
    for masked in (False, True):
        network = make("simple", mask_padding=masked)
        network(torch.tensor([[0, 0, 7, 3]])).sum().backward()
        assert network.embedding.weight.grad is not None
        row[masked] = network.embedding.weight.grad[0]
    assert row[False].abs().min() > 0
    assert torch.equal(row[True], torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_dropout_is_active_in_training_only(num_layers: int) -> None:
    torch.manual_seed(0)
    network = RNN(20, embedding_size=5, hidden_size=16, num_layers=num_layers, dropout=0.5).double()
    tokens = torch.randint(1, 20, (4, 6))
    assert not torch.equal(network(tokens), network(tokens))
    theirs = torch.stack([logits_of_text(network, "simple", row) for row in tokens.tolist()])
    assert_equal(network.eval()(tokens), theirs)


def test_dropout_is_between_the_layers_too() -> None:
    torch.manual_seed(0)
    network = RNN(20, embedding_size=5, hidden_size=16, num_layers=2, dropout=0.5)
    network.dropout.p = 0.0  # of the dropout before the output nothing is left
    tokens = torch.randint(1, 20, (4, 6))
    assert not torch.equal(network(tokens), network(tokens))


@pytest.mark.parametrize("mask_padding", [False, True])
def test_dropout_is_below_layers_of_other_sizes_too(mask_padding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimpleRNN, "shares_padding", lambda layer: False)  # the layers' inputs are then whole tensors
    torch.manual_seed(0)
    network = RNN(20, embedding_size=5, hidden_size=16, num_layers=1, upper_sizes=[8], dropout=0.5)
    network.mask_padding = mask_padding
    tokens = torch.randint(1, 20, (4, 6))
    read: list[Tensor] = []
    network.upper[0].register_forward_pre_hook(lambda _, args: read.append(getattr(args[0], "data", args[0])))
    network(tokens)
    network.eval()(tokens)
    dropped, whole = read
    # each of 4 * 6 * 16 numbers is dropped with probability 1/2, and a kept one is doubled; 5 standard deviations
    assert abs(int((dropped == 0).sum()) - 192) < 5 * 384**0.5 / 2
    torch.testing.assert_close(dropped[dropped != 0], 2 * whole[dropped != 0], rtol=1e-6, atol=0)  # float32


def test_the_settings_reach_the_network() -> None:
    model = LitRNN(
        vocab_size=30,
        num_classes=4,
        padding_id=3,
        cell="gru",
        embedding_size=6,
        hidden_size=7,
        num_layers=3,
        upper_sizes=[5],
        dense_sizes=[9, 8],
        bidirectional=True,
        mask_padding=True,
    )
    network = model.network
    assert isinstance(network, RNN)
    assert isinstance(network.cells, torch.nn.GRU)
    assert (network.embedding.num_embeddings, network.embedding.embedding_dim) == (30, 6)
    assert (network.cells.hidden_size, network.cells.num_layers, network.cells.bidirectional) == (7, 3, True)
    assert (network.padding_id, network.mask_padding) == (3, True)
    (upper,) = network.upper
    assert isinstance(upper, torch.nn.GRU)
    assert (upper.input_size, upper.hidden_size, upper.bidirectional) == (2 * 7, 5, True)
    assert [layer.weight.shape for layer in network.dense] == [(9, 2 * 5), (8, 9)]
    assert network.output.weight.shape == (4, 8)


@pytest.mark.parametrize("name", ["vocab_size", "embedding_size", "hidden_size", "num_layers"])
def test_a_size_below_one_is_refused(name: str) -> None:
    settings: dict[str, Any] = {name: 0}
    with pytest.raises(UserError, match=f"^{name} must be at least 1, got 0$"):
        LitRNN(**settings)


@pytest.mark.parametrize(("name", "sizes"), [("upper_sizes", [4, 0]), ("dense_sizes", [-1, 3])])
def test_a_size_below_one_in_a_list_is_refused(name: str, sizes: list[int]) -> None:
    settings: dict[str, Any] = {name: sizes}
    with pytest.raises(UserError, match=f"^{name} must be at least 1, got {min(sizes)}$"):
        LitRNN(**settings)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_out_of_range_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=f"^dropout must be 0 to below 1, got {dropout}$"):
        LitRNN(dropout=dropout)
