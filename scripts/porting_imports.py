"""Ways to put the arrays of a Keras model into torch: the right one, and those that fit and are wrong."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules import IMDBDataModule
from lit_models.cnn import CNN
from lit_models.keras.weights import load_keras_weights, to_keras_weights
from lit_models.rnn import RNN
from scripts.porting_training import TESTED, WORDS, Samples, accuracy, logits_of, pad_behind, right, start, tensors
from tests.parity.originals import keras_cnn, keras_rnn

Array = NDArray[Any]
Numbers = dict[str, Any]


def keras_side(model: Any, network: nn.Module, inputs: Tensor, target: Tensor) -> Numbers:
    """Keras' accuracy with a network's weights, and how far its probabilities are from the network's own."""
    model.set_weights(to_keras_weights(network))
    images = inputs.dtype == torch.uint8
    read = (inputs.numpy()[..., None] / 255).astype("float32") if images else inputs.numpy()  # (N, 28, 28, 1)
    theirs = torch.from_numpy(np.asarray(model.predict(read, batch_size=500, verbose=0)))
    logits = logits_of(network.eval(), inputs)
    ours = logits.softmax(dim=1) if images else logits.sigmoid()
    acc = right(theirs if images else theirs - 0.5, target).double().mean().item()
    return {"acc": acc, "largest_difference": (ours - theirs).abs().max().item()}


def import_cnn(network: nn.Module, test: Samples) -> Numbers:
    """Test accuracy of a trained CNN that comes out of Keras, by ways to put its arrays into torch."""
    weights = to_keras_weights(network)
    return {
        "keras": keras_side(keras_cnn(), network, *test),
        "right": accuracy(loaded(CNN(), weights), test),
        "flatten": accuracy(without_reordering(weights), test),
        "reshape": accuracy(with_reshaped_kernels(weights), test),
        "standardised": accuracy(network, test, change=lambda x: (x - 0.1307) / 0.3081),
        "unscaled": accuracy(network, test, change=lambda x: x * 255),
    }


def loaded(network: nn.Module, weights: Sequence[Array]) -> nn.Module:
    """The network, with a Keras model's weights."""
    load_keras_weights(network, weights)
    return network


@torch.no_grad()
def without_reordering(weights: Sequence[Array]) -> CNN:
    """A CNN whose first dense kernel is transposed, and its rows left in Keras' order: height, width, channel."""
    network = CNN()
    load_keras_weights(network, weights)
    cast(nn.Linear, network.dense[0]).weight.copy_(torch.from_numpy(weights[6]).T)
    return network


@torch.no_grad()
def with_reshaped_kernels(weights: Sequence[Array]) -> CNN:
    """A CNN whose convolution kernels have torch's shape by `reshape`, and not by `permute`."""
    network = CNN()
    load_keras_weights(network, weights)
    for convolution, kernel in zip(network.convolutions, weights[0:6:2], strict=True):
        place = cast(nn.Conv2d, convolution).weight
        place.copy_(torch.from_numpy(kernel).reshape(place.shape))
    return network


def import_simple(network: nn.Module, test: Samples) -> Numbers:
    """Test accuracy of a trained SimpleRNN that comes out of Keras, by ways to import it and to prepare its text."""
    ids, target = test
    weights = to_keras_weights(network)
    return {
        "keras": keras_side(keras_rnn("simple", max_length=WORDS), network, *test),
        "right": accuracy(loaded(start("simple", seed=0), weights), test),
        "square": accuracy(without_transposing(weights), test),
        "behind": accuracy(network, (pad_behind(ids), target)),
        "cut_behind": accuracy(network, (beginnings(), target)),
        "offset": accuracy(network, (torch.where(ids > 3, ids - 3, ids), target)),
    }


def beginnings() -> Tensor:
    """The test reviews cut at their end, and padded in front."""
    data = IMDBDataModule(max_length=2_500)  # none is longer
    data.prepare_data()
    data.setup("test")
    first = pad_behind(tensors(data.test_table)[0][:TESTED])[:, :WORDS]
    return torch.stack([row.roll(int((row == 0).sum())) for row in first])


def import_gru(network: nn.Module, test: Samples) -> Numbers:
    """Test accuracy of a trained GRU that comes out of Keras, by ways to import it."""
    weights = to_keras_weights(network)
    return {
        "keras": keras_side(keras_rnn("gru", max_length=WORDS), network, *test),
        "right": accuracy(loaded(start("gru", seed=0), weights), test),
        "gate_order": accuracy(with_gates_as_they_come(weights), test),
        "one_bias": accuracy(with_biases_added(weights), test),
    }


@torch.no_grad()
def without_transposing(weights: Sequence[Array]) -> RNN:
    """A SimpleRNN whose square kernels were copied as they are: the shapes fit, and nothing complains."""
    network = RNN(10_000, cell="simple")
    load_keras_weights(network, weights)
    for name, weight in network.cells.named_parameters():
        if weight.ndim == 2:
            assert weight.shape[0] == weight.shape[1], f"{name} is square here"
            weight.copy_(weight.T.clone())
    return network


@torch.no_grad()
def with_gates_as_they_come(weights: Sequence[Array]) -> RNN:
    """A GRU that takes Keras' z, r, h for torch's r, z, n."""
    network = RNN(10_000, cell="gru")
    load_keras_weights(network, weights)
    for weight in network.cells.parameters():
        r, z, n = weight.chunk(3)
        weight.copy_(torch.cat([z, r, n]))  # rows in Keras' order
    return network


@torch.no_grad()
def with_biases_added(weights: Sequence[Array]) -> RNN:
    """A GRU whose two biases are added up in the first, as is right for an LSTM."""
    network = RNN(10_000, cell="gru")
    load_keras_weights(network, weights)
    named = dict(network.cells.named_parameters())
    for name in [name for name in named if name.startswith("bias_hh")]:
        named[name.replace("_hh", "_ih")].add_(named[name])
        named[name].zero_()
    return network
