"""Copies the arrays of a Keras model into PyTorch: correctly, and with mistakes that keep the correct shapes."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules import IMDBDataModule
from lit_models.cnn import CNN
from lit_models.keras.rules.weights import load_keras_weights, to_keras_weights
from lit_models.rnn import RNN
from scripts.porting.training import (
    TESTED,
    WORDS,
    Samples,
    accuracy,
    initial_network,
    is_correct,
    pad_at_end,
    predict_logits,
    tensors,
)
from tests.parity.originals import keras_cnn, keras_rnn

Array = NDArray[Any]
Numbers = dict[str, Any]


def compare_with_keras(model: Any, network: nn.Module, inputs: Tensor, target: Tensor) -> Numbers:
    """Keras' accuracy with the network's weights, and the largest difference between the two probabilities."""
    model.set_weights(to_keras_weights(network))
    is_image = inputs.dtype == torch.uint8
    arrays = (inputs.numpy()[..., None] / 255).astype("float32") if is_image else inputs.numpy()  # (N, 28, 28, 1)
    theirs = torch.from_numpy(np.asarray(model.predict(arrays, batch_size=500, verbose=0)))
    logits = predict_logits(network.eval(), inputs)
    ours = logits.softmax(dim=1) if is_image else logits.sigmoid()
    acc = is_correct(theirs if is_image else theirs - 0.5, target).double().mean().item()
    return {"acc": acc, "largest_difference": (ours - theirs).abs().max().item()}


def import_cnn(network: nn.Module, test: Samples) -> Numbers:
    """Test accuracy of a trained CNN for each way to import its Keras weights or to scale the images."""
    weights = to_keras_weights(network)
    return {
        "keras": compare_with_keras(keras_cnn(), network, *test),
        "right": accuracy(loaded(CNN(), weights), test),
        "flatten": accuracy(without_reordering(weights), test),
        "reshape": accuracy(with_reshaped_kernels(weights), test),
        "standardised": accuracy(network, test, change=lambda x: (x - 0.1307) / 0.3081),
        "unscaled": accuracy(network, test, change=lambda x: x * 255),
    }


def loaded(network: nn.Module, weights: Sequence[Array]) -> nn.Module:
    """The network after the correct import of Keras weights."""
    load_keras_weights(network, weights)
    return network


@torch.no_grad()
def without_reordering(weights: Sequence[Array]) -> CNN:
    """A CNN whose first dense kernel is only transposed. Its rows keep Keras' order: height, width, channel."""
    network = CNN()
    load_keras_weights(network, weights)
    cast(nn.Linear, network.dense[0]).weight.copy_(torch.from_numpy(weights[6]).T)
    return network


@torch.no_grad()
def with_reshaped_kernels(weights: Sequence[Array]) -> CNN:
    """A CNN whose convolution kernels get PyTorch's shape by `reshape` instead of `permute`."""
    network = CNN()
    load_keras_weights(network, weights)
    for convolution, kernel in zip(network.convolutions, weights[0:6:2], strict=True):
        weight = cast(nn.Conv2d, convolution).weight
        weight.copy_(torch.from_numpy(kernel).reshape(weight.shape))
    return network


def import_simple(network: nn.Module, test: Samples) -> Numbers:
    """Test accuracy of a trained SimpleRNN for each way to import its Keras weights or to prepare its text."""
    ids, target = test
    weights = to_keras_weights(network)
    return {
        "keras": compare_with_keras(keras_rnn("simple", max_length=WORDS), network, *test),
        "right": accuracy(loaded(initial_network("simple", seed=0), weights), test),
        "square": accuracy(without_transposing(weights), test),
        "behind": accuracy(network, (pad_at_end(ids), target)),
        "cut_behind": accuracy(network, (beginnings(), target)),
        "offset": accuracy(network, (torch.where(ids > 3, ids - 3, ids), target)),
    }


def beginnings() -> Tensor:
    """The test reviews, truncated at the end instead of the front, and padded at the front."""
    data = IMDBDataModule(max_length=2_500)  # no review is longer
    data.prepare_data()
    data.setup("test")
    ids = pad_at_end(tensors(data.test_table)[0][:TESTED])[:, :WORDS]
    return torch.stack([row.roll(int((row == 0).sum())) for row in ids])


def import_gru(network: nn.Module, test: Samples) -> Numbers:
    """Test accuracy of a trained GRU for each way to import its Keras weights."""
    weights = to_keras_weights(network)
    return {
        "keras": compare_with_keras(keras_rnn("gru", max_length=WORDS), network, *test),
        "right": accuracy(loaded(initial_network("gru", seed=0), weights), test),
        "gate_order": accuracy(with_keras_gate_order(weights), test),
        "one_bias": accuracy(with_biases_added(weights), test),
    }


@torch.no_grad()
def without_transposing(weights: Sequence[Array]) -> RNN:
    """A SimpleRNN whose square kernels are not transposed. The shapes fit, so PyTorch reports no error."""
    network = RNN(10_000, cell="simple")
    load_keras_weights(network, weights)
    for name, weight in network.cells.named_parameters():
        if weight.ndim == 2:
            assert weight.shape[0] == weight.shape[1], f"{name} is square here"
            weight.copy_(weight.T.clone())
    return network


@torch.no_grad()
def with_keras_gate_order(weights: Sequence[Array]) -> RNN:
    """A GRU whose gates keep Keras' order z, r, h, where PyTorch expects r, z, n."""
    network = RNN(10_000, cell="gru")
    load_keras_weights(network, weights)
    for weight in network.cells.parameters():
        r, z, n = weight.chunk(3)
        weight.copy_(torch.cat([z, r, n]))  # rows in Keras' order
    return network


@torch.no_grad()
def with_biases_added(weights: Sequence[Array]) -> RNN:
    """A GRU whose first bias is the sum of both and whose second bias is zero. This is correct only for an LSTM."""
    network = RNN(10_000, cell="gru")
    load_keras_weights(network, weights)
    named = dict(network.cells.named_parameters())
    for name in [name for name in named if name.startswith("bias_hh")]:
        named[name.replace("_hh", "_ih")].add_(named[name])
        named[name].zero_()
    return network
