"""The XOR config beside the numpy program: thousands of passes from the same start, in float64."""

import copy
import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lit_models import LitMLP
from lit_models.__main__ import main
from lit_models.keras.rules.weights import to_keras_weights

from .originals import XOR_INPUTS, Array, NumpyXOR


class OurXOR:
    """A run of the shipped config, as it is typed.

    Args:
        folder: where it runs.
        flags: of the command line.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        starts: list[nn.Module] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(LitMLP, "on_train_start", lambda self: starts.append(copy.deepcopy(self.network)))
            assert main(["fit", "--config", "xor_mlp", *flags]) == 0
        run = folder / "runs" / "xor_mlp" / "version_0"
        trained = LitMLP.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
        (start,) = starts
        self.start: list[Array] = [w.astype(np.float64) for w in to_keras_weights(start)]
        self.weights = to_keras_weights(trained.network)
        with torch.no_grad():
            self.outputs = trained.predictions(trained(torch.from_numpy(XOR_INPUTS)))[:, 1:].numpy()
        rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
        self.losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]


def assert_same_as_numpy(ours: OurXOR, *, passes: int) -> NumpyXOR:
    """Weights and outputs within 1e-9 after so many passes; in 10,000 of them rounding grows to 1e-13."""
    weights1, bias1, weights2, bias2 = ours.start
    theirs = NumpyXOR(weights1, bias1[None], weights2, bias2[None])
    errors = theirs.train(passes=passes)
    for our, their in zip(ours.weights, theirs.weights(), strict=True):
        assert our.dtype == np.float64
        np.testing.assert_allclose(our, their, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.outputs, theirs.forward(XOR_INPUTS), rtol=0, atol=1e-9)
    # an epoch is a tenth of the passes; the program adds up the four rows, and the metric is their mean, in float32,
    # whose sums of 1,000 numbers are off by 1e-6
    np.testing.assert_allclose(ours.losses, errors.reshape(10, -1).mean(axis=1) / 4, rtol=1e-5)
    return theirs


def test_two_thousand_passes_of_the_config_are_the_numpy_loop(tmp_path: Path) -> None:
    assert_same_as_numpy(OurXOR(tmp_path, "--seed_everything", "1", "--data.passes", "200"), passes=2_000)


@pytest.mark.slow  # the same with all passes of the config, which learn XOR
def test_ten_thousand_passes_of_the_config_are_the_numpy_loop(tmp_path: Path) -> None:
    theirs = assert_same_as_numpy(OurXOR(tmp_path, "--seed_everything", "1"), passes=10_000)
    np.testing.assert_allclose(theirs.forward(XOR_INPUTS)[:, 0], [0, 1, 1, 0], atol=0.1)  # and it is XOR


@pytest.mark.parametrize("flags", [("--model.lr", "0.10001"), ("--model.optimizer", "keras_rmsprop")])
def test_another_rule_is_seen(flags: tuple[str, str], tmp_path: Path) -> None:
    ours = OurXOR(tmp_path, "--data.passes", "10", *flags)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_as_numpy(ours, passes=100)
