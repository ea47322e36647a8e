"""Keras files to import, and the one line that a mistake prints."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import Run
from tests.keras.stacks import FLAT, POOL, conv, dense, drop, sequential, with_noise

DIGITS = ("--data", "MNISTDataModule", "--data.dataset", "digits")
NO_COUNTERPART = "has no counterpart in Keras; these networks have one: LitRNN, LitCNN, LitMLP"
CHECKPOINT = "runs/model/version_0/checkpoints/last.ckpt"


@pytest.fixture
def cnn() -> Any:
    """A CNN for the digits with random weights, saved as `model.keras`."""
    model = sequential(
        (28, 28, 1), conv(6), POOL, conv(8), POOL, FLAT, dense(12, "relu"), drop(0.5), dense(10, "softmax")
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    with_noise(model).save("model.keras")
    return model


@pytest.fixture
def saved() -> Any:
    """A perceptron of three inputs and two classes, saved as `model.keras`."""
    model = with_noise(sequential((3,), dense(4, "relu"), dense(1, "sigmoid")))
    model.save("model.keras")
    return model


def digits() -> tuple[Any, Any]:
    """The test digits in Keras' layout, and their classes."""
    from datamodules import MNISTDataModule

    data = MNISTDataModule(dataset="digits")
    data.setup("test")
    assert data.test_table is not None
    images, target = data.test_table[torch.arange(len(data.test_table))]
    return images.permute(0, 2, 3, 1).numpy(), target.numpy()  # (B, 1, 28, 28) -> (B, 28, 28, 1)


def error(run: Run, *arguments: str) -> str:
    """The one line that a mistake prints; no file may be left behind."""
    before = sorted(Path().rglob("*"))
    status, _, err = run(*arguments)
    assert status == 2
    (line,) = err.splitlines()
    assert sorted(Path().rglob("*")) == before
    return line.removeprefix("error: ")
