"""Keras' default initial weights: bounds, spreads, orthogonality, and the biases' special cases."""

import math

import pytest
import torch
from torch import Tensor, nn

from lit_models.keras.initializers import init_like_keras

I, H = 24, 40  # noqa: E741  (inputs and hidden units)
GATES = {nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3}


def assert_uniform(drawn: Tensor, limit: float) -> None:
    """Within the limit, with mean 0 and variance limit^2 / 3 up to 5 standard errors, and spread to the limit's end."""
    n = drawn.numel()
    assert drawn.abs().max().item() <= limit * (1 + 1e-6)  # the limit itself is rounded to float32
    assert abs(drawn.mean().item()) < 5 * limit / math.sqrt(3 * n)
    # the squares of uniform(-1, 1) have mean 1/3 and variance 1/5 - 1/9 = 4/45
    assert abs(drawn.square().mean().item() / limit**2 - 1 / 3) < 5 * math.sqrt(4 / 45 / n)
    # the largest of n draws is below (1 - 30/n) of the limit once in e^30
    assert drawn.abs().max().item() > limit * (1 - 30 / n)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (nn.Linear(300, 20), 300 + 20),
        (nn.Conv2d(8, 16, 3), 9 * 8 + 9 * 16),  # Glorot counts the kernel's places, as Keras does
        (nn.Conv2d(4, 16, (5, 2)), 10 * 4 + 10 * 16),
    ],
    ids=["dense", "convolution", "oblong"],
)
def test_kernels_are_glorot_uniform_and_biases_zero(layer: nn.Linear | nn.Conv2d, fans: int) -> None:
    init_like_keras(layer)
    assert_uniform(layer.weight, math.sqrt(6 / fans))
    assert layer.bias is not None
    assert torch.equal(layer.bias, torch.zeros_like(layer.bias))


def test_a_layer_without_bias_is_taken() -> None:
    layer = nn.Linear(300, 20, bias=False)
    init_like_keras(layer)
    assert_uniform(layer.weight, math.sqrt(6 / 320))


def test_embeddings_are_uniform_to_a_twentieth() -> None:
    layer = nn.Embedding(1000, 32)
    init_like_keras(layer)
    assert_uniform(layer.weight, 0.05)


def cells(kind: type[nn.RNNBase]) -> nn.RNNBase:
    """Two layers in both directions, every parameter set to 7 and then drawn anew."""
    made: nn.RNNBase = kind(I, H, num_layers=2, bidirectional=True)  # type: ignore[call-arg, arg-type]
    for p in made.parameters():
        nn.init.constant_(p, 7.0)
    init_like_keras(made)
    return made


@pytest.mark.parametrize("kind", GATES)
def test_input_kernels_are_glorot_uniform_over_all_gates(kind: type[nn.RNNBase]) -> None:
    kernels = {name: p for name, p in cells(kind).named_parameters() if "weight_ih" in name}
    assert len(kernels) == 4
    for name, kernel in kernels.items():
        inputs = I if "_l0" in name else 2 * H  # layer 1 reads both directions
        assert kernel.shape == (GATES[kind] * H, inputs)  # Keras': (inputs, gates * H)
        assert_uniform(kernel, math.sqrt(6 / (inputs + GATES[kind] * H)))


@pytest.mark.parametrize("kind", GATES)
def test_recurrent_kernels_are_orthogonal_over_all_gates(kind: type[nn.RNNBase]) -> None:
    kernels = [p for name, p in cells(kind).named_parameters() if "weight_hh" in name]
    assert len(kernels) == 4
    for kernel in kernels:
        theirs = kernel.T  # Keras': (H, gates * H), whose rows are orthonormal
        # float32: rounding of a sum of up to 160 products
        torch.testing.assert_close(theirs @ theirs.T, torch.eye(H), rtol=0, atol=1e-5)
    assert not torch.equal(kernels[0], kernels[1])


@pytest.mark.parametrize("kind", GATES)
def test_biases_are_zero_but_for_the_forget_gate(kind: type[nn.RNNBase]) -> None:
    biases = {name: p for name, p in cells(kind).named_parameters() if "bias" in name}
    assert len(biases) == 8
    for name, bias in biases.items():
        wanted = torch.zeros(GATES[kind] * H)
        if kind is nn.LSTM and "bias_ih" in name:
            wanted[H : 2 * H] = 1  # gates i, f, g, o
        assert torch.equal(bias, wanted), name


@pytest.mark.parametrize("kind", GATES)
def test_the_second_bias_is_frozen_where_keras_has_one(kind: type[nn.RNNBase]) -> None:
    for name, p in cells(kind).named_parameters():
        assert p.requires_grad == ("bias_hh" not in name or kind is nn.GRU), name


def test_an_lstm_forgets_little_at_first() -> None:
    """With all kernels zero, what the forget gate lets through is sigmoid(1)."""
    made = nn.LSTM(1, 1, batch_first=True)
    init_like_keras(made)
    with torch.no_grad():
        made.get_parameter("weight_ih_l0").zero_()
        made.get_parameter("weight_hh_l0").zero_()
    _, (_, cell) = made(torch.zeros(1, 1, 1), (torch.zeros(1, 1, 1), torch.full((1, 1, 1), 2.0)))
    assert cell.item() == pytest.approx(2 / (1 + math.exp(-1)), rel=1e-6)  # float32


def test_other_modules_are_left_alone() -> None:
    norm = nn.LayerNorm(5)
    init_like_keras(norm)
    assert torch.equal(norm.weight, torch.ones(5))
