"""Fifty steps of training beside Keras' own `fit`: losses, weights, and what is reported of each epoch.

In float64. In float32, two places of a pooling window that are nearly equal are told apart by rounding, and steps of a
SimpleRNN can make a difference grow: equal rules then end 50 steps with weights that differ by 1e-1 of their change in
the CNN, and by up to 4e-2 in the SimpleRNN. `test_networks.py` and `test_optimizers.py` hold for float32.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch

from datamodules import IMDBDataModule, MNISTDataModule
from datamodules.mnist import ImageTable
from lit_models import LitCNN, LitRNN, LitTask
from lit_models.keras.rules.weights import to_keras_weights
from lit_models.tasks.optim import OPTIMIZERS

from .comparisons import assert_same_training
from .keras_runs import Array, Run, float64, keras_fit, keras_optimizer, with_keras
from .originals import keras_cnn, keras_rnn
from .our_runs import our_fit, with_lightning

pytestmark = [*with_keras, *with_lightning]

Name = Literal["cnn", "simple", "lstm", "gru"]
VOCAB, LENGTH = 100, 40
NUM_IMAGES, IMAGES_A_BATCH = 396, 8  # 49 batches of 8 and one of 4: 50 steps
NUM_REVIEWS, REVIEWS_A_BATCH = 489, 16  # four fifths are 391: 24 batches of 16 and one of 7; 50 steps in two epochs


class Digits(MNISTDataModule):
    """The first of scikit-learn's digits, in their order."""

    shuffle: ClassVar[bool] = False

    def setup(self, stage: str) -> None:
        super().setup(stage)
        assert isinstance(self.train_table, ImageTable)
        self.train_table = ImageTable(self.train_table.inputs[:NUM_IMAGES], self.train_table.target[:NUM_IMAGES])


class Reviews(IMDBDataModule):
    """Reviews in their order."""

    shuffle: ClassVar[bool] = False


def write_reviews(path: Path) -> Path:
    """Reviews of ranks up to 90 in the form of Keras' `imdb.npz`; some words tell the class."""
    rng = np.random.default_rng(0)
    rows, labels = np.empty(NUM_REVIEWS, dtype=object), rng.integers(2, size=NUM_REVIEWS)
    for i, label in enumerate(labels):
        size = rng.integers(5, 60)
        telling = rng.random(size) < 0.1
        rows[i] = np.where(telling, 20 + 3 * label, rng.geometric(0.05, size=size).clip(max=90)).tolist()
    np.savez(path, x_train=rows, y_train=labels, x_test=rows[:9], y_test=labels[:9])
    return path


def make(name: Name) -> LitTask:
    """The network with Keras' initial weights, drawn by a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LitCNN() if name == "cnn" else LitRNN(vocab_size=VOCAB, cell=name)


def digits() -> Digits:
    return Digits(dataset="digits", batch_size=IMAGES_A_BATCH)


@cache
def start_of(name: Name) -> list[Array]:
    return to_keras_weights(make(name).network)


def fit_cnn_in_keras() -> Run:
    data = digits()
    data.setup("fit")
    assert data.train_table is not None
    images, labels = data.train_table[torch.arange(NUM_IMAGES)]
    with float64():
        model = keras_cnn()
        model.set_weights(start_of("cnn"))
        return keras_fit(
            model,
            images.numpy().transpose(0, 2, 3, 1).astype(np.float64),  # (N, 1, 28, 28) -> (N, 28, 28, 1)
            labels.numpy(),
            optimizer=keras_optimizer("adam"),
            loss="sparse_categorical_crossentropy",
            batch_size=IMAGES_A_BATCH,
            epochs=1,
        )


def fit_rnn_in_keras(cell: Literal["simple", "lstm", "gru"], path: Path) -> Run:
    """The Keras program: `load_data`, `pad_sequences`, `fit` with the last fifth for validation."""
    import keras

    with pytest.MonkeyPatch.context() as patch, float64():
        patch.setattr("keras.src.datasets.imdb.get_file", lambda **_: str(path))
        (rows, labels), _ = keras.datasets.imdb.load_data(num_words=VOCAB)
        model = keras_rnn(cell, vocab_size=VOCAB, max_length=LENGTH)
        model.set_weights(start_of(cell))
        return keras_fit(
            model,
            keras.utils.pad_sequences(rows, maxlen=LENGTH),
            labels.astype(np.float64),
            optimizer=keras_optimizer("rmsprop"),
            loss="binary_crossentropy",
            batch_size=REVIEWS_A_BATCH,
            epochs=2,
            validation_split=0.2,
        )


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviews(tmp_path_factory.mktemp("reviews") / "imdb.npz")


@pytest.fixture(scope="module")
def in_keras(keras_backend: str, npz: Path) -> Callable[[Name], Run]:
    """Keras' training of each network, once."""
    return cache(lambda name: fit_cnn_in_keras() if name == "cnn" else fit_rnn_in_keras(name, npz))


@pytest.fixture
def here(npz: Path) -> Callable[..., Run]:
    """Our training of a network, which is made anew or given."""

    def fit(name: Name, model: LitTask | None = None) -> Run:
        data: Any = digits()
        if name != "cnn":
            data = Reviews(data_dir=str(npz), num_words=VOCAB, max_length=LENGTH, batch_size=REVIEWS_A_BATCH)
        return our_fit(model or make(name), data, start=start_of(name), epochs=1 if name == "cnn" else 2)

    return fit


@pytest.mark.parametrize("name", ["cnn", "simple", *(pytest.param(n, marks=pytest.mark.slow) for n in ("lstm", "gru"))])
def test_fifty_steps_are_keras_fit(name: Name, here: Callable[..., Run], in_keras: Callable[[Name], Run]) -> None:
    theirs = in_keras(name)
    assert theirs.losses[-10:].mean() < theirs.losses[:10].mean()  # it learns
    assert_same_training(here(name), theirs, start=start_of(name))


@pytest.mark.parametrize(
    ("name", "optimizer", "broken"),
    [
        ("cnn", "keras_adam", partial(torch.optim.Adam, eps=1e-7)),  # epsilon beside the corrected root
        ("simple", "keras_rmsprop", partial(OPTIMIZERS["keras_rmsprop"], rho=0.99)),
        ("simple", "keras_rmsprop", partial(torch.optim.RMSprop, alpha=0.9, eps=1e-7)),  # epsilon beside the root
    ],
    ids=["adams epsilon", "rho", "rmsprops epsilon"],
)
def test_another_rule_of_the_optimizer_is_seen(
    name: Name,
    optimizer: str,
    broken: Callable[..., torch.optim.Optimizer],
    here: Callable[..., Run],
    in_keras: Callable[[Name], Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPTIMIZERS, optimizer, broken)
    with pytest.raises(AssertionError, match="a weight went another way"):
        assert_same_training(here(name), in_keras(name), start=start_of(name))


@pytest.mark.parametrize("name", ["simple", pytest.param("lstm", marks=pytest.mark.slow)])
def test_a_trained_second_bias_is_seen(name: Name, here: Callable[..., Run], in_keras: Callable[[Name], Run]) -> None:
    model = make(name)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    with pytest.raises(AssertionError, match="a weight went another way"):
        assert_same_training(here(name, model), in_keras(name), start=start_of(name))
