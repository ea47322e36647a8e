"""The correct import of Keras weights keeps the network's outputs; each wrong import changes them."""

from collections.abc import Callable
from typing import Literal, cast

import pytest
import torch
from torch import Tensor, nn

from lit_models.cnn import CNN
from lit_models.keras.rules.weights import to_keras_weights
from lit_models.rnn import RNN
from scripts.porting.imports import (
    loaded,
    with_biases_added,
    with_keras_gate_order,
    with_reshaped_kernels,
    without_reordering,
    without_transposing,
)


def outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return cast(Tensor, network.eval()(inputs))


def with_random_biases(network: nn.Module) -> nn.Module:
    """Sets the biases, which are zero at first, and the embedding to random numbers."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "bias" in name and weight.requires_grad:
                weight.normal_(std=0.3)
            if "embedding" in name:
                weight.normal_()
    return network


@pytest.mark.parametrize("wrong", [without_reordering, with_reshaped_kernels])
def test_a_wrong_import_of_the_cnn_changes_the_outputs(wrong: Callable[..., nn.Module]) -> None:
    network = with_random_biases(CNN())
    images = torch.rand(8, 1, 28, 28)
    weights = to_keras_weights(network)
    wanted = outputs(network, images)
    assert torch.equal(outputs(loaded(CNN(), weights), images), wanted)
    assert (outputs(wrong(weights), images) - wanted).abs().max() > 0.1 * wanted.abs().max()


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [("simple", without_transposing), ("gru", with_keras_gate_order), ("gru", with_biases_added)],
)
def test_a_wrong_import_of_an_rnn_changes_the_outputs(
    cell: Literal["simple", "gru"], wrong: Callable[..., nn.Module]
) -> None:
    network = with_random_biases(RNN(10_000, cell=cell))
    tokens = torch.randint(10_000, (8, 20))
    weights = to_keras_weights(network)
    wanted = outputs(network, tokens)
    assert torch.equal(outputs(loaded(RNN(10_000, cell=cell), weights), tokens), wanted)
    assert (outputs(wrong(weights), tokens) - wanted).abs().max() > 0.01 * wanted.abs().max()
