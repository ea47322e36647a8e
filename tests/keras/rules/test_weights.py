"""Weights that do not fit are refused; `tests/parity` compares the layouts with live Keras layers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from datamodules.errors import UserError
from lit_models.keras.rules.weights import Array, load_keras_weights, to_keras_weights


def zeros(*shapes: tuple[int, ...]) -> list[Array]:
    return [np.zeros(shape, dtype=np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        (zeros((3, 2)), "the network has 2 arrays of weights, but the Keras model has 1"),
        (zeros((2, 3), (2,)), "0/kernel has shape (3, 2), but (2, 3) in the Keras model"),
        (zeros((3, 2), (3,)), "0/bias has shape (2,), but (3,) in the Keras model"),
    ],
)
def test_arrays_of_another_number_or_shape_are_refused(arrays: list[Array], text: str) -> None:
    with pytest.raises(UserError) as caught:
        load_keras_weights(nn.Sequential(nn.Linear(3, 2)), arrays)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "convert", [to_keras_weights, lambda network: load_keras_weights(network, zeros((3,)))], ids=["to", "from"]
)
def test_a_layer_without_a_counterpart_is_refused(convert: Callable[[nn.Module], object]) -> None:
    with pytest.raises(UserError, match=r"^0 \(LayerNorm\) has no counterpart in Keras$"):
        convert(nn.Sequential(nn.LayerNorm(3)))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM])
def test_a_second_bias_is_set_to_zero_by_loading_and_refused_by_writing(kind: type[nn.RNNBase]) -> None:
    cells: nn.RNNBase = kind(3, 2, batch_first=True)  # type: ignore[call-arg, arg-type]
    network = nn.Sequential(cells)
    second = cells.get_parameter("bias_hh_l0")
    with torch.no_grad():
        second.fill_(0.1)
    text = "^a recurrent layer's second bias is not zero; Keras' SimpleRNN and LSTM have only one bias$"
    with pytest.raises(UserError, match=text):
        to_keras_weights(network)
    gates = second.numel()
    load_keras_weights(network, zeros((3, gates), (2, gates), (gates,)))
    assert not second.any()
    assert all(not array.any() for array in to_keras_weights(network))
