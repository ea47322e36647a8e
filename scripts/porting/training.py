"""Trains in plain PyTorch: with Keras' behaviour, and with one mistake at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules import IMDBDataModule, MNISTDataModule
from datamodules.base import TensorTable
from datamodules.imdb import ORDER_SEED
from lit_models.cnn import CNN
from lit_models.keras.rules.optimizers import KerasAdam, KerasRMSprop
from lit_models.rnn import RNN, left_align

Samples = tuple[Tensor, Tensor]

WORDS, REVIEWS, VALIDATED, TESTED = 200, 12_500, 2_500, 5_000
"""Parts of IMDB: words in a review, training reviews (the first in Keras' order), how many of these are for validation
(the last ones), and test reviews (the first)."""
EPOCHS = {"mnist": 1, "imdb": 3}
BATCH = {"mnist": 64, "imdb": 128}


@dataclass(frozen=True)
class Way:
    """One way to train. The defaults are those of Keras.

    Args:
        optimizer: builds the optimizer from the parameters.
        loss: computes the loss from a batch's logits and target.
        change: changes the network before the first step.
        inputs: changes the inputs, in training and evaluation.
        shuffle: whether each epoch has a new order.
        by_file: whether the samples are in the order of the archive's files when the validation part is split off.
    """

    optimizer: Callable[..., torch.optim.Optimizer]
    loss: Callable[[Tensor, Tensor], Tensor]
    change: Callable[[nn.Module], object] = nn.Module.train
    inputs: Callable[[Tensor], Tensor] = torch.clone
    shuffle: bool = True
    by_file: bool = False


def binary_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of one sigmoid output, `(B, 1)`."""
    return F.binary_cross_entropy_with_logits(logits[:, 0], target.to(logits.dtype))


def softmax_twice(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy that takes probabilities as if they were logits."""
    return F.cross_entropy(logits.softmax(dim=1), target)


def init_like_torch(network: nn.Module) -> None:
    """Initialises every layer as PyTorch's constructors do."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding | nn.RNNBase):
            module.reset_parameters()


def init_embedding_like_torch(network: nn.Module) -> None:
    """Initialises only the embedding as PyTorch does: from N(0, 1)."""
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            module.reset_parameters()


def train_both_biases(network: nn.Module) -> None:
    """Also trains the second bias, which Keras does not have."""
    for weight in network.parameters():
        weight.requires_grad_(True)


@torch.no_grad()
def zero_forget_bias(network: nn.Module) -> None:
    """Sets the initial bias of an LSTM's forget gates to 0 instead of 1."""
    for name, weight in network.named_parameters():
        if "bias_ih" in name:
            weight.zero_()


@torch.no_grad()
def nudge(network: nn.Module) -> None:
    """Changes each weight by about a millionth of its value. This is not a mistake; it shows how much results vary by
    chance."""
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight.mul_(1 + 1e-6 * torch.randn(weight.shape, generator=generator))


def pad_at_end(ids: Tensor) -> Tensor:
    """Moves the padding of `ids` `(N, T)` from the front to the end."""
    return left_align(ids, 0)[0]


KERAS_CNN = partial(Way, optimizer=KerasAdam, loss=F.cross_entropy)
CNN_WAYS = {
    "keras": KERAS_CNN(),
    "adam_epsilon": KERAS_CNN(optimizer=partial(torch.optim.Adam, eps=1e-7)),
    "init": KERAS_CNN(change=init_like_torch),
    "softmax": KERAS_CNN(loss=softmax_twice),
}
KERAS_RNN = partial(Way, optimizer=KerasRMSprop, loss=binary_loss)
RNN_WAYS = {
    "keras": KERAS_RNN(),
    "rho": KERAS_RNN(optimizer=partial(KerasRMSprop, rho=0.99)),
    "rmsprop_epsilon": KERAS_RNN(optimizer=partial(torch.optim.RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)),
    "rmsprop_root_epsilon": KERAS_RNN(optimizer=partial(torch.optim.RMSprop, lr=1e-3, alpha=0.9, eps=1e-7**0.5)),
    "rmsprop_defaults": KERAS_RNN(optimizer=torch.optim.RMSprop),  # its learning rate is 0.01
    "bias": KERAS_RNN(change=train_both_biases),
    "init": KERAS_RNN(change=init_like_torch),
    "embedding": KERAS_RNN(change=init_embedding_like_torch),
    "behind": KERAS_RNN(inputs=pad_at_end),
    "split": KERAS_RNN(by_file=True),
    "unshuffled": KERAS_RNN(shuffle=False),
}
LSTM_WAYS = {"keras": KERAS_RNN(), "forget_bias": KERAS_RNN(change=zero_forget_bias)}


Cell = Literal["cnn", "simple", "lstm", "gru"]
"""The CNN, or the cell of a recurrent network."""


class Parts(NamedTuple):
    """Inputs and target of each part. MNIST has no validation part."""

    train: Samples
    val: Samples | None
    test: Samples


def initial_network(cell: Cell, *, seed: int, dropout: float = 0.0) -> nn.Module:
    """A network with Keras' initial weights: the CNN for "cnn", else an RNN with this cell."""
    torch.manual_seed(seed)
    return CNN(dropout=dropout) if cell == "cnn" else RNN(10_000, cell=cell)


def tensors(table: Any) -> Samples:
    """Inputs and target of an in-memory table."""
    assert isinstance(table, TensorTable)
    assert table.target is not None
    return table.inputs, table.target


def images() -> Parts:
    """MNIST, uint8 `(N, 28, 28)`. All 60,000 images are for training, as in the Keras program."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    return Parts(tensors(data.train_table), None, tensors(data.test_table))


def reviews(*, by_file: bool = False) -> Parts:
    """IMDB, token ids int32 `(N, WORDS)`. The validation part is the last part in Keras' order or, with `by_file`, in
    the order of the files."""
    data = IMDBDataModule(max_length=WORDS)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    ids, target = (part[:REVIEWS] for part in tensors(data.train_table))
    if by_file:
        files = np.arange(25_000)
        np.random.RandomState(ORDER_SEED).shuffle(files)  # the review in row i of Keras' order is file number files[i]
        order = torch.from_numpy(files[:REVIEWS].argsort())
        ids, target = ids[order], target[order]
    test = tensors(data.test_table)
    fit = REVIEWS - VALIDATED
    return Parts((ids[:fit], target[:fit]), (ids[fit:], target[fit:]), (test[0][:TESTED], test[1][:TESTED]))


def sorted_by_class(samples: Samples) -> Samples:
    """Puts negative before positive reviews, as the archive's folders do."""
    order = samples[1].argsort(stable=True)
    return samples[0][order], samples[1][order]


def network_inputs(inputs: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Inputs of a network: images `(B, 1, 28, 28)` in 0 to 1, or token ids int64 `(B, T)`."""
    return inputs[:, None].to(dtype) / 255 if inputs.dtype == torch.uint8 else inputs.long()


def train(network: nn.Module, way: Way, samples: Samples, *, data: str, seed: int, steps: float = math.inf) -> float:
    """Trains for the epochs in `EPOCHS`, at most `steps` steps. Returns the last epoch's mean loss over the samples, or
    NaN if the steps ended first."""
    way.change(network.train())
    optimizer = way.optimizer([w for w in network.parameters() if w.requires_grad])
    dtype = next(network.parameters()).dtype
    generator = torch.Generator().manual_seed(seed)
    inputs, target = samples
    total, done = 0.0, 0
    for _ in range(EPOCHS[data]):
        total = 0.0
        order = torch.randperm(len(target), generator=generator) if way.shuffle else torch.arange(len(target))
        for batch in torch.split(order, BATCH[data]):
            if done >= steps:
                return math.nan
            done += 1
            optimizer.zero_grad()
            loss = way.loss(network(network_inputs(way.inputs(inputs[batch]), dtype=dtype)), target[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
    return total / len(target)


@torch.no_grad()
def predict_logits(network: nn.Module, inputs: Tensor, *, change: Callable[[Tensor], Tensor] = torch.clone) -> Tensor:
    """Logits, `(N, C)` or `(N, 1)`. `change` is applied to the network's inputs."""
    return torch.cat([network(change(network_inputs(batch))) for batch in torch.split(inputs, 500)])


def is_correct(logits: Tensor, target: Tensor) -> Tensor:
    """Whether each sample is classified correctly, bool `(N,)`."""
    predicted = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
    return predicted == target


def accuracy(network: nn.Module, samples: Samples, *, change: Callable[[Tensor], Tensor] = torch.clone) -> float:
    """Fraction of samples that are classified correctly, in evaluation mode."""
    return is_correct(predict_logits(network.eval(), samples[0], change=change), samples[1]).double().mean().item()
