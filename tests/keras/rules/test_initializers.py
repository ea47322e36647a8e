"""Initial weights of special layers. `tests/parity` compares the distributions with Keras."""

import math

import pytest
import torch
from torch import nn

from lit_models.keras.rules.initializers import init_like_keras


def test_a_layer_without_bias_is_taken() -> None:
    layer = nn.Linear(300, 20, bias=False)
    nn.init.zeros_(layer.weight)
    init_like_keras(layer)
    limit = math.sqrt(6 / 320)  # Glorot
    # the largest of 6,000 uniform draws is below 0.99 of the limit once in e^60; the limit itself is a float32
    assert 0.99 * limit < layer.weight.abs().max().item() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_the_second_bias_is_frozen_if_keras_has_only_one(kind: type[nn.RNNBase]) -> None:
    cells: nn.RNNBase = kind(3, 5, num_layers=2, bidirectional=True)  # type: ignore[call-arg, arg-type]
    init_like_keras(cells)
    for name, p in cells.named_parameters():
        assert p.requires_grad == ("bias_hh" not in name or kind is nn.GRU), name


def test_an_lstm_forgets_little_at_first() -> None:
    """With all kernels zero, the forget gate keeps sigmoid(1) of the state."""
    lstm = nn.LSTM(1, 1, batch_first=True)
    init_like_keras(lstm)
    with torch.no_grad():
        lstm.get_parameter("weight_ih_l0").zero_()
        lstm.get_parameter("weight_hh_l0").zero_()
    _, (_, cell) = lstm(torch.zeros(1, 1, 1), (torch.zeros(1, 1, 1), torch.full((1, 1, 1), 2.0)))
    assert cell.item() == pytest.approx(2 / (1 + math.exp(-1)), rel=1e-6)  # float32


def test_other_modules_are_left_alone() -> None:
    norm = nn.LayerNorm(5)
    init_like_keras(norm)
    assert torch.equal(norm.weight, torch.ones(5))
