"""Training in plain torch, as Keras does it and with one mistake at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules import IMDBDataModule, MNISTDataModule
from datamodules.base import TensorTable
from datamodules.imdb import ORDER_SEED
from lit_models.cnn import CNN
from lit_models.keras.optimizers import KerasAdam, KerasRMSprop
from lit_models.rnn import RNN, left_align

Samples = tuple[Tensor, Tensor]

WORDS, REVIEWS, VALIDATED, TESTED = 200, 12_500, 2_500, 5_000
"""Of IMDB: words of a review; training reviews, the first ones in Keras' order; the last of them, for validation; test
reviews, the first ones."""
EPOCHS = {"mnist": 1, "imdb": 3}
BATCH = {"mnist": 64, "imdb": 128}


@dataclass(frozen=True)
class Way:
    """One way to train. The defaults are Keras'.

    Args:
        optimizer: makes the optimizer.
        change: of the network, before the first step.
        loss: of a batch's logits and target.
        inputs: of the samples, in training and in tests.
        shuffle: draw a new order in each epoch.
        by_file: samples in the order of the archive's files, for the validation part and for training.
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
    """Cross-entropy of probabilities that are taken for logits."""
    return F.cross_entropy(logits.softmax(dim=1), target)


def draw_like_torch(network: nn.Module) -> None:
    """Draws each layer's weights anew, as torch's constructors do."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding | nn.RNNBase):
            module.reset_parameters()


def draw_embedding_like_torch(network: nn.Module) -> None:
    """Draws the embedding alone from N(0, 1), as torch does."""
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            module.reset_parameters()


def train_both_biases(network: nn.Module) -> None:
    """Lets the optimizer have the second bias, which Keras does not have."""
    for weight in network.parameters():
        weight.requires_grad_(True)


@torch.no_grad()
def zero_forget_bias(network: nn.Module) -> None:
    """Starts an LSTM's forget gates with bias 0, and not 1."""
    for name, weight in network.named_parameters():
        if "bias_ih" in name:
            weight.zero_()


@torch.no_grad()
def nudge(network: nn.Module) -> None:
    """Moves each weight by about a millionth of itself: no mistake, but what chance alone makes of a training."""
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight.mul_(1 + 1e-6 * torch.randn(weight.shape, generator=generator))


def pad_behind(ids: Tensor) -> Tensor:
    """Moves the padding of `ids` `(N, T)` behind the words."""
    return left_align(ids, 0)[0]


KERAS_CNN = partial(Way, optimizer=KerasAdam, loss=F.cross_entropy)
CNN_WAYS = {
    "keras": KERAS_CNN(),
    "adam_epsilon": KERAS_CNN(optimizer=partial(torch.optim.Adam, eps=1e-7)),
    "init": KERAS_CNN(change=draw_like_torch),
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
    "init": KERAS_RNN(change=draw_like_torch),
    "embedding": KERAS_RNN(change=draw_embedding_like_torch),
    "behind": KERAS_RNN(inputs=pad_behind),
    "split": KERAS_RNN(by_file=True),
    "unshuffled": KERAS_RNN(shuffle=False),
}
LSTM_WAYS = {"keras": KERAS_RNN(), "forget_bias": KERAS_RNN(change=zero_forget_bias)}


class Parts(NamedTuple):
    """Inputs and target of each part; MNIST has no validation part."""

    train: Samples
    val: Samples | None
    test: Samples


def start(cell: str, *, seed: int, dropout: float = 0.0) -> nn.Module:
    """A network with Keras' initial weights: "cnn", or an RNN by its cell."""
    torch.manual_seed(seed)
    return CNN(dropout=dropout) if cell == "cnn" else RNN(10_000, cell=cell)


def tensors(table: Any) -> Samples:
    """Inputs and target of a table in memory."""
    assert isinstance(table, TensorTable)
    assert table.target is not None
    return table.inputs, table.target


def images() -> Parts:
    """MNIST, uint8 `(N, 28, 28)`: all 60,000 images train, as in the Keras program."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    return Parts(tensors(data.train_table), None, tensors(data.test_table))


def reviews(*, by_file: bool = False) -> Parts:
    """IMDB, ids int32 `(N, WORDS)`. The validation part is the last one, of Keras' order or of the files'."""
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
    """Negative before positive, as the archive's folders are."""
    order = samples[1].argsort(stable=True)
    return samples[0][order], samples[1][order]


def to_floats(inputs: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """What a network reads: images `(B, 1, 28, 28)` in 0 to 1, or ids int64 `(B, T)`."""
    return inputs[:, None].to(dtype) / 255 if inputs.dtype == torch.uint8 else inputs.long()


def train(network: nn.Module, way: Way, samples: Samples, *, data: str, seed: int, steps: float = math.inf) -> float:
    """Trains for the epochs of `EPOCHS`, or some steps; returns the last epoch's mean loss over the samples."""
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
            loss = way.loss(network(to_floats(way.inputs(inputs[batch]), dtype=dtype)), target[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
    return total / len(target)


@torch.no_grad()
def logits_of(network: nn.Module, inputs: Tensor, *, change: Callable[[Tensor], Tensor] = torch.clone) -> Tensor:
    """Logits, `(N, C)` or `(N, 1)`; `change` is made to the inputs as the network reads them."""
    return torch.cat([network(change(to_floats(batch))) for batch in torch.split(inputs, 500)])


def right(logits: Tensor, target: Tensor) -> Tensor:
    """Which samples are classified rightly, bool `(N,)`."""
    found = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
    return found == target


def accuracy(network: nn.Module, samples: Samples, *, change: Callable[[Tensor], Tensor] = torch.clone) -> float:
    """Fraction of samples that are classified rightly, without dropout."""
    return right(logits_of(network.eval(), samples[0], change=change), samples[1]).double().mean().item()
